"""The state after a restart: rebuilt from the Observations in the cluster, compared with what is there now."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection

from operators.index import Index, Known
from streams.cluster.observations import Stored

Subjects = dict[str, tuple[str, str]]
"""An unresolved Observation's name to its subject's namespace and name."""


async def rebuild(stored: AsyncIterator[Stored], index: Index) -> Subjects:
    """Fill the index from the Observations in the cluster; name the subjects that were there when last seen."""
    subjects: Subjects = {}
    async for one in stored:
        name, spec = one.metadata.name, one.spec
        index.put(
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
            subjects[name] = one.subject.namespace, one.subject.name
    return subjects


def departed(
    subjects: Subjects, present: Collection[str], *, name_of: Callable[[str], str]
) -> list[tuple[str, str]]:
    """Which subjects ended while nobody watched: they have an unresolved Observation, and are not there.

    ``present`` are the keys (``namespace/name``) the first list brought, ``name_of`` names their Observations. An
    Observation whose name is no longer the one its subject would get belongs to nobody here, and is left alone.
    """
    there = {name_of(key) for key in present}
    return [
        (namespace, name)
        for observation, (namespace, name) in subjects.items()
        if observation not in there and name_of(f"{namespace}/{name}") == observation
    ]
