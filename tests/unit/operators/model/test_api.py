"""Pydantic needs the versions as a ``Literal``, which no constant can stand in for: they have to agree."""

from __future__ import annotations

from typing import get_args

from operators.model.api import API_VERSION, GROUP, VERSIONS
from sinks.resource import ObservationResource
from streams.config.ingester import Ingester


def test_documents_and_observations_allow_the_served_versions_and_no_other() -> None:
    served = tuple(f"{GROUP}/{version}" for version in VERSIONS)

    assert get_args(Ingester.model_fields["api_version"].annotation) == served
    assert get_args(ObservationResource.model_fields["api_version"].annotation) == served
    assert served[0] == API_VERSION
