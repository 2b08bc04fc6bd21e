"""What there is to know of a kind beyond its names: verbs, statuses, fields, forms of names."""

from __future__ import annotations

from dataclasses import dataclass

from demo.apiserver.documents import Object
from demo.apiserver.fields import PLAIN_FIELDS
from demo.apiserver.selectors import FieldNames
from demo.apiserver.served import Served
from demo.apiserver.store import Fields, no_fields

WRITES = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
NO_COLLECTION = ("create", "delete", "get", "list", "patch", "update", "watch")
PODS = "pods"
EVENTS = "events"


@dataclass(frozen=True, slots=True)
class Kind:
    """What is built in about one kind."""

    served: Served
    verbs: tuple[str, ...] = WRITES
    name_form: str = "subdomain"
    """How its objects may be named: subdomain, label or path."""

    generations: bool = False
    """Whether `metadata.generation` counts the changes of its spec."""

    status: Object | None = None
    """The status of a new object, whatever its creator says; None: the creator's."""

    fields: Fields = no_fields
    field_names: FieldNames = PLAIN_FIELDS
    returns_deleted: bool = False
    """Whether the answer to a delete is the object, not a Status."""

    subresources: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Those beyond status, with their verbs."""

    categories: tuple[str, ...] = ()
    unconditional: bool = True
    """Whether a PUT may leave out the version it is made for."""
