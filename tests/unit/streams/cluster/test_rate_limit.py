"""The client's own rate limit: exact in rate, in the order of the calls, its waits reported."""

from __future__ import annotations

import asyncio
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.cluster.rate_limit import DEFAULT_BURST, DEFAULT_RATE_PER_SECOND, RateLimiter
from tests.unit.streams.cluster.virtual import VirtualLoop, run


def test_the_defaults_are_those_of_client_go() -> None:
    assert (DEFAULT_RATE_PER_SECOND, DEFAULT_BURST) == (5.0, 10)


def test_a_burst_passes_at_once_and_the_rest_at_the_rate() -> None:
    async def main(loop: VirtualLoop) -> list[float]:
        limiter = RateLimiter(clock=loop.clock)
        return [await limiter.take() for _ in range(14)]

    assert run(main) == [0.0] * 10 + [pytest.approx(0.2)] * 4


def test_what_was_not_used_comes_back_up_to_the_burst() -> None:
    async def main(loop: VirtualLoop) -> list[float]:
        limiter = RateLimiter(10, burst=3, clock=loop.clock)
        for _ in range(3):
            await limiter.take()
        await asyncio.sleep(60)
        return [await limiter.take() for _ in range(4)]

    assert run(main) == [0.0, 0.0, 0.0, pytest.approx(0.1)]


def test_tokens_are_granted_in_the_order_of_the_calls() -> None:
    async def main(loop: VirtualLoop) -> list[int]:
        limiter = RateLimiter(10, burst=1, clock=loop.clock)
        order: list[int] = []

        async def ask(number: int) -> None:
            await limiter.take()
            order.append(number)

        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(ask(number))
        return order

    assert run(main) == list(range(20))


def test_a_new_call_does_not_overtake_waiting_ones() -> None:
    async def main(loop: VirtualLoop) -> list[str]:
        limiter = RateLimiter(1, burst=1, clock=loop.clock)
        order: list[str] = []

        async def ask(name: str) -> None:
            await limiter.take()
            order.append(name)

        await limiter.take()
        waiting = asyncio.create_task(ask("first"))
        await asyncio.sleep(0)
        loop.jumping.now_ns += 1_500_000_000  # the token is there, its timer has not fired yet
        await ask("second")
        await waiting
        return order

    assert run(main) == ["first", "second"]


def test_a_cancelled_wait_leaves_no_gap() -> None:
    async def main(loop: VirtualLoop) -> tuple[float, int]:
        limiter = RateLimiter(1, burst=1, clock=loop.clock)
        await limiter.take()
        tasks = [asyncio.create_task(limiter.take()) for _ in range(3)]
        await asyncio.sleep(0.5)
        tasks[0].cancel()
        tasks[1].cancel()
        waited = await tasks[2]
        return waited, limiter.waiting

    assert run(main) == (pytest.approx(1.0, abs=0.01), 0)


def test_a_token_granted_to_a_cancelled_task_goes_to_the_next() -> None:
    async def main(loop: VirtualLoop) -> float:
        limiter = RateLimiter(1, burst=1, clock=loop.clock)
        await limiter.take()
        doomed = asyncio.create_task(limiter.take())
        heir = asyncio.create_task(limiter.take())
        await asyncio.sleep(0)
        loop.call_later(1.0 + 5e-10, doomed.cancel)  # in the turn of the grant, and after it
        return await heir

    assert run(main) == pytest.approx(1.0, abs=0.01)


def test_nothing_is_left_behind_when_all_waits_are_cancelled() -> None:
    async def main(loop: VirtualLoop) -> list[float]:
        limiter = RateLimiter(1, burst=1, clock=loop.clock)
        await limiter.take()
        tasks = [asyncio.create_task(limiter.take()) for _ in range(3)]
        await asyncio.sleep(0)
        assert limiter.waiting == 3
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert limiter.waiting == 0
        await asyncio.sleep(1)
        return [await limiter.take(), await limiter.take()]

    assert run(main) == [0.0, pytest.approx(1.0)]


def test_waits_are_summed_and_reported_once_a_minute() -> None:
    async def main(loop: VirtualLoop) -> tuple[float, list[tuple[float, float]]]:
        reported: list[tuple[float, float]] = []
        limiter = RateLimiter(
            0.1, burst=1, clock=loop.clock, on_slow=lambda it: reported.append((loop.time(), it))
        )
        for _ in range(9):  # waits of 10 s, at 10, 20 .. 80 s
            await limiter.take()
        return limiter.waited_seconds_total, reported

    total, reported = run(main)
    assert total == pytest.approx(80)
    assert reported == [pytest.approx((10, 10)), pytest.approx((70, 10))]


@pytest.mark.parametrize(("rate", "slow"), [(2, 0), (1, 0), (0.99, 1)])
def test_a_wait_is_slow_beyond_a_second(rate: float, slow: int) -> None:
    async def main(loop: VirtualLoop) -> tuple[float, int]:
        reported: list[float] = []
        limiter = RateLimiter(rate, burst=1, clock=loop.clock, on_slow=reported.append)
        await limiter.take()
        await limiter.take()
        return limiter.waited_seconds_total, len(reported)

    assert run(main) == (pytest.approx(1 / rate, abs=0.001), slow)


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (-1, 1), (float("nan"), 1), (1, 0)])
def test_a_limit_that_grants_nothing_is_refused(rate: float, burst: int) -> None:
    with pytest.raises(ValueError, match="rate"):
        RateLimiter(rate, burst=burst, clock=lambda: 0)


def _expected(rate: int, burst: int, asked_ms: list[int]) -> list[Fraction]:
    """The textbook's limiter: tokens grow with time, each asker waits for a whole one, in turn."""
    granted: list[Fraction] = []
    tokens, at = Fraction(burst), Fraction(0)
    for ms in asked_ms:
        now = max(Fraction(ms, 1000), at)
        tokens = min(Fraction(burst), tokens + (now - at) * rate)
        at = now
        if tokens < 1:
            at += (1 - tokens) / rate
            tokens = Fraction(1)
        tokens -= 1
        granted.append(at)
    return granted


@given(
    rate=st.sampled_from([1, 2, 5, 10, 50]),
    burst=st.integers(1, 5),
    gaps_ms=st.lists(st.integers(0, 700), min_size=1, max_size=25),
)
def test_every_grant_comes_when_the_textbook_says(
    rate: int, burst: int, gaps_ms: list[int]
) -> None:
    asked_ms = [sum(gaps_ms[: index + 1]) for index in range(len(gaps_ms))]

    async def main(loop: VirtualLoop) -> list[float]:
        limiter = RateLimiter(rate, burst=burst, clock=loop.clock)

        async def ask(at_ms: int) -> float:
            await asyncio.sleep(at_ms / 1000 - loop.time())
            await limiter.take()
            return loop.time()

        return await asyncio.gather(*(ask(at_ms) for at_ms in asked_ms))

    granted = sorted(run(main))  # who asks in the same instant asks in any order
    # A wait is rounded up to a millisecond, and without a burst the next token comes as much later.
    late = 0.002 + 0.001 * len(granted)
    for got, expected in zip(granted, _expected(rate, burst, asked_ms), strict=True):
        assert float(expected) - 0.001 <= got <= float(expected) + late
