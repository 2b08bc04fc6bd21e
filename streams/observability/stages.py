"""What the marks of a timeline become: one table from a stage to the name and attributes of its spans."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from operators.model.outcome import FAULTS, Outcome
from streams.observability.span import Attribute, Value, Words, clean

PREFIX = "zenstreams."


@dataclass(frozen=True, slots=True)
class Stage:
    """How the spans of a stage look.

    ``passed`` is said where the stage let go of the event without a word, ``ended`` where the event ended there;
    ``reason`` names the attribute for why it ended, ``seconds`` the one for a number of seconds.
    """

    name: str
    passed: Words = ()
    ended: Words = ()
    reason: str = ""
    seconds: str = ""


RECEIVE = Stage("receive")
BUFFER = Stage("buffer", reason="zenstreams.buffer.reason")
WRITE = Stage("write Observation")

STAGES: Mapping[str, Stage] = {
    "receive": RECEIVE,
    "buffer": BUFFER,
    "dedup": Stage(
        "dedup",
        passed=(("zenstreams.dedup.verdict", "new"),),
        ended=(("zenstreams.dedup.verdict", "duplicate"),),
        reason="zenstreams.dedup.reason",
    ),
    "read": Stage("read Observation"),
    "write": WRITE,
    "retry wait": Stage("retry wait", seconds="zenstreams.retry.wait_s"),
}
"""The stages that have something to say; any other is a span of its own name without attributes."""

ALLOWED: Mapping[str, str] = {
    key: PREFIX + key
    for key in (
        "buffer.depth_out",
        "dedup.verdict",
        "filter.rule",
        "filter.verdict",
        "throttle.wait_ms",
    )
}
"""What a mark may say in its own words: no other key leaves the process."""


def stage_of(mark: str) -> Stage:
    """The look of a stage's spans."""
    return STAGES.get(mark) or _plain(mark)


@lru_cache(maxsize=64)
def _plain(mark: str) -> Stage:
    return Stage(mark)


def words_of(stage: Stage, detail: object) -> tuple[Words, Sequence[Attribute]]:
    """What a mark says: an outcome, a number of seconds, or attributes in its own words."""
    if isinstance(detail, dict):
        return (), list(_in_own_words(cast("Mapping[str, Value]", detail)))
    if isinstance(detail, Outcome):
        return _ended(stage, detail), ()
    if isinstance(detail, int | float) and stage.seconds:
        return (), [(stage.seconds, float(detail))]
    return (), ()


def _ended(stage: Stage, outcome: Outcome) -> Words:
    if outcome.ending in FAULTS:
        return ()  # the outcome says it, and no verdict of the stage's does
    if stage.reason and outcome.reason:
        return (*stage.ended, (stage.reason, clean(outcome.reason)))
    return stage.ended


def _in_own_words(said: Mapping[str, Value]) -> Iterator[Attribute]:
    for key, value in said.items():
        name = ALLOWED.get(key)
        if name is not None:
            yield name, clean(value) if isinstance(value, str) else value
