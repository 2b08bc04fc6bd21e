"""The fields that are accepted but have no effect in this version, in one table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from operators.model.api import GROUP, VERSIONS
from operators.model.spec import ADAPTIVE
from streams.config.tree import Location

When = Callable[[object], bool]

_EACH = "[]"


def _always(_: object) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Unbuilt:
    """A field below ``spec`` without effect; in ``path``, ``[]`` is every entry of a list.

    ``when`` restricts it to some of the field's values, which ``values`` names for the reference. An Ingester with a
    field that ``stops`` is not run; others run without the field, and ``instead`` names what is used in its place.
    """

    path: str
    when: When = _always
    values: str = ""
    stops: bool = False
    instead: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A field without effect in a document."""

    location: Location
    stops: bool
    message: str


def _is_elsewhere(destination: object) -> bool:
    named = cast("Mapping[str, object]", destination)
    gvr = cast("Mapping[str, object] | None", named.get("gvr"))
    if gvr is None:
        return named.get("value") != "observations"
    kind = (gvr.get("group"), gvr.get("resource"))
    return kind != (GROUP, "observations") or gvr.get("version") not in VERSIONS


def _are_all_elsewhere(destinations: object) -> bool:
    return all(_is_elsewhere(each) for each in cast("Sequence[object]", destinations))


def _value(path: str, value: str, *, stops: bool = False, instead: str = "") -> Unbuilt:
    return Unbuilt(path, lambda found: found == value, values=value, stops=stops, instead=instead)


_OTHERS = "custom resources other than Observations"

UNBUILT = (
    Unbuilt("sources", stops=True),
    *(_value("ingester", value, stops=True) for value in ("webhook", "logs")),
    Unbuilt("destinations", _are_all_elsewhere, values=_OTHERS, stops=True),
    Unbuilt("destinations[]", _is_elsewhere, values=_OTHERS),
    Unbuilt("destinations[].name"),
    Unbuilt("destinations[].mapping"),
    Unbuilt("webhook"),
    Unbuilt("logs"),
    _value("buffer.inFlight", ADAPTIVE, instead="64 is used"),
    *(
        Unbuilt(f"{spelling}.{field}")
        for spelling in ("deduplication", "dedup", "processing.dedup")
        for field in ("learningRate", "minChange", "maxEventsPerWindow")
    ),
    *(
        _value(f"{spelling}.strategy", "hybrid", instead="fingerprint is used")
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
    _value("errorHandling.strategy", "dlq"),
    Unbuilt("errorHandling.retry.backoff", instead="each wait is twice as long as the one before"),
    Unbuilt("errorHandling.dlq"),
    Unbuilt("errorHandling.logging"),
    Unbuilt("tracing.incoming"),
)


def unbuilt(spec: Mapping[str, object]) -> tuple[Found, ...]:
    """Find the fields of a spec that have no effect yet; where one of them stops the Ingester, only those that do.

    ``spec`` is without the fields that have their default value: a live document has the defaults that its API server
    filled in, and a warning about those would not concern what the user wrote.
    """
    found = tuple(_find(spec))
    stopping = tuple(each for each in found if each.stops)
    return stopping or found


def _find(spec: Mapping[str, object]) -> Iterator[Found]:
    for field in UNBUILT:
        steps = field.path.replace(_EACH, f".{_EACH}").split(".")
        for location, value in _at(spec, steps):
            if _is_set(value) and field.when(value):
                yield Found(("spec", *location), field.stops, _message(field))


def _is_set(value: object) -> bool:
    """Whether a block holds any value that is not its default."""
    if isinstance(value, Mapping):
        return any(map(_is_set, cast("Mapping[str, object]", value).values()))
    return value != ()


def _message(field: Unbuilt) -> str:
    if field.stops:
        return "not supported by this version: this Ingester is not run"
    return "has no effect in this version" + (f": {field.instead}" if field.instead else "")


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
