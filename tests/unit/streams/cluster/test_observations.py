"""Observations through the API server: what is requested of it, and what is made of its responses."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest

from operators.flow.trace import Correlation
from operators.model.identity import Identity, IngesterKey
from sinks.responses import ResponseClass, UnansweredError, classify_response
from sinks.responses import WriteResponse as SinkResponse
from streams.cluster.errors import (
    ClusterError,
    CredentialsRefusedError,
    ResponseTooLargeError,
    UnreachableError,
)
from streams.cluster.observations import ListRefusedError, Observations
from streams.cluster.response import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sinks.stored import StoredRecord
    from streams.cluster.session import Session

INGESTER = IngesterKey("shop", "case")


class Server:
    """A session that holds Observations, and sends at most ``fits`` of them in one response."""

    def __init__(self, *items: bytes, fits: int = 1000) -> None:
        self.limits: list[int] = []
        self.selectors: list[str] = []
        self.requests: list[dict[str, Any]] = []
        self.instead: Response | ClusterError | None = None
        self._items = items
        self._fits = fits

    async def request(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, **options: object
    ) -> Response:
        self.requests.append({"method": method, "path": path, "query": query, **options})
        if isinstance(self.instead, ClusterError):
            raise self.instead
        if self.instead is not None:
            return self.instead
        assert query is not None
        limit, start = int(query["limit"]), int(query.get("continue", "0"))
        self.limits.append(limit)
        self.selectors.append(query["labelSelector"])
        if len(self._items[start : start + limit]) > self._fits:
            raise ResponseTooLargeError("a response of more than 64 MiB")
        behind = str(start + limit) if start + limit < len(self._items) else ""
        shown = b",".join(self._items[start : start + limit])
        metadata = msgspec.json.encode({"continue": behind})
        return Response(200, {}, b'{"metadata":%s,"items":[%s]}' % (metadata, shown))


def observations(server: Server) -> Observations:
    return Observations(cast("Session", cast("Any", server)))


def listed(server: Server, ingester: IngesterKey = INGESTER) -> list[StoredRecord]:
    async def main() -> list[StoredRecord]:
        return [one async for one in observations(server).list_of(ingester)]

    return asyncio.run(main())


def names(server: Server) -> list[str]:
    return [record.stored.name for record in listed(server)]


def stored(
    name: str,
    *,
    ingester: IngesterKey = INGESTER,
    stands_in: str = "shop",
    observed_in: str = "shop",
    **spec: object,
) -> bytes:
    """An Observation of one Ingester as the server holds it."""
    identity = {
        "ingester": {"namespace": ingester.namespace, "name": ingester.name},
        "resource": "configmaps",
        "namespace": observed_in,
        "name": f"of-{name}",
    }
    metadata = {"name": name, "namespace": stands_in}
    return msgspec.json.encode({"metadata": metadata, "spec": {"identity": identity, **spec}})


def named(count: int) -> list[bytes]:
    return [stored(str(number)) for number in range(count)]


def test_the_observations_of_one_ingester_are_read_back_by_their_identity() -> None:
    spec: dict[str, Any] = {
        "fingerprint": "f",
        "firstSeen": "2026-11-20T06:00:00Z",
        "resolvedAt": "2026",
    }
    server = Server(stored("a", **spec))
    (record,) = listed(server)
    assert record.identity == Identity(INGESTER, "", "", "configmaps", "shop", "of-a")
    assert (record.stored.fingerprint, record.stored.first_seen) == (
        "f",
        "2026-11-20T06:00:00Z",
    )
    assert record.stored.resolved
    assert server.selectors == ["zen.kube-zen.io/ingester=shop.case"]
    (request,) = server.requests
    assert request["path"] == "/apis/zen.kube-zen.io/v1alpha1/observations"
    assert (request["method"], request["verb"]) == ("GET", "list")


def test_a_copy_in_another_namespace_is_not_the_observation() -> None:
    server = Server(
        stored("a"),
        stored("copy", stands_in="restored"),
        stored("of-a-node", stands_in=INGESTER.namespace, observed_in=""),
        stored("copy-of-a-node", stands_in="restored", observed_in=""),
    )
    assert names(server) == ["a", "of-a-node"]


def test_a_cut_label_that_is_shared_is_decided_by_the_identity() -> None:
    other = IngesterKey("shop", "another")
    server = Server(stored("a"), stored("b", ingester=other), stored("c"))
    assert names(server) == ["a", "c"]
    assert [record.stored.name for record in listed(server, other)] == ["b"]


@pytest.mark.parametrize(
    ("fits", "limits"), [(1000, [500, 500]), (200, [500, 250, 125, 125, 125, 125, 125])]
)
def test_a_page_too_large_to_be_read_is_requested_in_halves(fits: int, limits: list[int]) -> None:
    server = Server(*named(600), fits=fits)

    assert names(server) == [str(number) for number in range(600)]
    assert server.limits == limits


def test_a_single_observation_that_is_too_large_is_no_endless_loop() -> None:
    server = Server(*named(1), fits=0)

    with pytest.raises(ResponseTooLargeError):
        names(server)
    assert server.limits == [500, 250, 125, 62, 31, 15, 7, 3, 1]


@pytest.mark.parametrize(
    "body",
    [
        b"<html>sign in</html>",
        b'{"metadata":{"continue":"caf\xe9"},"items":[]}',
        b'{"a":' * 100_000,
        b'{"metadata":{},"rows":[]}',
    ],
)
def test_what_is_no_list_is_a_refusal(body: bytes) -> None:
    server = Server()
    server.instead = Response(200, {}, body)

    with pytest.raises(ListRefusedError, match=r"^200: "):
        names(server)


def test_a_refusal_has_its_reason() -> None:
    server = Server()
    body = b'{"kind":"Status","reason":"Forbidden","message":"not for you"}'
    server.instead = Response(403, {}, body)

    with pytest.raises(ListRefusedError, match=r"^403 Forbidden: not for you$"):
        names(server)


def test_an_observation_that_cannot_be_decoded_is_passed_over() -> None:
    latin = stored("a", fingerprint="cafe").replace(b"cafe", b"caf\xe9")
    assert names(Server(latin, b'{"metadata":7}', b'{"metadata":{"name":"x"}}', *named(1))) == ["0"]


def test_a_list_of_nothing_may_be_null() -> None:
    server = Server()
    server.instead = Response(200, {}, b'{"metadata":{},"items":null}')

    assert names(server) == []


@pytest.mark.parametrize(
    ("status", "expected"),
    [(200, ("", "", ())), (201, ("", "", ())), (403, ("Forbidden", "no", ("Quota",)))],
)
def test_only_a_refusal_is_read_as_a_status(
    status: int, expected: tuple[str, str, tuple[str, ...]]
) -> None:
    details = {"causes": [{"reason": "Quota"}]}
    text = {"kind": "Status", "reason": "Forbidden", "message": "no", "details": details}
    server = Server()
    server.instead = Response(status, {}, msgspec.json.encode(text), waited_seconds=2.0)

    response = asyncio.run(observations(server).apply("n", "o", body=b"{}"))

    assert (response.reason, response.message, response.causes) == expected
    assert (response.status, response.waited_seconds) == (status, 2.0)
    assert response.body


CORRELATION = Correlation("00-a-b-01", "a-b")
PATH = "/apis/zen.kube-zen.io/v1alpha1/namespaces/n/observations/o"
HEADERS = {"traceparent": "00-a-b-01", "Audit-ID": "a-b"}


async def requested(server: Server, verb: str, *, correlated: bool = True) -> SinkResponse:
    writer, correlation = observations(server), CORRELATION if correlated else None
    if verb == "apply":
        return await writer.apply("n", "o", body=b"{}", correlation=correlation)
    if verb == "get":
        return await writer.read("n", "o", correlation=correlation)
    return await writer.delete("n", "o", correlation=correlation)


VERBS = {"apply": "PATCH", "get": "GET", "delete": "DELETE"}


@pytest.mark.parametrize("verb", VERBS)
def test_a_request_carries_its_correlation(verb: str) -> None:
    server = Server()
    server.instead = Response(200, {}, b"{}")
    asyncio.run(requested(server, verb))
    asyncio.run(requested(server, verb, correlated=False))
    with_, without = server.requests
    assert (with_["method"], with_["path"], with_["verb"]) == (VERBS[verb], PATH, verb)
    assert with_["timeout_seconds"] == 30.0
    kind = {"Content-Type": "application/apply-patch+yaml"} if verb == "apply" else {}
    assert with_["headers"] == kind | HEADERS
    assert without["headers"] == kind
    if verb == "apply":
        assert with_["query"] == {"fieldManager": "zen-streams", "force": "true"}
        assert with_["body"] == b"{}"


@pytest.mark.parametrize("verb", VERBS)
def test_a_request_without_a_response_is_unanswered(verb: str) -> None:
    server = Server()
    server.instead = UnreachableError("connection refused")
    with pytest.raises(UnansweredError, match="connection refused"):
        asyncio.run(requested(server, verb))


@pytest.mark.parametrize("verb", VERBS)
def test_refused_credentials_are_a_401(verb: str) -> None:
    server = Server()
    server.instead = CredentialsRefusedError("expired")
    response = asyncio.run(requested(server, verb))
    assert (response.status, response.message) == (401, "expired")
    assert classify_response(response) is ResponseClass.SUSPEND_ALL


def test_a_requested_pause_is_passed_on() -> None:
    server = Server()
    server.instead = Response(429, {"Retry-After": "7"}, b"")
    assert asyncio.run(requested(server, "apply")).retry_after_seconds == 7.0
