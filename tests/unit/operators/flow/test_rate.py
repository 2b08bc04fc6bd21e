from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.flow.rate import TokenBucket

SECOND = 1_000_000_000


def test_a_bucket_starts_full_and_refills_at_its_rate_up_to_the_burst() -> None:
    bucket = TokenBucket(10, burst=2, now_ns=0)

    assert [bucket.take(0) for _ in range(3)] == [True, True, False]
    assert bucket.wait_ns(0) == SECOND // 10
    assert not bucket.take(SECOND // 10 - 1)
    assert bucket.take(SECOND // 10)
    assert [bucket.take(60 * SECOND) for _ in range(3)] == [True, True, False]


def test_a_refused_take_costs_nothing() -> None:
    bucket = TokenBucket(1, burst=1, now_ns=0)
    bucket.take(0)
    for _ in range(10):
        assert not bucket.take(SECOND // 2)

    assert bucket.take(SECOND)


def test_several_tokens_are_taken_together_or_not_at_all() -> None:
    bucket = TokenBucket(1, burst=4, now_ns=0)

    assert bucket.take(0, tokens=3)
    assert not bucket.take(0, tokens=3)
    assert bucket.wait_ns(0, tokens=3) == 2 * SECOND
    assert bucket.take(2 * SECOND, tokens=3)


def test_more_than_the_burst_is_never_available() -> None:
    bucket = TokenBucket(1, burst=4, now_ns=0)

    assert not bucket.take(10**9 * SECOND, tokens=5)
    assert bucket.wait_ns(10**9 * SECOND, tokens=5) == SECOND


def test_has_leaves_a_spare_and_takes_nothing() -> None:
    bucket = TokenBucket(1, burst=4, now_ns=0)

    assert bucket.has(0, tokens=2, spare=2)
    assert not bucket.has(0, tokens=3, spare=2)
    assert bucket.has(0, tokens=4)


def test_spending_makes_a_debt_of_so_much_at_most() -> None:
    bucket = TokenBucket(100, burst=100, now_ns=0, debt=100)

    bucket.spend(0, tokens=150)
    assert bucket.wait_ns(0) == 51 * SECOND // 100
    bucket.spend(0, tokens=1_000)
    assert bucket.wait_ns(0) == 101 * SECOND // 100
    assert not bucket.has(SECOND)
    assert bucket.has(SECOND + SECOND // 100)


def test_without_a_debt_spending_only_empties_the_bucket() -> None:
    bucket = TokenBucket(1, burst=2, now_ns=0)

    bucket.spend(0, tokens=10)

    assert bucket.wait_ns(0) == SECOND


def test_one_token_is_spent_unless_more_are_named() -> None:
    bucket = TokenBucket(1, burst=2, now_ns=0)

    bucket.spend(0)

    assert (bucket.has(0), bucket.has(0, tokens=2)) == (True, False)


def test_returned_tokens_are_available_again_but_never_more_than_the_burst() -> None:
    bucket = TokenBucket(1, burst=2, now_ns=0)
    bucket.take(0, tokens=2)

    bucket.spend(0, tokens=-1)
    assert (bucket.has(0), bucket.has(0, tokens=2)) == (True, False)
    bucket.spend(0, tokens=-50)
    assert (bucket.has(0, tokens=2), bucket.has(0, tokens=3)) == (True, False)
    assert bucket.take(0, tokens=2)
    assert not bucket.has(0)


def test_a_bucket_of_nothing_never_has_a_token() -> None:
    bucket = TokenBucket(0, burst=0, now_ns=0)

    assert not bucket.has(0)
    assert not bucket.has(10**18)


def test_a_rate_of_next_to_nothing_stays_in_the_range_of_timers() -> None:
    bucket = TokenBucket(5e-324, burst=1, now_ns=0)
    bucket.take(0)

    assert bucket.wait_ns(0) == 100_000_000 * SECOND


@pytest.mark.parametrize(
    ("rate", "burst", "debt"), [(-1, 1, 0), (float("nan"), 1, 0), (1, -1, 0), (1, 1, -1)]
)
def test_negative_settings_are_refused(rate: float, burst: int, debt: int) -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        TokenBucket(rate, burst=burst, now_ns=0, debt=debt)


@pytest.mark.parametrize("per_second", [3, 0.7, 1e-5, 997, 1e12])
def test_the_rate_is_kept_in_the_long_run(per_second: float) -> None:
    bucket, now_ns = TokenBucket(per_second, burst=1, now_ns=0), 0
    for _ in range(1000):
        assert bucket.take(now_ns)
        wait_ns = bucket.wait_ns(now_ns)
        assert not bucket.take(now_ns + max(0, wait_ns - 1))
        now_ns += wait_ns

    assert now_ns == pytest.approx(1000 * max(1, SECOND / per_second), rel=1e-6)


@given(
    per_second=st.sampled_from([1, 2, 5, 10, 50]),
    burst=st.integers(0, 6),
    debt=st.integers(0, 6),
    calls=st.lists(
        st.tuples(st.integers(0, 900), st.sampled_from(["take", "spend"]), st.integers(-3, 8))
    ),
)
def test_a_bucket_agrees_with_one_that_counts_its_tokens(
    per_second: int, burst: int, debt: int, calls: list[tuple[int, str, int]]
) -> None:
    bucket = TokenBucket(per_second, burst=burst, now_ns=0, debt=debt)
    left, now_ms = Fraction(burst), 0
    for gap_ms, call, tokens in calls:
        now_ms += gap_ms
        left = min(Fraction(burst), left + Fraction(gap_ms * per_second, 1000))
        now_ns = now_ms * 1_000_000
        if call == "take":
            wanted = abs(tokens)
            expected = left >= wanted
            assert bucket.has(now_ns, tokens=wanted) == expected
            assert bucket.take(now_ns, tokens=wanted) == expected
            left -= wanted if expected else 0
        else:
            bucket.spend(now_ns, tokens=tokens)
            left = max(Fraction(-debt), left - tokens)
        wait = max(Fraction(0), (1 - min(left, Fraction(burst))) / per_second)
        assert bucket.wait_ns(now_ns) == wait * SECOND
