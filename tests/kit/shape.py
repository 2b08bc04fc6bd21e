"""The shape every trace has, whatever the event went through: checked over all traces of a run, not over one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from operators.model.outcome import Ending
from tests.kit.otlp import Trace, WireSpan

UNEXPLAINED_NS = 1_000_000
UNEXPLAINED_SHARE = 0.01
"""A root may have less than a millisecond, or less than a hundredth, that no child covers."""
ERRORS = {"dropped", "dead_lettered", "failed"}
STAGES = {
    *("receive", "buffer", "throttle", "classify", "filter", "describe", "deduplicate", "queue"),
    *(
        "deduplicate wait",
        "read Observation",
        "write Observation",
        "client limit",
        "retry wait",
        "dead letter",
    ),
    "settle",
}
ALWAYS = ("receive", "buffer")
DECIDED = (("filter", "describe", "deduplicate"), ("describe", "deduplicate", "filter"))
WAYS = [
    (*ALWAYS, *throttled, "classify", *decided, "queue", "request")
    for throttled in ((), ("throttle",))
    for decided in DECIDED
]
"""What an event passes, by the settings of its pipeline; it may end anywhere, and leaves nothing out."""
REQUEST = {"read Observation", "write Observation", "client limit", "retry wait"}
PART_OF = dict.fromkeys(REQUEST, "request") | {"deduplicate wait": "deduplicate"}
DEAD_AT = {
    "undecodable": {"buffer", "classify", "filter", "describe", "deduplicate"},
    "too_large": {"buffer", "write Observation"},
}
LAST = {
    Ending.STORED: {"write Observation"},
    Ending.FILTERED: {"classify", "filter", "deduplicate", "queue", "read Observation"},
    Ending.DEDUPLICATED: {"deduplicate", "deduplicate wait", "queue", "read Observation"},
    Ending.COALESCED: {"buffer", "queue", *REQUEST},
    Ending.THROTTLED: {"throttle"},
    Ending.DROPPED: {"buffer"},
}
"""Where an event can end so; the others end wherever they are."""
_ID = re.compile("[0-9a-f]{32}-[0-9a-f]{16}")


def faults(traces: Iterable[Trace]) -> list[str]:
    """What is wrong with them, trace by trace; an empty list is the proof."""
    return [f"{trace.spans[0].trace_id}: {fault}" for trace in traces for fault in _faults(trace)]


def _faults(trace: Trace) -> Iterator[str]:
    if len(trace.roots) != 1:
        yield f"{len(trace.roots)} roots"
        return
    root = trace.root
    yield from _ids(trace, root)
    yield from _times(trace, root)
    yield from _words(trace, root)
    yield from _stages(trace)


def _ids(trace: Trace, root: WireSpan) -> Iterator[str]:
    ids = [span.span_id for span in trace.spans]
    if len(set(ids)) != len(ids):
        yield "two spans with one id"
    for span in trace.children:
        if span.parent_id != root.span_id:
            yield f"{span.name} is an orphan"


def _times(trace: Trace, root: WireSpan) -> Iterator[str]:
    at_ns = root.start_ns
    unexplained_ns = 0
    for span in trace.children:
        if not root.start_ns <= span.start_ns <= span.end_ns <= root.end_ns:
            yield f"{span.name} is not inside its root"
        if span.start_ns < at_ns:
            yield f"{span.name} overlaps the one before"
        unexplained_ns += max(0, span.start_ns - at_ns)
        at_ns = max(at_ns, span.end_ns)
    unexplained_ns += max(0, root.end_ns - at_ns)
    whole_ns = root.end_ns - root.start_ns
    if unexplained_ns >= UNEXPLAINED_NS and unexplained_ns >= UNEXPLAINED_SHARE * whole_ns:
        yield f"{unexplained_ns / 1e6:.3f} of {whole_ns / 1e6:.3f} ms are unexplained"


def _stages(trace: Trace) -> Iterator[str]:
    """A mark that was forgotten leaves no time unexplained: the next span takes it in, and a stage is missing."""
    names = [it.name for it in trace.children]
    if names[-1:] == ["settle"]:
        del names[-1]
    if (names[-1:] == ["dead letter"]) is not (trace.outcome == Ending.DEAD_LETTERED):
        yield f"{trace.outcome} after {names}"
        return
    if trace.outcome == Ending.DEAD_LETTERED:
        del names[-1]
    passed = tuple(dict.fromkeys(PART_OF.get(it, it) for it in names))
    if not any(way[: len(passed)] == passed for way in WAYS):
        yield f"a stage is missing or out of place: {names}"
    if names and names[-1] not in _last(trace):
        yield f"{trace.outcome} by {names[-1]}"


def _last(trace: Trace) -> set[str]:
    if trace.outcome == Ending.DEAD_LETTERED:
        reason = str(trace.root.attributes["zenstreams.outcome.reason"])
        return DEAD_AT.get(reason, REQUEST)
    return LAST.get(Ending(trace.outcome), STAGES)


def _words(trace: Trace, root: WireSpan) -> Iterator[str]:
    if root.kind != "CONSUMER" or root.name != f"process {root.attributes['zenstreams.source']}":
        yield f"the root is {root.kind} {root.name}"
    outcome = root.attributes.get("zenstreams.outcome")
    if outcome not in set(Ending):
        yield f"outcome {outcome}"
    if root.is_error is not (outcome in ERRORS):
        yield f"{outcome}, and an error: {root.is_error}"
    for span in trace.children:
        if span.name not in STAGES:
            yield f"a span called {span.name}"
    for span in trace.spans:
        yield from _own_words(span)


def _own_words(span: WireSpan) -> Iterator[str]:
    error_type = span.attributes.get("error.type")
    if span.is_error is not (error_type is not None):
        yield f"{span.name}: an error: {span.is_error}, and {error_type}"
    audit_id = str(span.attributes.get("k8s.audit_id", f"{span.trace_id}-{span.span_id}"))
    if audit_id != f"{span.trace_id}-{span.span_id}" or not _ID.fullmatch(audit_id):
        yield f"{span.name} says it is {audit_id}"
