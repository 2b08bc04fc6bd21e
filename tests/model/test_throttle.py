"""The throttle against an exact reference, on a clock that stands still; and mutants, which must die."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import cast

import pytest
from hypothesis import event
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from reactivex.subject import Subject

from operators.flow.delivery import Delivery, Ledger, Ticket
from operators.flow.rate import TokenBucket
from operators.model.outcome import Ending, Outcome
from operators.throttle import Throttle, ThrottleQueue, WhenOver, throttle
from tests.kit.machines import dies, reach, survive, survivors
from tests.kit.timers import VirtualTime

STORED = Outcome(Ending.STORED)
INTERVALS_NS = {2.0: 500_000_000, 0.5: 2_000_000_000, 8.0: 125_000_000}
WALKS, MUTANT_WALKS, STEPS = 160, 300, 30
FLOOR = 8
reached: Counter[str] = Counter()


class Reference:
    """A bucket of fractions of tokens, and a list."""

    def __init__(self, spec: Throttle, *, waiting_maximum: int, late_ns: int) -> None:
        self.interval = INTERVALS_NS[spec.per_second]
        self.burst = spec.burst_size
        self.most = waiting_maximum if spec.when_over is WhenOver.WAIT else 0
        self.tokens = Fraction(spec.burst_size)
        self.late = max(0, late_ns)
        self.now = 0
        self.due = 0
        self.waiting: list[tuple[int, int]] = []
        self.passed: list[tuple[int, int, int]] = []
        self.ended: dict[int, str] = {}
        self.echoes: dict[int, int] = {}

    def refill(self, now: int) -> None:
        self.tokens = min(
            Fraction(self.burst), self.tokens + Fraction(now - self.now, self.interval)
        )
        self.now = now

    def go(self, number: int, since: int) -> None:
        self.tokens -= 1
        self.passed.append((number, self.now, self.now - since))
        if number in self.echoes:
            self.offer(self.echoes[number])

    def offer(self, number: int) -> None:
        if not self.waiting and self.tokens >= 1:
            self.go(number, self.now)
        elif len(self.waiting) < self.most:
            self.waiting.append((number, self.now))
            if len(self.waiting) == 1:
                self.wait()
        else:
            self.ended[number] = "throttled"

    def advance(self, nanoseconds: int) -> None:
        until = self.now + nanoseconds
        while self.waiting and self.due <= until:
            self.refill(self.due)
            while self.waiting and self.tokens >= 1:
                self.go(*self.waiting.pop(0))
            self.wait()
        self.refill(until)

    def wait(self) -> None:
        self.due = self.now + int((1 - self.tokens) * self.interval) + self.late

    def stop(self) -> None:
        self.ended |= {number: "interrupted" for number, _ in self.waiting}
        self.waiting = []


class Throttling(RuleBasedStateMachine):
    @initialize(
        per_second=st.sampled_from(sorted(INTERVALS_NS)),
        burst=st.integers(1, 3),
        when_over=st.sampled_from([WhenOver.WAIT, WhenOver.WAIT, WhenOver.END]),
        waiting_maximum=st.integers(1, 8),
        late_ns=st.sampled_from([0, -3, 600_000_000]),
    )
    def begin(
        self, per_second: float, burst: int, when_over: WhenOver, waiting_maximum: int, late_ns: int
    ) -> None:
        spec = Throttle(per_second=per_second, burst=burst, when_over=when_over)
        self.reference = Reference(spec, waiting_maximum=waiting_maximum, late_ns=late_ns)
        self.time = VirtualTime(late_ns=late_ns)
        self.ledger = Ledger()
        self.tickets: list[Ticket] = []
        self.passed: list[tuple[int, int, int]] = []
        self.completed = 0
        self.finished = self.stopped = False
        self.source: Subject[Delivery[int]] = Subject()
        self.subscription = self.source.pipe(
            throttle(
                spec,
                waiting_maximum=waiting_maximum,
                clock=self.time.clock,
                call_later=self.time.call_later,
            )
        ).subscribe(self.arrived, on_completed=self.complete)

    def arrived(self, delivery: Delivery[int]) -> None:
        stage, at_ns, detail = delivery.ticket.marks[-1]
        assert stage == "throttle"
        waited_ns = round(cast("dict[str, float]", detail)["throttle.wait_ms"] * 1_000_000)
        self.passed.append((delivery.value, at_ns, waited_ns))
        reached["waited" if waited_ns else "at once"] += 1
        delivery.settle(STORED)
        if delivery.value in self.reference.echoes:
            reached["another from within"] += 1
            self.push()

    def complete(self) -> None:
        self.completed += 1

    def push(self) -> None:
        ticket = Ticket(self.ledger, self.time.clock)
        self.tickets.append(ticket)
        self.source.on_next(Delivery(len(self.tickets) - 1, ticket))

    @precondition(lambda self: not (self.finished or self.stopped))
    @rule(count=st.integers(1, 3), echo=st.booleans())
    def offer(self, count: int, *, echo: bool) -> None:
        if echo and not self.reference.waiting:
            number = len(self.tickets)
            self.reference.echoes[number] = number + 1
            self.reference.offer(number)
            self.push()
            if number + 1 == len(self.tickets):
                del self.reference.echoes[number]
            return
        for _ in range(count):
            self.reference.offer(len(self.tickets))
            self.push()

    @rule(share=st.sampled_from([1, 3, 4, 5, 8, 12, 20, 40]))
    def advance(self, share: int) -> None:
        nanoseconds = self.reference.interval * share // 4
        self.reference.advance(nanoseconds)
        self.time.advance(nanoseconds)

    @precondition(lambda self: len(self.tickets) > 9)
    @rule()
    def finish(self) -> None:
        if not (self.finished or self.stopped):
            self.finished = True
            reached["finished while some wait"] += bool(self.reference.waiting)
            self.source.on_completed()

    @precondition(lambda self: len(self.tickets) > 9 and not self.stopped)
    @rule()
    def stop(self) -> None:
        self.stopped = True
        reached["stopped while some wait"] += bool(self.reference.waiting)
        self.reference.stop()
        self.subscription.dispose()

    @invariant()
    def agrees_with_the_reference(self) -> None:
        if not hasattr(self, "reference"):
            return
        assert self.passed == self.reference.passed
        ended = {
            number: ticket.outcome.ending.value
            for number, ticket in enumerate(self.tickets)
            if ticket.outcome is not None and ticket.outcome is not STORED
        }
        assert ended == self.reference.ended
        assert self.ledger.balance == 0
        assert self.ledger.in_flight == len(self.reference.waiting)
        assert self.time.pending == bool(self.reference.waiting)
        over = self.finished and not self.reference.waiting
        assert self.completed == (over and not self.stopped) or self.stopped

    def teardown(self) -> None:
        """Liveness: whoever waits passes, in the end."""
        if not hasattr(self, "reference"):
            return
        self.advance(40 * (len(self.reference.waiting) + 1))
        self.agrees_with_the_reference()
        assert self.ledger.in_flight == 0
        for ending in self.reference.ended.values():
            reached[ending] += 1
            event(ending)


def test_the_throttle_does_what_the_reference_does() -> None:
    wanted = (
        *("at once", "waited", "throttled", "interrupted", "another from within"),
        *("finished while some wait", "stopped while some wait"),
    )
    reach(survive(Throttling, walks=WALKS, steps=STEPS), reached, wanted, floor=FLOOR)


class Saving(TokenBucket):
    """Saves tokens beyond the burst."""

    def take(self, now_ns: int, *, tokens: int = 1) -> bool:
        taken = now_ns >= self._full_at_ns + tokens * self._token_ns - self._burst_ns
        self._full_at_ns += tokens * self._token_ns if taken else 0
        return taken


class Stingy(TokenBucket):
    """Has a burst of one less."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # pyright: ignore[reportArgumentType]
        self._burst_ns = max(0, self._burst_ns - self._token_ns)


class Late(TokenBucket):
    """Says to wait for a token more."""

    def wait_ns(self, now_ns: int, *, tokens: int = 1) -> int:
        wait_ns = super().wait_ns(now_ns, tokens=tokens)
        return wait_ns + self._token_ns if wait_ns else 0


class Generous(TokenBucket):
    """Always has a token."""

    def take(self, now_ns: int, *, tokens: int = 1) -> bool:
        super().take(now_ns, tokens=tokens)
        return True


class Overtaking(ThrottleQueue[int]):
    def admit(self, delivery: Delivery[int]) -> None:
        if self._bucket.take(self._clock()):
            self._release(delivery, waited_ns=0)
        else:
            super().admit(delivery)


class LastInFirstOut(ThrottleQueue[int]):
    def _fire(self) -> None:
        self._waiting.reverse()
        super()._fire()


class Crowded(ThrottleQueue[int]):
    def __init__(self, spec: Throttle, **rest: object) -> None:
        super().__init__(spec, **rest)  # pyright: ignore[reportArgumentType]
        self._waiting_maximum += 1


class Forgetful(ThrottleQueue[int]):
    def _fire(self) -> None:
        super()._fire()
        if self._timer is not None:
            self._timer.cancel()


class Losing(ThrottleQueue[int]):
    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


class Ticking(ThrottleQueue[int]):
    def stop(self) -> None:
        self._timer = None
        super().stop()


class CompletingEarly(ThrottleQueue[int]):
    def finish(self) -> None:
        self._observer.on_completed()


class NeverCompleting(ThrottleQueue[int]):
    def finish(self) -> None:
        if not self._waiting:
            super().finish()


class Silent(ThrottleQueue[int]):
    def _release(self, delivery: Delivery[int], *, waited_ns: int) -> None:
        del waited_ns
        super()._release(delivery, waited_ns=0)


class Busy(ThrottleQueue[int]):
    def _arm(self) -> None:
        super()._arm()
        if self._waiting:
            self._call_later(1.0, lambda: None)


@pytest.mark.timeout(120)
def test_a_throttle_with_a_defect_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    def check() -> bool:
        return dies(Throttling, steps=STEPS, walks=MUTANT_WALKS)

    buckets = (Saving, Stingy, Late, Generous)
    lines = (
        *(Overtaking, LastInFirstOut, Crowded, Forgetful, Losing),
        *(Ticking, CompletingEarly, NeverCompleting, Silent, Busy),
    )
    bucket, line = "operators.throttle.TokenBucket", "operators.throttle.ThrottleQueue"
    assert survivors(buckets, place=bucket, check=check, patch=monkeypatch) == []
    assert survivors(lines, place=line, check=check, patch=monkeypatch) == []
