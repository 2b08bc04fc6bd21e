"""What makes two occurrences equal, and how the Observation of one is named."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from operators.model.event import Body
from operators.model.fingerprint import HEX_CHARACTERS, content, field
from operators.model.identity import canonical, observation_name
from operators.model.observation import Observation, Occurrence

SAID_BY_REPORTS = ("vulnerabilityID", "rule", "policy", "reason", "auditID", "checkId")
"""zen-watcher's six: what of a tool's report says what it is about."""


def of_object(body: Body, *, fields: Sequence[str] | None) -> object:
    """What tells the states of an object apart: the named fields (dotted paths), else all its content."""
    return content(body) if fields is None else {path: field(body, path) for path in fields}


def of_report(body: Body, title: str, *, fields: Sequence[str] | None) -> object:
    """What tells the reports of a sender apart: the named fields (dotted paths), else the title and the six."""
    if fields is None:
        return [title, {name: body.get(name) for name in SAID_BY_REPORTS}]
    return {path: field(body, path) for path in fields}


def occurred(
    observation: Observation, occurrence: Occurrence, said: object, *, ingester: tuple[str, str]
) -> None:
    """Make an Observation that of an occurrence: its key is its fingerprint, and its name says what opened it.

    The key is whose it is, how it is classified, its subject, and what it ``said``. With the opening event in it, the
    name is the same at every try and after every restart.
    """
    about = observation.subject
    group = about.api_version.rpartition("/")[0]
    key = (
        *(*ingester, observation.source, observation.category),
        *(observation.severity, observation.event_type),
        *(group, about.kind, about.namespace, about.name, said),
    )
    observation.fingerprint = hashlib.sha256(canonical(key)).hexdigest()[:HEX_CHARACTERS]
    identity = (*ingester, "occurrence", observation.fingerprint, occurrence.opening)
    observation.name = observation_name(observation.source, identity)
    observation.occurrence = occurrence
