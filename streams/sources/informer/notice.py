"""What an informer tells: one change of one object, and what it is that several may watch together."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from operators.model.event import Change, Departure


@dataclass(frozen=True, slots=True)
class Watched:
    """What to list and watch; all who watch the same share one informer.

    ``namespace`` "" means all namespaces; an empty selector selects everything.
    """

    group: str
    version: str
    resource: str
    namespace: str = ""
    label_selector: str = ""
    field_selector: str = ""

    @property
    def is_selective(self) -> bool:
        """Whether an object can leave without being deleted."""
        return bool(self.label_selector or self.field_selector)

    def may_live_on(self, key: str) -> bool:
        """Whether an object that is not to be seen here may exist: out of the selector, or of the namespace."""
        return self.is_selective or bool(
            self.namespace and not key.startswith(f"{self.namespace}/")
        )

    @property
    def is_metadata_only(self) -> bool:
        """Whether no more than the metadata may ever be read: true of Secrets."""
        return not self.group and self.resource == "secrets"

    def selectors(self) -> dict[str, str]:
        """The part of a query that selects."""
        both = {"labelSelector": self.label_selector, "fieldSelector": self.field_selector}
        return {name: selector for name, selector in both.items() if selector}


class Origin(Enum):
    """By which road a state reached the reader."""

    LINE = "line"
    LIST = "list"
    GET = "get"


@dataclass(slots=True)
class Notice:
    """One change of one object, as the reader learnt it; shared by all subscribers, so read only.

    ``raw`` is the object's JSON with its ``managedFields`` emptied, b"" where the state is not known. Bytes
    that cannot be decoded are told too, with whatever of name, uid and version could be read.
    """

    change: Change
    namespace: str
    name: str
    uid: str
    version: str
    raw: bytes
    initial: bool = False
    final_state_unknown: bool = False
    """Nobody saw the deletion: it was inferred, and the state before it is not known."""
    departure: Departure = Departure.DELETED
    is_doubtful: bool = False
    """Deleted, or only out of the selector: the informer finds out before it tells anybody."""

    @property
    def key(self) -> str:
        """Namespace and name, as ``RawEvent.key``."""
        return f"{self.namespace}/{self.name}"
