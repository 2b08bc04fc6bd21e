"""How an event may end: a closed set of endings, and the outcome of one event."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec


class Ending(StrEnum):
    """Every way in which an event can end; there is no other."""

    STORED = "stored"
    FILTERED = "filtered"
    DEDUPLICATED = "deduplicated"
    COALESCED = "coalesced"
    HANDED_OVER = "handed_over"
    """The event is durable elsewhere (a bus, a spool, another replica) and is processed there or later."""
    DRY_RUN = "dry_run"
    THROTTLED = "throttled"
    DROPPED = "dropped"
    INTERRUPTED = "interrupted"
    DEAD_LETTERED = "dead_lettered"
    FAILED = "failed"


FAULTS = frozenset({Ending.DEAD_LETTERED, Ending.FAILED})
"""Endings that need a person's attention; they are kept as dead letters."""

LOST = frozenset({Ending.DROPPED, Ending.INTERRUPTED, *FAULTS})
"""Endings after which the event's content is not stored although it was wanted; the exit code reports them."""

WORST_FIRST = (
    Ending.FAILED,
    Ending.DEAD_LETTERED,
    Ending.DROPPED,
    Ending.INTERRUPTED,
    Ending.THROTTLED,
    Ending.COALESCED,
    Ending.HANDED_OVER,
    Ending.STORED,
    Ending.DRY_RUN,
    Ending.DEDUPLICATED,
    Ending.FILTERED,
)
"""Of an event that was split, the ending that stands first here is the event's."""

_SEVERITY = {ending: place for place, ending in enumerate(WORST_FIRST)}


class Suspension:
    """Why writes to a scope are suspended, and when one of them may be tried again.

    Made by the sink, shared by all events that met it; subjects wait for it outside of the pipeline.
    """

    __slots__ = ("detail", "is_open", "name", "retry_at_ns")

    def __init__(self, name: str, *, detail: str, retry_at_ns: int) -> None:
        self.name = name
        self.detail = detail
        self.retry_at_ns = retry_at_ns
        """Monotonic nanoseconds from which one write may test whether the cause is over."""
        self.is_open = True
        """True while writes are suspended."""


class Outcome(msgspec.Struct, frozen=True):
    """How one event ended. Made for each duplicate, hence a struct (0.2 us; a dataclass takes 1.5 us).

    It holds the text of an error, never the exception: exception, traceback, frame and ticket would form a cycle
    that keeps the event alive until the garbage collector runs.
    """

    ending: Ending
    reason: str = ""
    """From a small set, as it is a metric's label."""
    detail: str = ""
    """For people; secrets masked."""
    error_type: str = ""
    operation: str = ""
    """What was done to the Observation: created, updated, resolved, deleted."""
    suspension: Suspension | None = None
    """The suspension after which the event's subject is to be read again."""
    observation: str = ""
    """Of a duplicate: the name of the Observation that it equals."""
    observation_uid: str = ""
    link: str = ""
    """Of a duplicate: the ``traceparent`` of the event that created that Observation, if its trace was kept."""

    @property
    def must_reread(self) -> bool:
        """Whether the event's subject must be read again: its state was discarded for want of room, not processed."""
        return self.ending is Ending.COALESCED and self.reason == "spilled"


SPILLED = Outcome(Ending.COALESCED, "spilled", "no room; the subject is read again when there is")
NEWER = Outcome(Ending.COALESCED, "newer", "replaced by a newer state of the same subject")
STOPPED = Outcome(
    Ending.INTERRUPTED, "stopped", "the process stopped before the event was processed"
)
NO_KEY = Outcome(
    Ending.DROPPED, "overflow", "no room, and no key by which to read it again", "overflow"
)
TOO_LARGE = Outcome(Ending.DEAD_LETTERED, "too_large", "larger than the whole buffer", "too_large")
UNSETTLED = Outcome(
    Ending.FAILED, "unsettled", "the event was discarded without an outcome", "unsettled"
)


def worst_of(outcomes: Iterable[Outcome]) -> Outcome:
    """Choose the outcome of a split event: the worst ending, the first of equals. Raises ValueError for none."""
    return min(outcomes, key=lambda outcome: _SEVERITY[outcome.ending])


ALREADY_COUNTED = "already_counted"
"""Reason of ``deduplicated``: this very event was counted before, in the evidence or in a window."""
