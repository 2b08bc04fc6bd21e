"""The feeder: the signals' requests, made in time, through the product's own client."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from demo.signal import Request, Signal
from operators.flow.clock import NANOSECONDS_PER_SECOND, Clock
from streams.cluster.errors import ClusterError
from streams.cluster.session import Session

_REFUSED = 400


class FeedError(Exception):
    """The API server did not take an object of the demonstration; the text says which, and why."""


class Feeder:
    """Feeds each signal's requests one after another, the signals at once."""

    def __init__(self, session: Session, signals: Sequence[Signal], *, clock: Clock) -> None:
        self._session = session
        self._signals = signals
        self._clock = clock

    async def begin(self) -> None:
        """Make what is there at the beginning. Raises ``FeedError``."""
        async with asyncio.TaskGroup() as group:
            for signal in self._signals:
                group.create_task(self._begin(signal))

    async def feed(self, per_second: float, *, over: asyncio.Event) -> None:
        """Make so many requests a second in all, until it is over. Raises ``FeedError``.

        Each signal has its share of them. The n-th is due n intervals after the first, however long others took: what
        is late is caught up.
        """
        shares = sum(signal.share for signal in self._signals)
        async with asyncio.TaskGroup() as group:
            for signal in self._signals:
                interval_ns = NANOSECONDS_PER_SECOND * shares / (per_second * signal.share)
                group.create_task(self._feed(signal, interval_ns, over=over))

    async def _begin(self, signal: Signal) -> None:
        for _ in range(signal.first):
            await self._send(signal.next())

    async def _feed(self, signal: Signal, interval_ns: float, *, over: asyncio.Event) -> None:
        began_ns, number = self._clock(), 0
        while True:
            number += 1
            due_ns = began_ns + round(number * interval_ns)
            wait_seconds = (due_ns - self._clock()) / NANOSECONDS_PER_SECOND
            if wait_seconds > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_seconds):
                        await over.wait()
            if over.is_set():
                return
            await self._send(signal.next())

    async def _send(self, request: Request) -> None:
        body = None if request.body is None else msgspec.json.encode(request.body)
        headers = {"Content-Type": request.content_type} if body is not None else {}
        what = f"{request.method} {request.path}"
        try:
            answer = await self._session.request(
                request.method,
                request.path,
                verb=request.method.lower(),
                body=body,
                headers=headers,
            )
        except ClusterError as error:
            raise FeedError(f"{what}: {error}") from None
        if answer.status >= _REFUSED:
            raise FeedError(f"{what}: {answer.status} {answer.reason}: {answer.message}")
