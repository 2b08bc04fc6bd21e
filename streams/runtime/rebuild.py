"""The state after a restart: rebuilt from the Observations in the cluster, compared with what is there now."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass

from operators.flow.clock import WallClock
from operators.model.index import Known
from streams.cluster.errors import ClusterError
from streams.cluster.observations import ListRefusedError, Stored
from streams.runtime.pipeline import Books


@dataclass(frozen=True, slots=True)
class Remembered:
    """The subject of an unresolved Observation: its key (``namespace/name``), and the uid it had when written."""

    key: str
    uid: str


Subjects = dict[str, Remembered]
"""An unresolved Observation's name to its subject."""

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 15.0


async def rebuild_in_time(
    stored: Callable[[], AsyncIterator[Stored]],
    books: Books,
    *,
    now: WallClock,
    waits: Callable[[Exception], None],
    sleep: Callable[[float], Awaitable[None]],
) -> Subjects:
    """Rebuild as soon as the Observations can be listed; each failure is told (``waits``), and waited out."""
    wait_seconds = FIRST_SECONDS
    while True:
        try:
            return await rebuild(stored(), books, now=now)
        except (ClusterError, ListRefusedError) as error:
            waits(error)
        await sleep(wait_seconds)
        wait_seconds = min(2 * wait_seconds, LONGEST_SECONDS)


async def rebuild(stored: AsyncIterator[Stored], books: Books, *, now: WallClock) -> Subjects:
    """Fill the books from the Observations in the cluster; name the subjects that were there when last seen.

    An occurrence is known by the window it opened, anything else by its name.
    """
    subjects: Subjects = {}
    moment = now()
    async for one in stored:
        name, spec, opened = one.metadata.name, one.spec, one.opened
        if opened is not None:
            occurrence, window = opened
            books.windows.restore(window, occurrence, moment=moment)
            continue
        books.index.put(
            name,
            Known(
                spec.fingerprint,
                spec.first_seen,
                spec.last_seen,
                resolved=bool(spec.resolved_at),
                uid=one.metadata.uid,
                traceparent=one.traceparent,
                base=spec.evidence_base,
                evidence=spec.evidence,
                newest=spec.details.metadata.name if spec.evidence is not None else "",
            ),
        )
        if not spec.resolved_at and spec.evidence is None:
            key = f"{one.subject.namespace}/{one.subject.name}"
            subjects[name] = Remembered(key, spec.details.metadata.uid)
    return subjects


def departed(
    subjects: Subjects, present: Collection[str], *, name_of: Callable[[str], str]
) -> list[Remembered]:
    """Which subjects ended while nobody watched: they have an unresolved Observation, and are not there.

    ``present`` are the keys the first list brought, ``name_of`` names the Observation of a key. One whose name is no
    longer the one its subject would get belongs to nobody here, and is left alone.
    """
    return [
        subject
        for observation, subject in subjects.items()
        if subject.key not in present and name_of(subject.key) == observation
    ]
