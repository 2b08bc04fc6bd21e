"""What a delete may demand of the object, and what is said of what is gone."""

from __future__ import annotations

import msgspec

from demo.apiserver.answers import RefusedError, conflict, named
from demo.apiserver.history import Entry
from demo.apiserver.options import Deleting
from demo.apiserver.resources import Resource


def deleted(resource: Resource, entry: Entry) -> bytes:
    """What is said of a deleted object: the object itself, or that it is done."""
    if resource.kind.returns_deleted:
        return resource.whole(entry)
    details = named(resource.served, entry.name) | {"uid": entry.uid}
    return msgspec.json.encode(
        {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": details,
        }
    )


def check_preconditions(resource: Resource, entry: Entry, options: Deleting) -> None:
    """Raise RefusedError (409) unless the object is what the delete was made for."""
    if options.uid and options.uid != entry.uid:
        raise _unmet(
            resource,
            entry,
            f"the UID in the precondition ({options.uid}) does not match the UID in record "
            f"({entry.uid}). The object might have been deleted and then recreated",
        )
    if options.version and options.version != str(entry.version):
        raise _unmet(
            resource,
            entry,
            f"the ResourceVersion in the precondition ({options.version}) does not match the "
            f"ResourceVersion in record ({entry.version}). The object might have been modified",
        )


def _unmet(resource: Resource, entry: Entry, why: str) -> RefusedError:
    """As any conflict, but that the server names the kind here, not the resource."""
    refused = conflict(resource.served, entry.name, why)
    kind = resource.served.kind
    group = f".{resource.served.group}" if resource.served.group else ""
    message = f'Operation cannot be fulfilled on {kind}{group} "{entry.name}": {why}'
    details = refused.status["details"] | {"kind": kind}
    return RefusedError(refused.code, refused.reason, message, details=details)
