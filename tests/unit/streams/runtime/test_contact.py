"""The first request to the API server: neither a busy loop while it is down, nor an end before it is up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import TYPE_CHECKING, cast

import pytest

from streams.cluster.errors import CredentialsRefusedError, UnreachableError
from streams.runtime.contact import FirstContact
from tests.unit.streams.cluster.virtual import VirtualLoop, run

if TYPE_CHECKING:
    from streams.cluster.session import Session

DOWN = UnreachableError("10.0.0.1:6443: Connection refused")
REFUSED = CredentialsRefusedError("10.0.0.1:6443 refused the credentials")


class Server:
    """Fails with the errors it is given, then responds; notes when a request came."""

    def __init__(self, loop: VirtualLoop, failures: Iterable[Exception]) -> None:
        self._loop = loop
        self._failures = iter(failures)
        self.requests: list[tuple[str, str, str]] = []
        self.seconds: list[float] = []

    async def request(self, method: str, path: str, *, verb: str) -> None:
        self.requests.append((method, path, verb))
        self.seconds.append(self._loop.time())
        await asyncio.sleep(0)
        error = next(self._failures, None)
        if error is not None:
            raise error

    @property
    def waits(self) -> list[float]:
        return [after - before for before, after in pairwise(self.seconds)]


def contact(server: Server, loop: VirtualLoop, *, share: float = 0.0) -> FirstContact:
    random: Callable[[], float] = lambda: share  # noqa: E731
    return FirstContact(cast("Session", server), clock=loop.clock, random=random)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_waits_grow_up_to_fifteen_seconds_and_are_spread_up_to_twice(share: float) -> None:
    async def main(loop: VirtualLoop) -> list[float]:
        server = Server(loop, [DOWN] * 7)
        await contact(server, loop, share=share).establish(stop=asyncio.Event())
        return server.waits

    assert run(main) == pytest.approx([it * (1 + share) for it in (1, 2, 4, 8, 15, 15, 15)])


def test_the_version_is_requested_until_a_response_comes() -> None:
    async def main(loop: VirtualLoop) -> None:
        server = Server(loop, [DOWN, DOWN])
        first = contact(server, loop)
        assert first.error == "no response from the API server yet"
        await first.establish(stop=asyncio.Event())
        assert server.requests == [("GET", "/version", "get")] * 3
        assert first.error == ""

    run(main)


def test_an_outage_is_named_while_it_lasts(caplog: pytest.LogCaptureFixture) -> None:
    async def main(loop: VirtualLoop) -> None:
        server, stop = Server(loop, [DOWN] * 100), asyncio.Event()
        first = contact(server, loop)
        loop.call_later(0.5, stop.set)
        await first.establish(stop=stop)
        assert first.error == str(DOWN)

    run(main)
    assert [(it.message, vars(it)["detail"]) for it in caplog.records] == [
        ("the API server is unreachable", str(DOWN))
    ]


def test_refused_credentials_are_raised_at_once() -> None:
    async def main(loop: VirtualLoop) -> None:
        server = Server(loop, [REFUSED])
        with pytest.raises(CredentialsRefusedError):
            await contact(server, loop).establish(stop=asyncio.Event())
        assert (len(server.requests), loop.time()) == (1, 0.0)

    run(main)


def test_refused_credentials_are_raised_after_an_outage_too() -> None:
    async def main(loop: VirtualLoop) -> None:
        server = Server(loop, [DOWN, REFUSED, DOWN])
        with pytest.raises(CredentialsRefusedError):
            await contact(server, loop).establish(stop=asyncio.Event())
        assert server.seconds == [0.0, 1.0]

    run(main)


def test_stop_ends_a_wait_and_no_request_follows() -> None:
    async def main(loop: VirtualLoop) -> None:
        server, stop = Server(loop, [DOWN] * 100), asyncio.Event()
        loop.call_later(5.5, stop.set)
        await contact(server, loop).establish(stop=stop)
        assert loop.time() == pytest.approx(5.5)
        await asyncio.sleep(3600)
        assert server.seconds == pytest.approx([0.0, 1.0, 3.0])

    run(main)


def test_a_cancelled_caller_leaves_no_attempt_behind() -> None:
    async def main(loop: VirtualLoop) -> None:
        server = Server(loop, [DOWN] * 100)
        task = asyncio.create_task(contact(server, loop).establish(stop=asyncio.Event()))
        await asyncio.sleep(1.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(3600)
        assert server.seconds == pytest.approx([0.0, 1.0])
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main)


def test_what_is_no_fault_of_the_cluster_is_raised() -> None:
    async def main(loop: VirtualLoop) -> None:
        with pytest.raises(ZeroDivisionError):
            await contact(Server(loop, [ZeroDivisionError()]), loop).establish(stop=asyncio.Event())

    run(main)
