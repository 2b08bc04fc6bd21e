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
from tests.cluster.controllers import Controllers
from tests.cluster.faults import FaultProxy
from tests.cluster.namespaces import ContentLeftError
from tests.cluster.parts import CLUSTER, CONTROLLERS, TELEMETRY, BuildFailedError, available, ensure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

HERE = Path(__file__).parent
TIMEOUT_SECONDS = 120.0
"""The first test also waits for the cluster, which is ready after 3 s on an idle machine."""

Programs = dict[str, Path]
PROGRAMS = pytest.StashKey[dict[str, "Programs | str"]]()
WANTED = {
    "programs": CLUSTER,
    "whole_programs": (*CLUSTER, *CONTROLLERS),
    "telemetry_programs": TELEMETRY,
}
"""What is built for which fixture."""


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(TIMEOUT_SECONDS))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build what is missing here, where no test's timeout runs."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    say: Callable[[str], None] = print if reporter is None else reporter.write_line
    session.config.stash[PROGRAMS] = {}
    for fixture, names in WANTED.items():
        wanting = [item for item in session.items if fixture in getattr(item, "fixturenames", ())]
        if wanting and not session.config.option.collectonly:
            found = had(names, say=say)
            if isinstance(found, str):
                say(f"{len(wanting)} tests need a genuine Kubernetes cluster: {found}")
            session.config.stash[PROGRAMS][fixture] = found


def had(names: Sequence[str], *, say: Callable[[str], None]) -> Programs | str:
    """The programs by name, or why there are none."""
    reason = available(names)
    if reason is not None:
        return reason
    try:
        return ensure(names, say=say)
    except BuildFailedError as failure:
        return f"{failure}"


def built(fixture: str, config: pytest.Config) -> Programs:
    """The built programs; without them the test is skipped, on CI it fails if they did not build."""
    found = config.stash[PROGRAMS][fixture]
    if isinstance(found, str):
        if os.environ.get("CI") and available(WANTED[fixture]) is None:
            pytest.fail(found, pytrace=False)
        pytest.skip(found)
    return found


@pytest.fixture(scope="session")
def programs(pytestconfig: pytest.Config) -> Mapping[str, Path]:
    """The programs of a cluster."""
    return built("programs", pytestconfig)


@pytest.fixture(scope="session")
def whole_programs(pytestconfig: pytest.Config) -> Mapping[str, Path]:
    """The programs of a cluster with controllers and a node."""
    return built("whole_programs", pytestconfig)


@pytest.fixture(scope="session")
def telemetry_programs(pytestconfig: pytest.Config) -> Mapping[str, Path]:
    """A collector and a Jaeger."""
    return built("telemetry_programs", pytestconfig)


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


@pytest.fixture(scope="module")
def whole_cluster(
    whole_programs: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """A cluster of the module's own, with controllers, service accounts, and a node that fakes pods."""
    folder = tmp_path_factory.mktemp("whole-cluster")
    with (
        Cluster(folder, programs=whole_programs, accounts=True) as started,
        Controllers(started, programs=whole_programs),
    ):
        yield started
