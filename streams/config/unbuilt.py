"""The legal fields that do nothing yet: one table, which every release makes shorter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from streams.config.source import GROUP, VERSIONS
from streams.config.tree import Location
from streams.config.values import ADAPTIVE

When = Callable[[object], bool]

_EACH = "[]"


def _always(_: object) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Unbuilt:
    """A field under ``spec``, or those of its values that ``when`` is true for; ``[]`` is every entry of a list.

    Where it ``stops``, the Ingester has nothing to run; elsewhere it runs without the field.
    """

    path: str
    when: When = _always
    stops: bool = False
    instead: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """An unbuilt field in a document."""

    location: Location
    stops: bool
    message: str


def _one_of(*values: object) -> When:
    return lambda value: value in values


def _is_elsewhere(destination: object) -> bool:
    named = cast("Mapping[str, object]", destination)
    gvr = cast("Mapping[str, object] | None", named.get("gvr"))
    if gvr is None:
        return named.get("value") != "observations"
    kind = (gvr.get("group"), gvr.get("resource"))
    return kind != (GROUP, "observations") or gvr.get("version") not in VERSIONS


def _are_all_elsewhere(destinations: object) -> bool:
    return all(_is_elsewhere(each) for each in cast("Sequence[object]", destinations))


UNBUILT = (
    Unbuilt("sources", stops=True),
    Unbuilt("ingester", _one_of("webhook", "logs"), stops=True),
    Unbuilt("destinations", _are_all_elsewhere, stops=True),
    Unbuilt("destinations[]", _is_elsewhere),
    Unbuilt("destinations[].name"),
    Unbuilt("destinations[].mapping"),
    Unbuilt("webhook"),
    Unbuilt("logs"),
    Unbuilt("buffer.inFlight", _one_of(ADAPTIVE), instead="64 is used"),
    *(
        Unbuilt(f"{spelling}.{field}")
        for spelling in ("deduplication", "dedup", "processing.dedup")
        for field in ("learningRate", "minChange", "maxEventsPerWindow")
    ),
    *(
        Unbuilt(f"{spelling}.strategy", _one_of("hybrid"), instead="fingerprint is used")
        for spelling in ("deduplication", "dedup", "processing.dedup")
    ),
    Unbuilt("filters.expression"),
    Unbuilt("filter.expression"),
    Unbuilt("processing.filter.expression"),
    Unbuilt("optimization.processing"),
    Unbuilt("optimization.thresholds"),
    Unbuilt("normalization"),
    Unbuilt("observationTemplate"),
    Unbuilt("ttl.min"),
    Unbuilt("ttl.max"),
    Unbuilt("thresholds"),
    Unbuilt("errorHandling.strategy", _one_of("dlq")),
    Unbuilt("errorHandling.retry.backoff", instead="each wait is twice the one before"),
    Unbuilt("errorHandling.dlq"),
    Unbuilt("errorHandling.logging"),
    Unbuilt("tracing.incoming"),
)


def unbuilt(said: Mapping[str, object]) -> tuple[Found, ...]:
    """Find what a spec says that has no effect yet; ``said`` leaves out what stands at its default.

    A live document has the defaults its server filled in: they are nobody's wish.
    """
    found = tuple(_find(said))
    stopping = tuple(each for each in found if each.stops)
    return stopping or found


def _find(said: Mapping[str, object]) -> Iterator[Found]:
    for field in UNBUILT:
        steps = field.path.replace(_EACH, f".{_EACH}").split(".")
        for location, value in _at(said, steps):
            if _says_something(value) and field.when(value):
                yield Found(("spec", *location), field.stops, _message(field))


def _says_something(value: object) -> bool:
    """Whether anything is left of a block once what stands at its default is out."""
    if isinstance(value, Mapping):
        return any(map(_says_something, cast("Mapping[str, object]", value).values()))
    return value != ()


def _message(field: Unbuilt) -> str:
    if field.stops:
        return "legal, but not built yet: this version does not run this Ingester"
    return "accepted, but has no effect in this version" + (
        f": {field.instead}" if field.instead else ""
    )


def _at(value: object, steps: Sequence[str]) -> Iterator[tuple[Location, object]]:
    if not steps:
        yield (), value
    elif steps[0] == _EACH:
        for index, entry in enumerate(cast("Sequence[object]", value)):
            yield from (((index, *rest), found) for rest, found in _at(entry, steps[1:]))
    elif isinstance(value, Mapping) and steps[0] in value:
        named = cast("Mapping[str, object]", value)
        for rest, found in _at(named[steps[0]], steps[1:]):
            yield (steps[0], *rest), found
