"""The first contact with the API server: tried until it is made, or until nobody wants it any more."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from streams.cluster.errors import ClusterError, CredentialsRefusedError
from streams.cluster.session import Session

log = logging.getLogger(__name__)

CONTACT_FIRST_SECONDS = 1.0
CONTACT_LONGEST_SECONDS = 15.0


class Contact:
    """Whether the API server was ever reached; ``trouble`` says what stands in the way, and is empty after."""

    def __init__(self, session: Session, *, random: Callable[[], float]) -> None:
        self._session = session
        self._random = random
        self.trouble = "no answer from the API server yet"

    async def made(self, *, unless: asyncio.Event) -> None:
        """Wait for the contact, ``unless`` that event comes first. Raises ``CredentialsRefusedError``."""
        contact = asyncio.create_task(self._try())
        stop = asyncio.create_task(unless.wait())
        await asyncio.wait((contact, stop), return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not contact.done():
            contact.cancel()
        await asyncio.gather(contact, stop, return_exceptions=True)
        if not contact.cancelled():
            contact.result()

    async def _try(self) -> None:
        wait_seconds = CONTACT_FIRST_SECONDS
        while True:
            try:
                await self._session.request("GET", "/version", verb="get")
            except CredentialsRefusedError:
                raise
            except ClusterError as error:
                self.trouble = str(error)
                log.warning("the API server is out of reach", extra={"detail": self.trouble})
            else:
                self.trouble = ""
                return
            await asyncio.sleep(wait_seconds * (1 + self._random()))
            wait_seconds = min(2 * wait_seconds, CONTACT_LONGEST_SECONDS)
