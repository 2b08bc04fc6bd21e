"""What is to be changed about an Observation, and the requests that change it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import Enum, StrEnum, auto

import msgspec

from operators.decoders.kubernetes_event import is_told, with_tally
from operators.deduplicate import NOTHING_TO_RESOLVE, TOLD, duplicate
from operators.flow.clock import WallClock, timestamp
from operators.flow.delivery import Ticket
from operators.flow.trace import Trace
from operators.model.index import Index, Known
from operators.model.observation import Observation, Tally, Window
from operators.model.outcome import Ending, Outcome
from sinks.asking import Asking
from sinks.manifest import Manifest, Owner, amended, evidence, manifest, uid_of
from sinks.resource import InvalidObservationError, validated
from sinks.verdict import Verdict, verdict_of
from sinks.writer import Answer, Writer

CREATED = Outcome(Ending.STORED, operation="created")
UPDATED = Outcome(Ending.STORED, operation="updated")
RESOLVED = Outcome(Ending.STORED, operation="resolved")
REMOVED = Outcome(Ending.STORED, operation="deleted")


def resolved(observation: Observation) -> Outcome:
    """How the departure of a subject ends; the reason is the filter's rule, where that is why."""
    rule = observation.unwanted_by
    return Outcome(Ending.STORED, rule, operation="resolved") if rule else RESOLVED


class WhenGone(StrEnum):
    """What happens to the Observation of a subject that is gone (``spec.onDelete``)."""

    RESOLVE = "resolve"
    DELETE = "delete"
    IGNORE = "ignore"


class Change(Enum):
    """The four ways in which an Observation changes."""

    STATE = auto()
    """It is written anew, whole."""
    EVIDENCE = auto()
    """An Event older than the one whose words it carries: only the evidence changes."""
    RESOLVE = auto()
    REMOVE = auto()


def change_of(observation: Observation, index: Index, *, when_gone: WhenGone) -> Change | Outcome:
    """Decide, at the moment of writing, what is to change: what was ahead in the lane may have said it all."""
    known = index.get(observation.name)
    if observation.gone is not None:
        if known is None or known.resolved:
            return NOTHING_TO_RESOLVE
        removes = when_gone is WhenGone.DELETE and not observation.unwanted_by
        return Change.REMOVE if removes else Change.RESOLVE
    tally = observation.tally
    if tally is None or known is None or known.evidence is None:
        return Change.STATE
    if is_told(known, tally) and not known.resolved:
        return duplicate(TOLD, observation.name, known)
    newest = (_comparable(tally.last_seen), tally.event) >= (
        _comparable(known.last_seen),
        known.newest,
    )
    return Change.STATE if newest else Change.EVIDENCE


def _comparable(moment: str) -> str:
    """A moment as text that sorts by time, with a fraction of a second or without (``.`` is below ``Z``)."""
    return moment.removesuffix("Z")


class Requests:
    """Carries changes out."""

    def __init__(
        self,
        writer: Writer,
        index: Index,
        *,
        owner: Owner,
        now: WallClock,
        is_alive: Callable[[str, str], bool],
    ) -> None:
        self._writer = writer
        self._index = index
        self._owner = owner
        self._now = now
        self._is_alive = is_alive

    def stamp(self) -> str:
        """The time of day, as it is written down."""
        return timestamp(self._now())

    async def carry_out(
        self, change: Change, observation: Observation, *, ticket: Ticket
    ) -> Outcome | Answer:
        """Make the requests of one change: how the event ends, or the answer that stood in the way.

        Raises ``UnansweredError`` where no answer came.
        """
        self._begin(observation, ticket.trace)
        ask = Asking(self._writer, ticket)
        if change is Change.STATE:
            return await self._state(observation, ask, ticket.trace)
        if change is Change.REMOVE:
            return await self._remove(observation, ask)
        answer = await ask.read(observation.namespace, observation.name)
        if verdict_of(answer) is Verdict.MISSING:
            return self._vanished(change, observation)
        if verdict_of(answer) is not Verdict.DONE:
            return answer
        if change is Change.RESOLVE:
            return await self._resolve(observation, answer, ask)
        return await self._count(observation, answer, ask)

    def _begin(self, observation: Observation, trace: Trace | None) -> None:
        """Count the attempt, and ask that its trace be kept before a request speaks of it."""
        if trace is not None:
            known = self._index.get(observation.name)
            uid = known.uid if known is not None else ""
            trace.observation = observation.namespace, observation.name, uid
            trace.attempts += 1
            trace.reserve()

    async def _state(
        self, observation: Observation, ask: Asking, trace: Trace | None
    ) -> Outcome | Answer:
        known = self._index.get(observation.name)
        after = self._after(observation, known, trace)
        body = manifest(observation, self._owner, known=after)
        try:
            validated(body)
        except InvalidObservationError as error:
            return Outcome(Ending.DEAD_LETTERED, "invalid", str(error), "invalid")
        answer = await _apply(body, ask)
        if verdict_of(answer) is not Verdict.DONE:
            return answer
        created = answer.status == 201  # noqa: PLR2004
        if created or not after.uid:
            after.uid = uid_of(answer.body)
        if trace is not None:
            trace.observation = observation.namespace, observation.name, after.uid
        self._confirmed(observation, after)
        return CREATED if created else UPDATED

    async def _resolve(
        self, observation: Observation, read: Answer, ask: Asking
    ) -> Outcome | Answer:
        gone = observation.gone
        reason = observation.unwanted_by or (gone.value if gone is not None else "")
        body = amended(read.body, {"resolvedAt": self.stamp(), "resolvedReason": reason})
        answer = await _apply(body, ask)
        if verdict_of(answer) is not Verdict.DONE:
            return answer
        known = self._index.get(observation.name)
        if known is not None:
            known.resolved = True
        return resolved(observation)

    async def _count(self, observation: Observation, read: Answer, ask: Asking) -> Outcome | Answer:
        known = self._index.get(observation.name)
        tally = observation.tally
        if known is None or tally is None:
            raise AssertionError("evidence without a known Observation")
        base, names = self._tallied(observation, known, tally)
        after = replace(known, base=base, evidence=names)
        answer = await _apply(amended(read.body, evidence(after)), ask)
        if verdict_of(answer) is not Verdict.DONE:
            return answer
        self._index.put(observation.name, after)
        return UPDATED

    async def _remove(self, observation: Observation, ask: Asking) -> Outcome | Answer:
        answer = await ask.remove(observation.namespace, observation.name)
        if verdict_of(answer) not in {Verdict.DONE, Verdict.MISSING}:
            return answer
        self._index.forget(observation.name)
        return REMOVED

    def _vanished(self, change: Change, observation: Observation) -> Outcome | Answer:
        """Somebody deleted the Observation: there is nothing to resolve, and evidence is written whole."""
        known = self._index.get(observation.name)
        if change is Change.RESOLVE or known is None:
            self._index.forget(observation.name)
            return NOTHING_TO_RESOLVE
        known.newest = known.last_seen = ""
        return Answer(409, reason="Conflict", message="the Observation is gone")

    def _confirmed(self, observation: Observation, after: Known) -> None:
        """An occurrence is remembered by its window, as long as that lasts; all else by its name."""
        window = _window(observation)
        if window is not None:
            window.uid, window.traceparent = after.uid, after.traceparent
        else:
            self._index.put(observation.name, after)

    def _after(self, observation: Observation, known: Known | None, trace: Trace | None) -> Known:
        """What will be known once a whole write is confirmed.

        An Observation that is new names the trace that makes it, if that is sure to be kept. An occurrence was seen
        once, when its window opened.
        """
        window = _window(observation)
        moment = timestamp(window.start) if window is not None else self.stamp()
        after = Known(
            observation.fingerprint,
            known.first_seen if known is not None else moment,
            moment,
            uid=known.uid if known is not None else "",
            traceparent=known.traceparent if known is not None else promised(trace),
        )
        tally = observation.tally
        if tally is not None:
            after.base, after.evidence = self._tallied(observation, known, tally)
            after.last_seen, after.newest = tally.last_seen or moment, tally.event
        return after

    def _tallied(
        self, observation: Observation, known: Known | None, tally: Tally
    ) -> tuple[int, dict[str, int]]:
        namespace = observation.namespace
        return with_tally(known, tally, is_alive=lambda name: self._is_alive(namespace, name))


async def _apply(body: Manifest, ask: Asking) -> Answer:
    metadata = body["metadata"]
    return await ask.apply(metadata["namespace"], metadata["name"], body=msgspec.json.encode(body))


def promised(trace: Trace | None) -> str:
    """The ``traceparent`` of a trace that is sure to be kept, else nothing."""
    return trace.traceparent if trace is not None and trace.promised else ""


def _window(observation: Observation) -> Window | None:
    return observation.occurrence.window if observation.occurrence is not None else None
