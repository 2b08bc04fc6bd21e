"""The state after a restart: restored from the Observations in the cluster, then compared with what is observed now."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection

from operators.flow.backoff import Backoff, BackoffSettings
from operators.flow.clock import NANOSECONDS_PER_SECOND, Clock, WallClock
from operators.model.identity import Identity
from operators.model.state import ObservationState
from sinks.stored import StoredRecord
from streams.cluster.errors import ClusterError
from streams.cluster.observations import ListRefusedError

OpenSubjects = dict[Identity, str]
"""The identities of open Observations of subjects, with the uid that each object had when it was last written."""

BACKOFF = BackoffSettings(initial_seconds=1.0, cap_seconds=15.0)


async def restore_with_retries(
    list_stored: Callable[[], AsyncIterator[StoredRecord]],
    state: ObservationState,
    *,
    clock: Clock,
    now: WallClock,
    random: Callable[[], float],
    is_ours: Callable[[Identity], bool],
    on_failure: Callable[[Exception], None],
    sleep: Callable[[float], Awaitable[None]],
) -> OpenSubjects:
    """Restore the state as soon as the Observations can be listed; after each failure wait, 1 s to 15 s."""
    backoff = Backoff(BACKOFF, random=random)
    while True:
        try:
            return await restore(list_stored(), state, now=now, is_ours=is_ours)
        except (ClusterError, ListRefusedError) as error:
            on_failure(error)
        await sleep(backoff.next_ns(clock()) / NANOSECONDS_PER_SECOND)


async def restore(
    records: AsyncIterator[StoredRecord],
    state: ObservationState,
    *,
    now: WallClock,
    is_ours: Callable[[Identity], bool],
) -> OpenSubjects:
    """Fill the state from the Observations in the cluster; return the subjects whose Observation is open.

    An occurrence is known by the window it opened, anything else by its identity. ``is_ours`` decides whether an
    identity is one that the source observes now; others, of a former resource or source entry, are left alone.
    """
    # Applied only once the list is complete: what a list that breaks off showed may be gone when it is read again.
    complete = [record async for record in records if is_ours(record.identity)]
    subjects: OpenSubjects = {}
    moment = now()
    for record in complete:
        opened = record.opened
        if opened is not None:
            occurrence, window = opened
            state.restore_window(window, occurrence, moment=moment)
            continue
        identity, stored = record.identity, record.stored
        state.put(identity, stored)
        if stored.is_open and identity.event is None:
            subjects[identity] = record.object_uid
    return subjects


def removed_meanwhile(subjects: OpenSubjects, present: Collection[str]) -> list[tuple[str, str]]:
    """Return key and uid of the subjects that were removed while no process observed them.

    They have an open Observation, and are not among the keys that the first list brought.
    """
    return [
        (identity.object_key, uid)
        for identity, uid in subjects.items()
        if identity.object_key not in present
    ]
