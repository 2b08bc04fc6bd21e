"""The genuine API server, for what is measured beside it or against it."""

from __future__ import annotations

from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING

import pytest

from streams.config.crd import manifests
from tests.cluster.cluster import Cluster
from tests.cluster.parts import CLUSTER, PARTS
from tests.cluster.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

OBSERVATIONS = "/apis/zen.kube-zen.io/v1/observations"


@contextmanager
def genuine(folder: Path) -> Generator[Cluster]:
    """A cluster that serves Observations; nothing is measured where its parts are not built (``make cluster``)."""
    programs = {name: PARTS[name].program for name in CLUSTER}
    if not all(program.exists() for program in programs.values()):
        pytest.skip("the genuine server's parts are not built: make cluster")
    with Cluster(folder / "cluster", programs=programs) as cluster:
        cluster.apply(*manifests())
        wait_until(
            lambda: cluster.request("GET", OBSERVATIONS).status == HTTPStatus.OK,
            seconds=30,
            what="Observations to be served",
        )
        yield cluster
