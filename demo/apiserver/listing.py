"""Lists: everything at one version, in one answer or in pages that all show the same moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from demo.apiserver import continuation
from demo.apiserver.answers import LOST_TOKEN, LOST_VERSION, bad_request, expired, too_new
from demo.apiserver.calls import Call
from demo.apiserver.continuation import Continuation
from demo.apiserver.history import Entry
from demo.apiserver.options import Reading, reading
from demo.apiserver.selectors import Matches, everything, selection
from demo.apiserver.store import Forgotten


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list, or all of it."""

    entries: list[Entry]
    version: int
    token: str = ""
    """With which the next page is asked for; "" on the last one."""

    remaining: int | None = None
    """How many follow, where that is known: not with a selector."""

    def metadata(self) -> dict[str, Any]:
        """The list's metadata."""
        more = {"continue": self.token} if self.token else {}
        left = {} if self.remaining is None else {"remainingItemCount": self.remaining}
        return {"resourceVersion": str(self.version), **more, **left}


def page(call: Call, *, current: int) -> Page:
    """The page that is asked for; raises RefusedError (400, 410, 422, 504)."""
    asked = reading(call.query, watch=False)
    matches = selected(call, asked)
    if asked.token:
        return _continued(call, asked, matches, current=current)
    if asked.version is not None and asked.version > current:
        raise too_new(asked.version, current)
    exact = asked.match == "Exact" or (asked.limit and asked.version and not asked.match)
    version = asked.version if exact and asked.version else current
    unlimited = asked.version == 0  # as the server's cache answers it
    try:
        entries = call.resource.store.at(version)
    except Forgotten:
        raise expired(LOST_VERSION) from None
    return _page(
        call, entries, matches, version=version, limit=0 if unlimited else asked.limit, behind=""
    )


def selected(call: Call, asked: Reading) -> Matches:
    """What the selectors choose; raises RefusedError (400)."""
    return selection(asked.labels, asked.fields, known_fields=call.resource.kind.field_names)


def _continued(call: Call, asked: Reading, matches: Matches, *, current: int) -> Page:
    at = continuation.read(asked.token)
    if asked.version:
        raise bad_request("specifying resource version is not allowed when using continue")
    version = current if at.version is None else at.version
    if version > current:
        raise too_new(version, current)
    try:
        entries = call.resource.store.at(version)
    except Forgotten:
        fresh = Continuation(None, at.behind).token()
        raise expired(LOST_TOKEN, token=fresh) from None
    return _page(call, entries, matches, version=version, limit=asked.limit, behind=at.behind)


def _page(
    call: Call, entries: list[Entry], matches: Matches, *, version: int, limit: int, behind: str
) -> Page:
    prefix = f"{call.namespace}/" if call.namespace else ""
    first = _first_behind(entries, prefix + behind if behind else prefix)
    last = _first_behind(entries, prefix + "\U0010ffff") if prefix else len(entries)
    if not limit and matches is everything:
        return Page(entries[first:last], version)
    found: list[Entry] = []
    for at in range(first, last):
        if matches(entries[at]):
            if limit and len(found) == limit:
                return _cut(found, version, prefix=prefix, left=last - at, matches=matches)
            found.append(entries[at])
    return Page(found, version)


def _cut(found: list[Entry], version: int, *, prefix: str, left: int, matches: Matches) -> Page:
    token = Continuation(version, found[-1].key.removeprefix(prefix)).token()
    return Page(found, version, token, left if matches is everything else None)


def _first_behind(entries: list[Entry], key: str) -> int:
    """Where the first object stands whose key is behind this one."""
    low, high = 0, len(entries)
    while low < high:
        middle = (low + high) // 2
        if entries[middle].key <= key:
            low = middle + 1
        else:
            high = middle
    return low


def written(call: Call, listed: Page) -> bytes:
    """The list as JSON."""
    resource = call.resource
    head = resource.item_head
    items = b",".join([head + resource.tail(entry) for entry in listed.entries])
    return _head(call, listed.metadata()) + items + b"]}"


def _head(call: Call, metadata: Mapping[str, Any]) -> bytes:
    served = call.resource.served
    names = {"kind": served.list_kind, "apiVersion": served.api_version, "metadata": metadata}
    return msgspec.json.encode(names)[:-1] + b',"items":['
