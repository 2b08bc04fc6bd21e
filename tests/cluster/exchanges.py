"""What passes through the fault proxy, and the rules for what is done to it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, Literal, TypeAlias, TypeVar

Kind = Literal["watch", "list", "write", "other"]
Fault = Literal["", "injected", "dropped", "cut", "lost"]

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@dataclass(slots=True)
class Exchange:
    """One request, and what has become of it so far."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    kind: Kind
    started: float
    """Of the monotonic clock, in seconds, when the head of the request had been read."""
    ended: float | None = None
    """When it was over, for whatever reason."""
    status: int | None = None
    """What the answer began with, also where it was dropped; None while there is none."""
    answer_bytes: int = 0
    """Of the answer's body, as far as it was passed on."""
    fault: Fault = ""
    """`injected`: never reached the server; `dropped`: it did, and its answer was swallowed; `cut`:
    the answer ended early on purpose; `lost`: the server or the client went away."""


Predicate: TypeAlias = Callable[[Exchange], bool]
Choose: TypeAlias = Callable[[], int]
Effect = TypeVar("Effect")


def kind_of(method: str, path: str, query: Mapping[str, str]) -> Kind:
    """What a request to the Kubernetes API is for; one object, logs and discovery are `other`."""
    if method in WRITES:
        return "write"
    if query.get("watch") in {"true", "True", "1"}:
        return "watch"
    words = path.strip("/").split("/")
    depth = {"api": 2, "apis": 3}.get(words[0])
    if depth is None:
        return "other"
    below = words[depth:]
    whole = len(below) == 1 or (len(below) == 3 and below[0] == "namespaces")
    return "list" if whole else "other"


class Rules(Generic[Effect]):
    """Effects on the exchanges that fit a predicate, on so many of them; safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[tuple[Predicate, Effect, list[int]]] = []

    def add(self, predicate: Predicate, effect: Effect, *, times: int | None) -> None:
        """Have the effect on the next `times` exchanges that fit; None is all of them."""
        with self._lock:
            self._rules.append((predicate, effect, [-1 if times is None else times]))

    def take(self, exchange: Exchange) -> Effect | None:
        """The effect of the oldest rule that fits and is not used up; it is used once more."""
        with self._lock:
            for predicate, effect, left in self._rules:
                if left[0] != 0 and predicate(exchange):
                    left[0] -= 1
                    return effect
        return None

    def clear(self) -> None:
        """Forget every rule."""
        with self._lock:
            self._rules.clear()
