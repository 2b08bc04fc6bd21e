"""An ``Observation`` on its way: what normalising made of an event, as filters and deduplication read it.

The custom resource is built and validated only at the sink.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import msgspec

from operators.model.event import Body, Departure, Head, RawEvent
from operators.model.severity import DEFAULT_PRIORITY


class Subject(msgspec.Struct, frozen=True):
    """The object an Observation is about."""

    api_version: str
    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Tally:
    """How often a Kubernetes Event says it happened: evidence, from which counts are computed."""

    event: str
    """The Event's name: a recorder that patches an expired Event makes the name anew and goes on counting."""
    count: int
    last_seen: str


@dataclass(slots=True)
class Window:
    """From when until when equal occurrences are the duplicates of one Observation."""

    key: str
    name: str
    """The Observation's."""
    start: datetime
    end: datetime
    uid: str = ""
    """The Observation's, too."""
    traceparent: str = ""
    """The trace of the event that opened it."""

    def holds(self, moment: datetime) -> bool:
        """Whether a moment falls into it.

        One that begins later than its own length from now was opened by a clock that was wrong: it holds nothing.
        """
        return moment < self.end and self.start - moment <= self.end - self.start


@dataclass(slots=True)
class Occurrence:
    """The event an Observation is of, where it tells what happened and not what is."""

    uid: str
    """Of the object, or the sender's own name of the event; empty if there is none."""
    version: str
    """The object's, which changes with each event."""
    listed: bool = False
    """Whether it was read in a list, which shows what is and not what happened."""
    window: Window | None = None
    """The window it opens, once that is decided."""

    @property
    def opening(self) -> str:
        """What an event is called that opens a window."""
        return f"{self.uid}/{self.version}"


class Observation(msgspec.Struct):
    """What happened, to what, and how bad it is; one is made for each event, hence a struct.

    It is classified first, by the object's ``head``, and described from its body only if somebody wants it.
    A subject that is ``gone`` carries no details: its Observation is resolved or deleted, not rewritten.
    """

    name: str
    namespace: str
    source: str
    category: str
    severity: str
    event_type: str
    title: str
    subject: Subject
    priority: float = DEFAULT_PRIORITY
    """0 to 1: the event's own, else its severity's."""
    fingerprint: str = ""
    details: Body | None = None
    head: Head | None = None
    """What the filter reads of the object, and lets go of; a tombstone and a Kubernetes Event have none."""
    event: RawEvent | None = None
    """The event it is still to be described from."""
    gone: Departure | None = None
    unwanted_by: str = ""
    """The filter's rule, where that is why it is gone."""
    resync: bool = False
    """Whether it was read again on purpose; unchanged, it may only refresh when it was last seen."""
    tally: Tally | None = None
    """Set for Kubernetes Events, which are neither a subject's state nor a single occurrence."""
    occurrence: Occurrence | None = None
    """Set for what happened, of which each is told once; the fingerprint is its key."""

    def depart(self, departure: Departure, *, unwanted_by: str = "") -> None:
        """Become the end of its subject: nothing more is to be said of its state."""
        self.gone, self.unwanted_by = departure, unwanted_by
        self.details = self.head = self.event = None

    @property
    def is_state(self) -> bool:
        """Whether it tells how a subject is, in the place of what it told before."""
        return self.tally is None and self.occurrence is None
