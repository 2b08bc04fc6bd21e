"""Holds: what makes writes wait as a whole (a namespace without rights or quota, a missing definition).

While a hold is open its subjects are put aside without a request, to be read again when it opens the way; one try
every 30 s finds out. One namespace never holds up another.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from operators.flow.clock import NANOSECONDS_PER_SECOND, Clock
from operators.model.outcome import Ending, Hold, Outcome

log = logging.getLogger(__name__)

TRY_EVERY_SECONDS = 30
EVERYTHING = "*"
"""The scope of a hold on all namespaces; no namespace is named so."""


class Holds:
    """The open holds by scope: a namespace, or everything; bounded by the namespaces written to."""

    def __init__(self, clock: Clock, *, on_release: Callable[[], None] = lambda: None) -> None:
        self._clock = clock
        self._on_release = on_release
        self._open: dict[str, Hold] = {}
        self._attempt_at_ns: dict[str, int] = {}

    def __iter__(self) -> Iterator[Hold]:
        """The open holds, for conditions and metrics."""
        return iter(tuple(self._open.values()))

    def __len__(self) -> int:
        """How many holds are open."""
        return len(self._open)

    def bars(self, namespace: str) -> Outcome | None:
        """How a write into a namespace ends without a request, or ``None`` if it may be tried."""
        for scope in (EVERYTHING, namespace):
            hold = self._open.get(scope)
            if hold is not None and self._clock() < self._attempt_at_ns[scope]:
                return put_aside(hold)
        return None

    def claim(self, namespace: str) -> None:
        """Make a write the one try: until it is answered, others under the same hold are put aside."""
        for scope in (EVERYTHING, namespace):
            if scope in self._open:
                self._attempt_at_ns[scope] = self._next()

    def hold(self, scope: str, *, reason: str, detail: str) -> Outcome:
        """Open a hold, or keep it open after a failed try, and say how the event that met it ends."""
        hold = self._open.get(scope)
        self._attempt_at_ns[scope] = self._next()
        if hold is None:
            hold = Hold(f"{reason} {scope}", detail=detail, try_at_ns=self._next())
            self._open[scope] = hold
            log.warning(
                "writes are on hold, one try every %s s",
                TRY_EVERY_SECONDS,
                extra={"scope": scope, "detail": detail},
            )
        hold.try_at_ns = self._next()
        hold.detail = detail
        return put_aside(hold)

    def release(self, namespace: str) -> None:
        """A write into a namespace succeeded: what held it, and what held everything, is over."""
        self._end(EVERYTHING, namespace)

    def forget(self, namespace: str) -> None:
        """A namespace is gone, and what held it with it."""
        self._end(namespace)

    def _end(self, *scopes: str) -> None:
        released = [scope for scope in scopes if scope in self._open]
        for scope in released:
            self._open.pop(scope).open = False
            del self._attempt_at_ns[scope]
            log.warning("writes go on", extra={"scope": scope})
        if released:
            self._on_release()

    def _next(self) -> int:
        return self._clock() + TRY_EVERY_SECONDS * NANOSECONDS_PER_SECOND


def put_aside(hold: Hold) -> Outcome:
    """The ending of an event whose subject is to be read again when the hold is over."""
    return Outcome(Ending.COALESCED, "spilled", hold.detail, hold=hold)
