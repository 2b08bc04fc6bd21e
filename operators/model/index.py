"""What is known of the Observations that exist: rebuilt from the cluster at start, kept by the sink's answers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Known:
    """An Observation as the API server last confirmed it."""

    fingerprint: str
    first_seen: str
    last_seen: str
    resolved: bool = False
    uid: str = ""
    traceparent: str = ""
    """The trace of the event that created it; every apply sends it again, or it would be removed."""
    base: int = 0
    """What Events that fell out of the evidence counted."""
    evidence: dict[str, int] | None = None
    """A Kubernetes Event's name to its latest count; ``None`` for a subject."""
    newest: str = ""
    """The Event whose words the Observation carries."""

    @property
    def count(self) -> int:
        """How often it happened, by the evidence."""
        return self.base + sum(self.evidence.values()) if self.evidence else self.base


DOUBTFUL = ""
"""No fingerprint equals it: a state that may or may not have been written is written again."""


class Index:
    """The known Observations of one pipeline by name; bounded by the number of subjects since the start."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}

    def get(self, name: str) -> Known | None:
        """What is known of an Observation, if it exists."""
        return self._known.get(name)

    def is_open(self, name: str) -> bool:
        """Whether an Observation exists and is unresolved."""
        known = self._known.get(name)
        return known is not None and not known.resolved

    def put(self, name: str, known: Known) -> None:
        """Remember what the API server confirmed."""
        self._known[name] = known

    def forget(self, name: str) -> None:
        """The Observation is gone."""
        self._known.pop(name, None)

    def doubt(self, name: str, *, moment: str, traceparent: str = "") -> None:
        """A request was sent and its answer never came: the Observation may exist, unresolved, with whatever content.

        If so, it carries the ``traceparent`` that was sent.
        """
        known = self._known.get(name)
        if known is None:
            self._known[name] = Known(DOUBTFUL, moment, moment, traceparent=traceparent)
        else:
            known.fingerprint = DOUBTFUL
            known.resolved = False

    def __len__(self) -> int:
        """How many Observations are known."""
        return len(self._known)
