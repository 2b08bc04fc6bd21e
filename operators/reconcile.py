"""Reconcile: decide what one Observation or removal changes in the cluster, by what is known of it.

A pure decision, evaluated at the head of the identity's queue: what was written ahead of it may have made it a
duplicate. Sinks carry the decision out and never decide. An apply removes what it omits, so a change names all that
shall stay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from operators.model.event import RemovalReason
from operators.model.identity import Identity, observation_name
from operators.model.observation import EventEvidence, Observation, Removal
from operators.model.outcome import ALREADY_COUNTED, Ending, Outcome
from operators.model.state import ObservationState, StoredObservation, timestamp

EVIDENCE_NAMES = 64
"""Beyond so many names, those of Events that no longer exist leave the evidence, and their counts join the base."""

UNCHANGED = "unchanged"
NOTHING_TO_RESOLVE = Outcome(Ending.FILTERED, "nothing to resolve")


@dataclass(frozen=True, slots=True)
class _Write:
    identity: Identity
    observation: Observation
    after: StoredObservation
    """What is known once the write is confirmed; the queue fills in the traceparent, and the uid from the result."""

    @property
    def name(self) -> str:
        """The Observation's name."""
        return self.after.name


class Upsert(_Write):
    """Write the Observation whole: create it, or bring it to its newest state."""

    __slots__ = ()


class MergeEvidence(_Write):
    """Write the counts alone: the Kubernetes Event is older than the one whose text the Observation carries."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class ReadStored:
    """Read what is stored, and decide anew: what was known of the Observation was evicted."""

    identity: Identity
    observation: Observation
    name: str


@dataclass(frozen=True, slots=True)
class Resolve:
    """Mark the Observation as resolved; it stays until it expires."""

    identity: Identity
    removal: Removal
    name: str
    resolved_at: str

    @property
    def reason(self) -> str:
        """What stands in ``spec.resolvedReason``."""
        return self.removal.rule or self.removal.reason.value


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete the Observation (``onDelete: delete``)."""

    identity: Identity
    removal: Removal
    name: str


ObservationChange = Upsert | ReadStored | MergeEvidence | Resolve | Delete


@dataclass(frozen=True, slots=True)
class ReconcilePolicy:
    """The settings of a document that decide what is written."""

    deduplicates: bool = True
    """Whether an unchanged state is not written (``deduplication.enabled``)."""
    refresh_seconds: float = 60.0
    """How soon a resync may refresh ``lastSeen`` of an unchanged subject (``deduplication.window``)."""
    deletes: bool = False
    """Whether a removed subject's Observation is deleted (``onDelete: delete``)."""
    event_exists: Callable[[str, str], bool] = lambda _namespace, _name: True
    """Whether a Kubernetes Event (namespace, name) still exists in the source's store."""


def reconcile(
    value: Observation | Removal, state: ObservationState, *, policy: ReconcilePolicy, now: datetime
) -> ObservationChange | Outcome:
    """Decide what is to be written, or how the event ends without a write."""
    ended = outcome_without_write(value, state, policy=policy, now=now)
    if ended is not None:
        return ended
    stored = state.get(value.identity)
    if isinstance(value, Removal):
        return _removed(value, stored, policy=policy, now=now)
    if value.occurrence is not None:
        return _occurred(value)
    if stored is None and state.was_evicted(value.identity):
        return ReadStored(value.identity, value, _named(value))
    if value.classified.evidence is not None:
        return _counted(value, value.classified.evidence, stored, policy=policy, now=now)
    return _upsert(value, stored, policy=policy, now=now)


def outcome_without_write(
    value: Observation | Removal, state: ObservationState, *, policy: ReconcilePolicy, now: datetime
) -> Outcome | None:
    """Decide how an event ends without a write; None if something is to be written, or read.

    The half of ``reconcile`` that ends duplicates before they are queued: it names and builds nothing.
    """
    stored = state.get(value.identity)
    if isinstance(value, Removal):
        return None if stored is not None and stored.is_open else NOTHING_TO_RESOLVE
    if stored is None or value.occurrence is not None:
        return None
    if value.classified.evidence is not None:
        is_counted = _is_counted(value.classified.evidence, stored)
        return duplicate(ALREADY_COUNTED, stored) if is_counted else None
    is_unchanged = _is_unchanged(value, stored, policy=policy, now=now)
    return duplicate(UNCHANGED, stored) if is_unchanged else None


def duplicate(reason: str, stored: StoredObservation) -> Outcome:
    """Make the outcome of an event that an Observation equals already; it links to the event that created that."""
    return Outcome(
        Ending.DEDUPLICATED,
        reason,
        observation=stored.name,
        observation_uid=stored.uid,
        link=stored.traceparent,
    )


def with_evidence(
    stored: StoredObservation | None, evidence: EventEvidence, *, exists: Callable[[str], bool]
) -> tuple[int, dict[str, int]]:
    """Add a Kubernetes Event to the evidence; return the new base and the new map of names to counts.

    A count lower than the one remembered for the name starts a new run, and the former run joins the base. Beyond 64
    names, those whose Event no longer ``exists`` join the base, oldest first.
    """
    base = stored.base if stored is not None else 0
    names = dict(stored.evidence or {}) if stored is not None else {}
    before = names.get(evidence.name, 0)
    if evidence.count < before:
        base += before
    names[evidence.name] = evidence.count
    if len(names) > EVIDENCE_NAMES:
        expired_names = sorted((name for name in names if not exists(name)), key=_age)
        for name in expired_names[: len(names) - EVIDENCE_NAMES]:
            base += names.pop(name)
    return base, names


def _removed(
    removal: Removal, stored: StoredObservation | None, *, policy: ReconcilePolicy, now: datetime
) -> ObservationChange:
    if stored is None:
        raise TypeError("a removal is written only where there is an Observation")
    if policy.deletes and removal.reason is not RemovalReason.FILTERED:
        return Delete(removal.identity, removal, stored.name)
    return Resolve(removal.identity, removal, stored.name, timestamp(now))


def _occurred(observation: Observation) -> ObservationChange:
    """An occurrence is written once, by the window it opened; its Observation was seen when that began."""
    occurrence = observation.occurrence
    if occurrence is None or occurrence.window is None:
        raise TypeError("an occurrence is written only after deduplication opened its window")
    moment = timestamp(occurrence.window.start)
    name = occurrence.window.name
    after = StoredObservation(observation.fingerprint, moment, moment, name=name)
    return Upsert(observation.identity, observation, after)


def _counted(
    observation: Observation,
    evidence: EventEvidence,
    stored: StoredObservation | None,
    *,
    policy: ReconcilePolicy,
    now: datetime,
) -> ObservationChange:
    """A Kubernetes Event: the newest of its Observation, or one that only adds to the counts."""
    if stored is None or stored.evidence is None or stored.missing:
        return _upsert(observation, stored, policy=policy, now=now)
    newest = _comparable(stored.last_seen), stored.newest
    if (_comparable(evidence.last_seen), evidence.name) >= newest:
        return _upsert(observation, stored, policy=policy, now=now)
    base, names = _evidence_after(observation, evidence, stored, policy)
    after = replace(stored, base=base, evidence=names)
    return MergeEvidence(observation.identity, observation, after)


def _upsert(
    observation: Observation,
    stored: StoredObservation | None,
    *,
    policy: ReconcilePolicy,
    now: datetime,
) -> Upsert:
    moment = timestamp(now)
    if stored is None:
        after = StoredObservation(observation.fingerprint, moment, moment, name=_named(observation))
    else:
        after = replace(
            stored,
            fingerprint=observation.fingerprint,
            last_seen=moment,
            resolved=False,
            missing=False,
        )
    evidence = observation.classified.evidence
    if evidence is not None:
        after.base, after.evidence = _evidence_after(observation, evidence, stored, policy)
        after.last_seen, after.newest = evidence.last_seen or moment, evidence.name
    return Upsert(observation.identity, observation, after)


def _named(observation: Observation) -> str:
    """Name the Observation: readable by the object's name, of a Kubernetes Event by the involved object's."""
    identity = observation.identity
    return observation_name(identity, readable=identity.name or observation.classified.subject.name)


def _evidence_after(
    observation: Observation,
    evidence: EventEvidence,
    stored: StoredObservation | None,
    policy: ReconcilePolicy,
) -> tuple[int, dict[str, int]]:
    namespace = observation.namespace
    return with_evidence(stored, evidence, exists=lambda name: policy.event_exists(namespace, name))


def _is_counted(evidence: EventEvidence, stored: StoredObservation) -> bool:
    """Whether an open Observation counts this very state of a Kubernetes Event."""
    counts = stored.evidence
    return stored.is_open and counts is not None and counts.get(evidence.name) == evidence.count


def _is_unchanged(
    observation: Observation,
    stored: StoredObservation,
    *,
    policy: ReconcilePolicy,
    now: datetime,
) -> bool:
    """Whether an open Observation shows this state already, and its ``lastSeen`` is not due for a refresh."""
    if not stored.is_open or not policy.deduplicates:
        return False
    if stored.fingerprint != observation.fingerprint:
        return False
    return not (observation.resync and _is_due(stored, policy=policy, now=now))


def _is_due(stored: StoredObservation, *, policy: ReconcilePolicy, now: datetime) -> bool:
    try:
        last_seen = datetime.fromisoformat(stored.last_seen)
        return now - last_seen >= timedelta(seconds=policy.refresh_seconds)
    except (ValueError, TypeError):  # edited by another writer: not a time, or one without a zone
        return True


def _comparable(moment: str) -> str:
    """A moment as text that sorts by time, with a fraction of a second or without (``.`` sorts below ``Z``)."""
    return moment.removesuffix("Z")


def _age(name: str) -> tuple[int, str]:
    """Sort key by age: recorders end an Event's name with its first timestamp in hexadecimal nanoseconds."""
    try:
        return int(name.rpartition(".")[2], 16), name
    except ValueError:
        return 0, name
