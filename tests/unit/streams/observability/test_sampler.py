from __future__ import annotations

from collections import Counter

import pytest

from operators.model.outcome import Ending, Outcome
from streams.observability.sampler import RESERVED_SPANS, Sampling, SpanBudget, TraceSampler

SECOND = 1_000_000_000


class World:
    """A choice on a clock that stands still."""

    def __init__(self, *spans_per_second: int, ratio: float = 1.0) -> None:
        self.now_ns = 0
        self.suppressed: Counter[str] = Counter()
        self.budgets = tuple(SpanBudget(it, now_ns=self.now_ns) for it in spans_per_second)
        self.sampler = TraceSampler(Sampling(ratio), self.budgets, suppressed=self.suppressed)

    def admits(self, name: str, spans: int = 1) -> bool:
        return self.sampler.admit(name, spans, now_ns=self.now_ns)

    def reserve(self) -> bool:
        return self.sampler.reserve(self.now_ns)


@pytest.mark.parametrize(
    ("ending", "attempts", "took_seconds", "name"),
    [
        (Ending.DROPPED, 0, 0, "dropped"),
        (Ending.INTERRUPTED, 0, 0, "interrupted"),
        (Ending.DEAD_LETTERED, 8, 60, "dead_lettered"),
        (Ending.FAILED, 0, 0, "failed"),
        (Ending.STORED, 2, 60, "retried"),
        (Ending.STORED, 1, 5.1, "slow"),
        (Ending.FILTERED, 0, 5.1, "slow"),
        (Ending.STORED, 1, 5.0, "stored"),
        (Ending.FILTERED, 0, 1, "sampled"),
        (Ending.DEDUPLICATED, 0, 1, "sampled"),
        (Ending.COALESCED, 1, 1, "sampled"),
        (Ending.THROTTLED, 0, 1, "sampled"),
    ],
)
def test_the_first_reason_to_keep_a_trace_is_its_class(
    ending: Ending, attempts: int, took_seconds: float, name: str
) -> None:
    sampler = World(10).sampler
    took_ns = int(took_seconds * SECOND)

    assert sampler.class_of(Outcome(ending), attempts=attempts, took_ns=took_ns) == name


@pytest.mark.parametrize(
    ("ratio", "tracestate", "lowest_kept"),
    [
        (1.0, "ot=th:0", 0),
        (0.5, "ot=th:8", 1 << 55),
        (0.25, "ot=th:c", 3 << 54),
        (0.01, "ot=th:fd70a3d70a3d7", 0xFD70A3D70A3D70),
    ],
)
def test_the_share_is_the_one_of_w3c_trace_context(
    ratio: float, tracestate: str, lowest_kept: int
) -> None:
    sampler = World(10, ratio=ratio).sampler
    foreign = 0xABCDEF << 56

    assert sampler.tracestate == tracestate
    assert sampler.is_sampled(foreign | lowest_kept)
    assert not lowest_kept or not sampler.is_sampled(foreign | (lowest_kept - 1))


def test_of_a_ratio_of_nothing_nothing_is_kept() -> None:
    assert not World(10, ratio=0.0).sampler.is_sampled((1 << 128) - 1)


def test_the_budget_holds_a_second_and_fills_with_time() -> None:
    world = World(10)
    assert [world.admits("stored", 4) for _ in range(2)] == [True, True]
    assert world.admits("stored", 4)  # the one a second that goes through
    assert not world.admits("stored", 4)
    world.now_ns += SECOND // 2
    assert not world.admits("stored", 4)
    world.now_ns += SECOND // 2
    assert world.admits("stored", 4)
    assert world.suppressed == {"stored": 2}


def test_every_class_has_its_one_a_second_when_nothing_is_left() -> None:
    world = World(1)
    world.budgets[0].spend(world.now_ns)
    kept: Counter[str] = Counter()
    for _ in range(100):
        kept.update(name for name in ("dropped", "failed", "stored") if world.admits(name, 100))
        world.now_ns += SECOND // 20

    assert kept == {"dropped": 5, "failed": 5, "stored": 5}
    assert world.suppressed == {"dropped": 95, "failed": 95, "stored": 95}


def test_noise_leaves_half_of_the_budget_for_what_matters() -> None:
    world = World(100)
    kept = sum(world.admits("sampled") for _ in range(200))

    assert kept == 50 + 1
    assert sum(world.admits("failed") for _ in range(100)) == 49 + 1


def test_debt_is_bounded_so_that_quiet_ends_it() -> None:
    world = World(10)
    for _ in range(50):
        world.admits("failed", 1000)
        world.now_ns += SECOND
    world.now_ns += 2 * SECOND

    assert world.admits("stored", 10)
    assert world.suppressed == {}


def test_a_reservation_takes_from_the_budget_and_is_corrected_when_the_spans_are_known() -> None:
    world = World(20)
    assert world.reserve()
    world.sampler.settle_reservation(8, now_ns=world.now_ns)
    left = 20 - 8
    assert [world.admits("failed") for _ in range(left + 2)] == [True] * (left + 1) + [False]


def test_a_reservation_is_refused_when_nothing_is_left_and_its_one_a_second_is_gone() -> None:
    world = World(RESERVED_SPANS)
    assert [world.reserve() for _ in range(3)] == [True, True, False]


def test_a_source_that_wants_less_is_held_to_it_and_to_what_the_process_has() -> None:
    world = World(4, 100)
    assert [world.admits("failed") for _ in range(6)] == [True] * 5 + [False]
    world.budgets[1].spend(world.now_ns, tokens=1000)
    world.now_ns += SECOND // 2
    assert not world.admits("failed")


def test_a_budget_of_nothing_keeps_nothing_but_what_the_stop_interrupts() -> None:
    world = World(0)
    assert not world.admits("failed")
    assert not world.reserve()
    assert world.admits("interrupted")
