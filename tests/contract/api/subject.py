"""The server that a check asks, and what the check may do to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster.api import Api


@dataclass(frozen=True, slots=True)
class Subject:
    """One server under test."""

    name: str
    api: Api
    viewer: Api
    """The API as somebody has it who may do nothing."""

    forget: Callable[[], object]
    """Forget the history of events up to now; the genuine server keeps that of other kinds."""

    drop: Callable[[str], object]
    """Remove a namespace, in the way that the server has."""
