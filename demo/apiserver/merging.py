"""Two states of an object made one, and what is taken out again, as structured-merge-diff does both."""

from __future__ import annotations

from dataclasses import replace

from demo.apiserver.documents import MISSING, Schema, Value, as_list, as_object, copied
from demo.apiserver.shapes import Part, Path, parts


def merged(live: Part, wanted: Value) -> Value:
    """What is wanted on top of what is there."""
    below = parts(live.schema, wanted)
    if not below:  # a leaf; or empty, which leaves what is there where that has parts
        keeps = below is not None and bool(parts(live.schema, live.value))
        return copied(live.value if keeps else wanted)
    there = {part.step: part for part in parts(live.schema, live.value) or ()}
    united = {part.step: merged(there.get(part.step, _nothing(part)), part.value) for part in below}
    if as_list(wanted) is not None:
        steps = _ordered(list(there), [part.step for part in below])
        return [united[step] if step in united else there[step].value for step in steps]
    kept = as_object(live.value) or {}
    return {**kept, **{step.removeprefix("f:"): value for step, value in united.items()}}


def _nothing(part: Part) -> Part:
    return replace(part, value=MISSING)


def _ordered(there: list[str], wanted: list[str]) -> list[str]:
    """The elements of both lists in structured-merge-diff's order.

    What is wanted keeps its order; what only is there stays behind what it followed, as far as it can.
    """
    shared = [step for step in wanted if step in there]
    found: list[str] = []
    rest = list(there)
    for step in wanted:
        while rest and rest[0] != step and rest[:1] != shared[:1]:
            first = rest.pop(0)
            if first not in wanted:
                found.append(first)
        rest = rest[1:] if rest[:1] == [step] else rest
        shared = shared[1:] if shared[:1] == [step] else shared
        found.append(step)
    return found + [step for step in rest if step not in wanted]


def removed(schema: Schema, value: Value, gone: frozenset[Path], path: Path = ()) -> Value:
    """A value without the paths that are gone; what loses all its parts becomes null, as on a cluster."""
    below = parts(schema, value)
    if not below:
        return value
    kept = [
        (part.step, removed(part.schema, part.value, gone, (*path, part.step)))
        for part in below
        if (*path, part.step) not in gone
    ]
    if not kept:
        return None
    if as_list(value) is not None:
        return [one for _, one in kept]
    return {step.removeprefix("f:"): one for step, one in kept}
