"""A loop in a thread of its own, for servers beside tests that block."""

from __future__ import annotations

import asyncio
import threading
from selectors import DefaultSelector
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

Result = TypeVar("Result")

ANSWER_SECONDS = 30.0
"""Nothing that is asked of such a server takes longer, but where it hangs."""


GOODBYE_SECONDS, TURN_SECONDS = 1.0, 0.005


class LoopThread:
    """A plain asyncio loop, running from entry to exit."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> Self:
        self._selector = DefaultSelector()
        self._loop = asyncio.SelectorEventLoop(self._selector)
        self._own = len(self._selector.get_map())
        self._thread = threading.Thread(target=self._loop.run_forever, name=self._name, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self._wind_up())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(ANSWER_SECONDS)
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """What the coroutine returns or raises, run in the loop; raises TimeoutError after 30 s."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(ANSWER_SECONDS)

    def call(self, function: Callable[[], Result]) -> Result:
        """What the function returns or raises, called in the loop."""

        async def called() -> Result:
            return function()

        return self.run(called())

    async def _wind_up(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._closed_connections()
        await self._loop.shutdown_asyncgens()
        await self._loop.shutdown_default_executor()

    async def _closed_connections(self) -> None:
        """What is closed over TLS waits for its peer to say so, too: let it."""
        deadline = self._loop.time() + GOODBYE_SECONDS
        while len(self._selector.get_map()) > self._own and self._loop.time() < deadline:  # noqa: ASYNC110  none tells
            await asyncio.sleep(TURN_SECONDS)
