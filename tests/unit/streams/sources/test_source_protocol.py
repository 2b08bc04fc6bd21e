"""An informer takes every call that the protocols of sources allow, defaults included."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from streams.sources.informer.source import InformerSource
from streams.sources.source import RereadableSource

METHODS = sorted(
    name
    for protocol in (RereadableSource, *RereadableSource.__bases__)
    for name, member in vars(protocol).items()
    if inspect.isfunction(member) and not name.startswith("_")
)


def parameters(method: Callable[..., Any]) -> list[tuple[str, Any, Any]]:
    """Each parameter's name, kind and default."""
    found = inspect.signature(method).parameters.values()
    return [(one.name, one.kind, one.default) for one in found]


@pytest.mark.parametrize("name", METHODS)
def test_an_informer_takes_what_the_protocol_allows(name: str) -> None:
    assert parameters(getattr(InformerSource, name)) == parameters(getattr(RereadableSource, name))


def test_the_calls_of_a_restart_and_of_a_recheck_are_among_them() -> None:
    assert {"request_reread", "reenter", "keys", "knows", "synced", "stop_intake"} <= set(METHODS)
