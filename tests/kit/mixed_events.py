"""Events of every kind, in an order by chance, and how each of them has to end."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict

import msgspec

from operators.flow.trace import Correlation
from operators.model.event import Change, RawEvent
from sinks.responses import WriteResponse
from tests.kit.traced import UNWANTED, event, observation_of, removal

FLAKY, BAD = "flaky", "bad"
IN_FLIGHT = 64
COALESCING = 4
"""Events of one key in a row while no credit is left: the last of them counts."""


class Mix:
    """Phases of events, to be offered each at once and only when the one before has ended.

    Within a phase only the rows of ``coalescing`` share a key, and the first 64 events take all credits.
    """

    def __init__(self, total: int, *, seed: int) -> None:
        self.expected: dict[int, str] = {}
        """By the version of the event: how it ends."""
        self.objects: dict[int, str] = {}
        """By the version of the event: the name of its object."""
        self._dice = random.Random(seed)
        self._version = 0
        unit = total // 100
        assert 5 * unit >= IN_FLIGHT, "too few events to take all credits"
        self._good = [f"good-{number}" for number in range(36 * unit)]
        self.phases = [self._first(unit), self._second(unit)]

    @property
    def outcomes(self) -> Counter[str]:
        """How many events end in which way."""
        return Counter(self.expected.values())

    def _first(self, unit: int) -> list[RawEvent]:
        groups: list[list[RawEvent]] = [
            *([self._event(name, "stored", severity="high")] for name in self._good),
            *([self._event(f"{FLAKY}-{it}", "stored")] for it in range(2 * unit)),
            *([self._event(f"{BAD}-{it}", "dead_lettered")] for it in range(2 * unit)),
            *([self._event(f"no-{it}", "filtered", namespace=UNWANTED)] for it in range(10 * unit)),
        ]
        self._dice.shuffle(groups)
        return flattened(groups)

    def _second(self, unit: int) -> list[RawEvent]:
        names = iter(self._dice.sample(self._good, len(self._good)))
        updates = [self._event(next(names), "stored", severity="low") for _ in range(5 * unit)]
        groups: list[list[RawEvent]] = [
            *([one] for one in updates[IN_FLIGHT:]),
            *(
                [self._event(next(names), "deduplicated", severity="high")]
                for _ in range(25 * unit)
            ),
            *([self._removal(next(names), "stored")] for _ in range(4 * unit)),
            *([self._removal(f"never-{it}", "filtered")] for it in range(3 * unit)),
            *([self._event(f"torn-{it}", "dead_lettered", raw=b"{")] for it in range(3 * unit)),
            *(self._coalescing(f"busy-{it}") for it in range(10 * unit // COALESCING)),
        ]
        self._dice.shuffle(groups)
        return [*updates[:IN_FLIGHT], *flattened(groups)]

    def _coalescing(self, name: str) -> list[RawEvent]:
        endings = ["coalesced"] * (COALESCING - 1) + ["stored"]
        return [self._event(name, ending, step=step) for step, ending in enumerate(endings)]

    def _event(
        self,
        name: str,
        ending: str,
        *,
        namespace: str = "n",
        raw: bytes | None = None,
        **body: object,
    ) -> RawEvent:
        version = self._next(name, ending)
        change = Change.MODIFIED
        return event(name, version, namespace=namespace, change=change, raw=raw, **body)

    def _removal(self, name: str, ending: str) -> RawEvent:
        return removal(name, self._next(name, ending))

    def _next(self, name: str, ending: str) -> int:
        self._version += 1
        self.expected[self._version] = ending
        self.objects[self._version] = name
        return self._version


def flattened(groups: list[list[RawEvent]]) -> list[RawEvent]:
    return [one for group in groups for one in group]


class MixedWriter:
    """An API server for a ``Mix``: many requests at once, answered in an order by chance."""

    def __init__(self, mix: Mix, *, seed: int) -> None:
        self.asked: defaultdict[str, list[Correlation | None]] = defaultdict(list)
        """By the name of the Observation: what its requests were to be found by."""
        self.at_once = self.at_once_most = 0
        self.bodies: dict[str, bytes] = {}
        """What was last applied, by name."""
        self._names = {observation_of(name): name for name in set(mix.objects.values())}
        self._dice = random.Random(seed)

    async def apply(
        self, namespace: str, name: str, *, body: bytes, correlation: Correlation | None = None
    ) -> WriteResponse:
        await self._turn(name, correlation)
        subject = self._names[name]
        if subject.startswith(BAD):
            return WriteResponse(422, reason="Invalid", message="spec: Invalid value")
        if subject.startswith(FLAKY) and len(self.asked[name]) == 1:
            return WriteResponse(503, reason="ServiceUnavailable")
        is_new = name not in self.bodies
        self.bodies[name] = body
        answer = {"metadata": {"name": name, "namespace": namespace, "uid": f"uid-{name}"}}
        return WriteResponse(201 if is_new else 200, msgspec.json.encode(answer))

    async def read(
        self, namespace: str, name: str, *, correlation: Correlation | None = None
    ) -> WriteResponse:
        await self._turn(name, correlation)
        metadata = {"name": name, "namespace": namespace, "resourceVersion": "1"}
        return WriteResponse(200, msgspec.json.encode({"metadata": metadata, "spec": {}}))

    async def delete(
        self, namespace: str, name: str, *, correlation: Correlation | None = None
    ) -> WriteResponse:
        raise AssertionError(f"no deletion is expected: {namespace}/{name}, {correlation}")

    async def _turn(self, name: str, correlation: Correlation | None) -> None:
        self.asked[name].append(correlation)
        self.at_once += 1
        self.at_once_most = max(self.at_once_most, self.at_once)
        for _ in range(self._dice.randrange(1, 4)):
            await asyncio.sleep(0)
        self.at_once -= 1
