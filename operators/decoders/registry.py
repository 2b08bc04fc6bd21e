"""Which decoder reads which kind of object."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from operators.decoders.generic import GenericDecoder
from operators.decoders.kubernetes_event import KubernetesEventDecoder, is_kubernetes_event
from operators.model.event import Body, RawEvent
from operators.model.observation import Classified
from operators.rules.paths import Head


class Decoder(Protocol):
    """Reads what one family of objects reports, without configuration.

    ``classify`` reads the head alone, which is decoded in one typed pass; ``title`` the decoded body, and is called
    only for what will be compared or written.
    """

    @property
    def head(self) -> type[Head]:
        """The fields of an object that ``classify`` reads."""
        ...

    @property
    def rechecks(self) -> bool:
        """Whether ``classify`` may name a ``recheck_at``."""
        ...

    @property
    def counts_events(self) -> bool:
        """Whether the objects are Kubernetes Events: counted by evidence, and a deletion is an expiry."""
        ...

    def classify(self, event: RawEvent, head: Head, *, now: datetime) -> Classified:
        """Decide state, severity, category, event type, priority and subject; only the state may depend on ``now``."""
        ...

    def title(self, classified: Classified, body: Body) -> str:
        """Write one line of at most 256 characters for a person, of a body whose secrets are masked."""
        ...


def decoder_for(group: str, resource: str) -> Decoder:
    """Choose the decoder of a resource; what has no decoder of its own is read by its common fields."""
    if is_kubernetes_event(group, resource):
        return KubernetesEventDecoder()
    return GenericDecoder()
