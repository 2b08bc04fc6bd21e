"""Observations through the API server: what is asked of it, and what is made of its answers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest

from streams.cluster.answer import Answer
from streams.cluster.errors import TooLargeAnswerError
from streams.cluster.observations import ListRefusedError, Observations, Stored

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.cluster.session import Session


class Server:
    """A session that holds Observations, and answers at most ``fits`` of them at once."""

    def __init__(self, *items: bytes, fits: int = 1000) -> None:
        self.limits: list[int] = []
        self.instead: Answer | None = None
        self._items = items
        self._fits = fits

    async def request(
        self, _method: str, _path: str, *, query: Mapping[str, str] | None = None, **_: object
    ) -> Answer:
        if self.instead is not None:
            return self.instead
        assert query is not None
        limit, start = int(query["limit"]), int(query.get("continue", "0"))
        self.limits.append(limit)
        if len(self._items[start : start + limit]) > self._fits:
            raise TooLargeAnswerError("an answer of more than 64 MiB")
        behind = str(start + limit) if start + limit < len(self._items) else ""
        shown = b",".join(self._items[start : start + limit])
        metadata = msgspec.json.encode({"continue": behind})
        return Answer(200, {}, b'{"metadata":%s,"items":[%s]}' % (metadata, shown))


def observations(server: Server) -> Observations:
    return Observations(cast("Session", cast("Any", server)))


def names(server: Server) -> list[str]:
    async def main() -> list[str]:
        return [one.metadata.name async for one in observations(server).own("label")]

    return asyncio.run(main())


def named(count: int) -> list[bytes]:
    return [b'{"metadata":{"name":"%d"}}' % number for number in range(count)]


@pytest.mark.parametrize(
    ("fits", "limits"), [(1000, [500, 500]), (200, [500, 250, 125, 125, 125, 125, 125])]
)
def test_a_page_too_large_to_be_read_is_asked_for_in_halves(fits: int, limits: list[int]) -> None:
    server = Server(*named(600), fits=fits)

    assert names(server) == [str(number) for number in range(600)]
    assert server.limits == limits


def test_a_single_observation_that_is_too_large_is_no_endless_loop() -> None:
    server = Server(*named(1), fits=0)

    with pytest.raises(TooLargeAnswerError):
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
    server.instead = Answer(200, {}, body)

    with pytest.raises(ListRefusedError, match=r"^200: "):
        names(server)


def test_a_refusal_says_why() -> None:
    server = Server()
    body = b'{"kind":"Status","reason":"Forbidden","message":"not for you"}'
    server.instead = Answer(403, {}, body)

    with pytest.raises(ListRefusedError, match=r"^403 Forbidden: not for you$"):
        names(server)


def test_an_observation_that_nobody_can_read_is_passed_over() -> None:
    latin = b'{"metadata":{"name":"a"},"spec":{"fingerprint":"caf\xe9"}}'
    assert names(Server(latin, b'{"metadata":7}', *named(1))) == ["0"]


def test_a_list_of_nothing_may_be_null() -> None:
    server = Server()
    server.instead = Answer(200, {}, b'{"metadata":{},"items":null}')

    assert names(server) == []


@pytest.mark.parametrize(
    ("status", "said"),
    [(200, ("", "", ())), (201, ("", "", ())), (403, ("Forbidden", "no", ("Quota",)))],
)
def test_only_a_refusal_is_read_as_a_status(
    status: int, said: tuple[str, str, tuple[str, ...]]
) -> None:
    details = {"causes": [{"reason": "Quota"}]}
    text = {"kind": "Status", "reason": "Forbidden", "message": "no", "details": details}
    server = Server()
    server.instead = Answer(status, {}, msgspec.json.encode(text), waited_seconds=2.0)

    answer = asyncio.run(observations(server).apply("n", "o", body=b"{}"))

    assert (answer.reason, answer.message, answer.causes) == said
    assert (answer.status, answer.waited_seconds) == (status, 2.0)
    assert answer.body


def test_a_window_is_restored_with_its_uid_and_its_trace() -> None:
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    metadata = {
        "name": "x",
        "uid": "u-1",
        "annotations": {"tracing.k8s.io/traceparent": traceparent},
    }
    opening = {
        "opening": "o/7",
        "windowStart": "2026-11-20T06:00:00Z",
        "windowEnd": "2026-11-20T07:00:00Z",
    }
    body = {"metadata": metadata, "spec": {"fingerprint": "f", "occurrence": opening}}
    opened = msgspec.convert(body, Stored).opened

    assert opened is not None
    assert (opened[1].uid, opened[1].traceparent) == ("u-1", traceparent)
