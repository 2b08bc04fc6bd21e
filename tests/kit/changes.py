"""Reading the changes of an informer in short: what happened to which object."""

from __future__ import annotations

from operators.model.event import ApiResource, ObjectState, RemovalReason, Tombstone
from streams.sources.informer.decode import DecodedObject
from streams.sources.informer.store import ObjectChange, Store

DELETED = "DELETED"
CONFIG_MAP = ApiResource("", "v1", "configmaps", "ConfigMap", namespaced=True)


def kind_of(change: ObjectChange) -> str:
    """ADDED, MODIFIED, RESYNC, or DELETED for a tombstone."""
    return change.payload.change if isinstance(change.payload, ObjectState) else DELETED


def name_of(change: ObjectChange) -> str:
    """The object's name; "" for bytes that cannot be decoded."""
    return change.subject.name if change.subject is not None else ""


def is_initial(change: ObjectChange) -> bool:
    return isinstance(change.payload, ObjectState) and change.payload.initial


def is_inferred(change: ObjectChange) -> bool:
    """Whether it is a removal whose last state is unknown."""
    return isinstance(change.payload, Tombstone) and change.payload.final_state_unknown


def reason_of(change: ObjectChange) -> RemovalReason:
    assert isinstance(change.payload, Tombstone)
    return change.payload.reason


def decoded(
    name: str = "a",
    version: str = "7",
    *,
    uid: str = "u",
    is_terminating: bool = False,
    raw: bytes = b"{}",
) -> DecodedObject:
    """An object of the namespace n as it was read."""
    return DecodedObject(f"n/{name}", "n", name, uid, version, is_terminating, raw, None)


def store() -> Store:
    """A store of ConfigMaps."""
    made = Store()
    made.resource = CONFIG_MAP
    return made
