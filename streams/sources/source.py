"""What every kind of source is to the rest of the product: an observable of admissions, and a status."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from reactivex import Observable

from operators.flow.delivery import Admission
from operators.model.event import RawEvent
from operators.model.outcome import Suspension


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """What a source reports of itself at one moment; metrics, probes and conditions read nothing else of it."""

    kind: str
    """informer, webhook, logs or configmap."""
    up: bool
    """Whether reading works now."""
    synced: bool
    """Whether the initial list (or replay) is complete."""
    reason: str = ""
    """CamelCase, as in a condition; empty while up."""
    message: str = ""
    known_objects: int = 0
    dirty_objects: int = 0
    """Objects whose newest state is to be read again."""
    last_activity_ns: int = 0
    """Monotonic nanoseconds at which the server last sent something; 0 before the first byte."""
    resource_version: str = ""
    """The version up to which everything was read."""
    handler_errors: int = 0
    counters: Mapping[str, Mapping[str, int]] = field(default_factory=dict[str, Mapping[str, int]])
    """Metric family to label to count: ``read``, ``connects``, ``relists``, ``failures``."""


class ResubscribedError(RuntimeError):
    """A source was subscribed to a second time, or after it was stopped; each run needs a source of its own."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"source {name}: found another subscription, or one after stop_intake(),"
            " allowed: one subscription for each source; create another source instead"
        )


class Source(Protocol):
    """A kind of source. ``events`` is subscribed to once; disposing the subscription stops it.

    Another subscription, and one to a stopped source, ends with ``ResubscribedError`` and changes nothing. Each event
    is emitted in an empty context (``contextvars``): nothing of the subscriber's or of another event is inherited.

    A source of subjects coalesces and can be read again (``RereadableSource``). A source of occurrences awaits room
    before it reads on, or lets its sender wait.
    """

    @property
    def kind(self) -> str:
        """informer, webhook, logs or configmap."""
        ...

    @property
    def events(self) -> Observable[Admission]:
        """Everything that the source receives, on the running loop."""
        ...

    async def synced(self) -> None:
        """Wait until the initial list (or replay) has been emitted."""
        ...

    def stop_intake(self) -> None:
        """Emit nothing any more; what was emitted may still be settled."""
        ...

    def status(self) -> SourceStatus:
        """Report the status at this moment."""
        ...


@runtime_checkable
class RereadableSource(Source, Protocol):
    """A source of subjects, whose newest state can be read at any time."""

    def request_reread(self, key: str, *, after: Suspension | None = None, uid: str = "") -> None:
        """Mark an object as dirty: emit its newest state again when there is room, or when a suspension is over.

        ``uid`` is that of an object which no longer exists; its removal is emitted again.
        """
        ...

    def reenter(self, event: RawEvent) -> bool:
        """Emit an event whose recheck is due, and count it as read (``timer``); False once the source is stopped."""
        ...

    def knows(self, key: str) -> bool:
        """Whether the object (``namespace/name``) exists, by the newest state that was read."""
        ...

    def keys(self) -> Collection[str]:
        """The keys of all objects that exist."""
        ...

    def notify_resumed(self) -> None:
        """Look again for objects whose suspension is over."""
        ...
