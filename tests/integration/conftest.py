"""The embedded API server as fixtures: one for a worker, a namespace for a test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.generator import WIDGETS
from tests.integration.embedded import Embedded


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """The embedded server of a whole run, with the product's definitions and one of the tests'."""
    with Embedded(tmp_path_factory.mktemp("embedded")) as started:
        started.apply(WIDGETS)
        yield started


@pytest.fixture
def namespace(embedded: Embedded) -> str:
    """A namespace of a test's own."""
    return embedded.namespace()
