"""The genuine cluster as fixtures: one for the whole run, a namespace or a whole one for a test."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from streams.config.crd import manifests
from tests.cluster.api import Api, RefusedError
from tests.cluster.cluster import Cluster
from tests.cluster.commands import TOKENS
from tests.cluster.faults import FaultProxy
from tests.cluster.namespaces import ContentLeftError
from tests.cluster.parts import BuildFailedError, available, ensure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

HERE = Path(__file__).parent
TIMEOUT_SECONDS = 120.0
"""The first test also waits for the cluster, which is ready after 3 s on an idle machine."""

Programs = dict[str, Path]
PROGRAMS = pytest.StashKey["Programs | str"]()


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(TIMEOUT_SECONDS))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build what is missing here, where no test's timeout runs."""
    wanting = [item for item in session.items if "programs" in getattr(item, "fixturenames", ())]
    if wanting and not session.config.option.collectonly:
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        say: Callable[[str], None] = print if reporter is None else reporter.write_line
        programs = had(say)
        if isinstance(programs, str):
            say(f"{len(wanting)} tests need a genuine Kubernetes cluster: {programs}")
        session.config.stash[PROGRAMS] = programs


def had(say: Callable[[str], None]) -> Programs | str:
    """The programs of a cluster, or why there are none."""
    reason = available()
    if reason is not None:
        return reason
    try:
        return ensure(say=say)
    except BuildFailedError as failure:
        return f"{failure}"


@pytest.fixture(scope="session")
def programs(pytestconfig: pytest.Config) -> Mapping[str, Path]:
    """The built programs; without them the test is skipped, on CI it fails if they did not build."""
    found = pytestconfig.stash[PROGRAMS]
    if isinstance(found, str):
        if os.environ.get("CI") and available() is None:
            pytest.fail(found, pytrace=False)
        pytest.skip(found)
    return found


@pytest.fixture(scope="session")
def cluster(
    programs: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """The cluster of the whole run: leave it as it was found, and use a namespace."""
    with Cluster(tmp_path_factory.mktemp("cluster"), programs=programs) as started:
        yield started


@pytest.fixture(scope="session")
def crds(cluster: Cluster) -> None:
    """The product's CRDs, established in the cluster of the whole run."""
    cluster.apply(*manifests())


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A new namespace in the cluster of the whole run, removed afterwards as far as it can be."""
    name = f"test-{secrets.token_hex(4)}"
    cluster.api().need("POST", "/api/v1/namespaces", body={"metadata": {"name": name}})
    yield name
    with suppress(ContentLeftError, RefusedError, OSError, HTTPException):
        cluster.finalize_namespace(name)


@pytest.fixture
def proxy(cluster: Cluster) -> Iterator[FaultProxy]:
    """A fault proxy of the test's own, before the cluster of the whole run."""
    with FaultProxy(cluster) as started:
        yield started


@pytest.fixture
def proxied(proxy: FaultProxy) -> Api:
    """The administrator's API through the fault proxy."""
    return Api(proxy.url, ca_file=proxy.ca_file, token=TOKENS["admin"])


@pytest.fixture
def fresh_cluster(programs: Mapping[str, Path], tmp_path: Path) -> Iterator[Cluster]:
    """A cluster of the test's own, to compact, to restart and to break."""
    with Cluster(tmp_path / "cluster", programs=programs) as started:
        yield started
