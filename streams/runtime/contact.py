"""The first request to the API server: repeated with backoff until a response comes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from operators.flow.backoff import Backoff, BackoffSettings
from operators.flow.clock import NANOSECONDS_PER_SECOND, Clock
from streams.cluster.errors import ClusterError, CredentialsRefusedError
from streams.cluster.session import Session

log = logging.getLogger(__name__)

CONTACT_BACKOFF = BackoffSettings(initial_seconds=1.0, cap_seconds=15.0)
"""Capped low, because one process sends one small request: a server that is back is noticed within 30 s."""


class FirstContact:
    """Whether the API server has responded since the process started.

    ``error`` is what the last attempt failed with, for the readiness probe; empty once a response came.
    """

    def __init__(self, session: Session, *, clock: Clock, random: Callable[[], float]) -> None:
        self._session = session
        self._clock = clock
        self._random = random
        self.error = "no response from the API server yet"

    async def establish(self, *, stop: asyncio.Event) -> None:
        """Return once the API server has responded, with whatever status, or once ``stop`` is set.

        Raises ``CredentialsRefusedError`` at once: credentials that were renewed and refused again need an operator.
        """
        attempts = asyncio.create_task(self._attempt_until_response())
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((attempts, stopped), return_when=asyncio.FIRST_COMPLETED)
        finally:
            # Also when this call itself is cancelled: no attempt outlives it and uses a closed session.
            attempts.cancel()
            stopped.cancel()
            await asyncio.gather(attempts, stopped, return_exceptions=True)
        if not attempts.cancelled():
            attempts.result()

    async def _attempt_until_response(self) -> None:
        backoff = Backoff(CONTACT_BACKOFF, random=self._random)
        while True:
            try:
                await self._session.request("GET", "/version", verb="get")
            except CredentialsRefusedError:
                raise
            except ClusterError as error:
                self.error = str(error)
                log.warning("the API server is unreachable", extra={"detail": self.error})
            else:
                self.error = ""
                return
            await asyncio.sleep(backoff.next_ns(self._clock()) / NANOSECONDS_PER_SECOND)
