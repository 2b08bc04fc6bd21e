"""One suite, two servers: what holds on the embedded API server holds on a genuine one, and is its answer."""

from __future__ import annotations

import secrets
from collections import defaultdict
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from demo.apiserver.access import User
from demo.apiserver.server import ApiServer
from streams.config.crd import manifests
from tests.cluster.api import Api, RefusedError
from tests.cluster.commands import TOKENS
from tests.cluster.conftest import (
    TIMEOUT_SECONDS,
    cluster,
    programs,
    pytest_collection_finish,
)
from tests.cluster.loop_thread import LoopThread
from tests.cluster.namespaces import ContentLeftError
from tests.contract.api.subject import Subject
from tests.contract.api.things import establish

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

__all__ = ["cluster", "programs", "pytest_collection_finish"]

HERE = Path(__file__).parent
EMBEDDED, GENUINE = "embedded", "genuine"
NEVER = "-"


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        callspec = getattr(item, "callspec", None)
        asks = callspec.params.get("subject") if callspec is not None else None
        if HERE in item.path.parents and asks == GENUINE:
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.timeout(TIMEOUT_SECONDS))
            item.fixturenames.append("programs")  # type: ignore[attr-defined]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what each check said of both servers, where both were asked."""
    told: dict[str, dict[str, str]] = defaultdict(dict)
    for outcome in ("passed", "failed", "skipped", "error"):
        for report in terminalreporter.stats.get(outcome, ()):
            check, _, parameters = report.nodeid.rpartition("/")[2].partition("[")
            for server in (EMBEDDED, GENUINE):
                if "tests/contract/api/" in report.nodeid and server in parameters:
                    rest = parameters.rstrip("]").replace(server, "").strip("-")
                    told[f"{check} {rest}".replace(".py::test_", ": ")][server] = outcome
    if {server for each in told.values() for server in each} != {EMBEDDED, GENUINE}:
        return
    width = max(len(check) for check in told)
    terminalreporter.section("the API's contract")
    terminalreporter.write_line(f"{'check':{width}} | embedded | genuine")
    for check, each in sorted(told.items()):
        columns = f"{each.get(EMBEDDED, NEVER):8} | {each.get(GENUINE, NEVER)}"
        terminalreporter.write_line(f"{check:{width}} | {columns}")


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    """The embedded server, with the users that the genuine one has."""
    ca_file = tmp_path_factory.mktemp("embedded") / "ca.crt"
    users = [User(name, token) for name, token in TOKENS.items() if name != "admin"]
    with LoopThread("embedded API server") as loop:
        server = ApiServer(users=users)
        loop.run(server.__aenter__())
        ca_file.write_text(server.ca_pem)

        def api(token: str) -> Api:
            return Api(server.url, ca_file=ca_file, token=token)

        yield Subject(
            EMBEDDED,
            api(server.token),
            viewer=api(TOKENS["viewer"]),
            forget=lambda: api(server.token).need("POST", "/debug/forget-history"),
            drop=lambda name: api(server.token).need("DELETE", f"/api/v1/namespaces/{name}"),
        )
        loop.run(server.__aexit__())


@pytest.fixture(scope="session", params=[EMBEDDED, GENUINE])
def subject(request: pytest.FixtureRequest) -> Subject:
    """The server that is asked."""
    if request.param == EMBEDDED:
        return request.getfixturevalue(EMBEDDED)
    genuine = request.getfixturevalue("cluster")
    return Subject(
        GENUINE,
        genuine.api(),
        viewer=genuine.api("viewer"),
        forget=genuine.compact,
        drop=genuine.finalize_namespace,
    )


@pytest.fixture
def api(subject: Subject) -> Api:
    """The administrator's API."""
    return subject.api


@contextmanager
def fresh(subject: Subject) -> Generator[str]:
    """A new namespace, removed afterwards as far as it can be."""
    name = f"test-{secrets.token_hex(4)}"
    subject.api.need("POST", "/api/v1/namespaces", body={"metadata": {"name": name}})
    yield name
    with suppress(ContentLeftError, RefusedError, OSError, HTTPException):
        subject.drop(name)


@pytest.fixture
def namespace(subject: Subject) -> Iterator[str]:
    """A new namespace of the test's own."""
    with fresh(subject) as name:
        yield name


@pytest.fixture(scope="session")
def definitions(subject: Subject) -> None:
    """The product's definitions, served."""
    for definition in manifests():
        establish(subject.api, definition)


@pytest.fixture(scope="module")
def shared(subject: Subject, definitions: None) -> Iterator[str]:  # noqa: ARG001
    """A namespace that the tests of a file share, where the product's resources are served."""
    with fresh(subject) as name:
        yield name


@pytest.fixture
def ours(definitions: None, namespace: str) -> str:  # noqa: ARG001
    """A new namespace on a server that serves the product's definitions."""
    return namespace
