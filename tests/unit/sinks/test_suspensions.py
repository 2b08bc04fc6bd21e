"""Suspensions by scope: which writes they stop, what tests them, and what closes them."""

from __future__ import annotations

import logging

import pytest

from operators.model.outcome import Ending
from sinks.queue import ALL_NAMESPACES, RETRY_EVERY_SECONDS, Suspensions

SECOND = 1_000_000_000


class World:
    def __init__(self) -> None:
        self.now_ns = 0
        self.resumed = 0
        self.suspensions = Suspensions(lambda: self.now_ns, on_resumed=self._on_resumed)

    def _on_resumed(self) -> None:
        self.resumed += 1


def test_a_scope_is_closed_until_its_next_test() -> None:
    world = World()
    outcome = world.suspensions.suspend("a", reason="403", detail="quota")
    assert (outcome.ending, outcome.reason, outcome.detail) == (
        Ending.COALESCED,
        "spilled",
        "quota",
    )
    assert outcome.suspension is not None
    assert (outcome.suspension.name, outcome.suspension.is_open) == ("403 a", True)
    assert RETRY_EVERY_SECONDS == 30
    assert outcome.suspension.retry_at_ns == 30 * SECOND
    assert world.suspensions.check("a") == outcome
    assert world.suspensions.check("b") is None
    world.now_ns = 30 * SECOND - 1
    assert world.suspensions.check("a") == outcome
    world.now_ns += 1
    assert world.suspensions.check("a") is None


def test_one_write_claims_the_test_for_another_30_seconds() -> None:
    world = World()
    outcome = world.suspensions.suspend("a", reason="403", detail="quota")
    world.now_ns = 40 * SECOND
    world.suspensions.begin_probe("a")
    world.suspensions.begin_probe("b")
    assert world.suspensions.check("a") == outcome
    world.now_ns = 70 * SECOND
    assert world.suspensions.check("a") is None


def test_the_detail_is_that_of_the_newest_refusal() -> None:
    world = World()
    first = world.suspensions.suspend("a", reason="403", detail="quota of 1")
    world.now_ns = 30 * SECOND
    second = world.suspensions.suspend("a", reason="403", detail="quota of 2")
    assert second.suspension is first.suspension
    assert second.detail == "quota of 2"
    (suspension,) = world.suspensions
    assert (suspension.detail, suspension.retry_at_ns) == ("quota of 2", 60 * SECOND)
    met = world.suspensions.check("a")
    assert met is not None
    assert met.detail == "quota of 2"


def test_a_suspension_of_all_stops_every_namespace_and_any_success_disproves_it() -> None:
    world = World()
    of_all = world.suspensions.suspend(None, reason="404", detail="no definition").suspension
    of_one = world.suspensions.suspend("a", reason="403", detail="quota").suspension
    assert of_all is not None
    assert of_one is not None
    assert of_all.name == f"404 {ALL_NAMESPACES}"
    assert len(world.suspensions) == 2
    met = world.suspensions.check("b")
    assert met is not None
    assert met.suspension is of_all
    world.suspensions.resume("b")
    assert (of_all.is_open, of_one.is_open, len(world.suspensions)) == (False, True, 1)
    assert world.suspensions.check("b") is None
    assert world.suspensions.check("a") is not None


def test_a_closed_suspension_leaves_nothing_behind() -> None:
    world = World()
    world.suspensions.suspend("a", reason="403", detail="quota")
    world.suspensions.suspend(None, reason="404", detail="no definition")
    world.suspensions.resume("a")
    assert len(world.suspensions) == 0
    assert world.suspensions._attempt_at_ns == {}  # pyright: ignore[reportPrivateUsage]  the bound itself


def test_what_closes_nothing_notifies_nothing() -> None:
    world = World()
    world.suspensions.suspend("a", reason="403", detail="quota")
    world.suspensions.resume("b")
    world.suspensions.forget("b")
    assert world.resumed == 0
    world.suspensions.resume("a")
    world.suspensions.resume("a")
    assert world.resumed == 1


def test_a_namespace_that_is_gone_closes_its_own_suspension_alone() -> None:
    world = World()
    world.suspensions.suspend(None, reason="404", detail="no definition")
    world.suspensions.suspend("a", reason="403", detail="quota")
    world.suspensions.forget("a")
    (left,) = world.suspensions
    assert left.name == f"404 {ALL_NAMESPACES}"
    assert world.resumed == 1


def test_the_callback_sees_the_suspension_closed() -> None:
    open_then: list[bool] = []
    suspensions = Suspensions(
        lambda: 0, on_resumed=lambda: open_then.extend(one.is_open for one in opened)
    )
    suspensions.suspend("a", reason="403", detail="quota")
    opened = tuple(suspensions)
    suspensions.resume("a")
    assert open_then == [False]


def test_opening_and_closing_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    with caplog.at_level(logging.INFO):
        for detail in ("one", "two"):
            world.suspensions.suspend("a", reason="403", detail=detail)
        world.suspensions.resume("a")
    assert [record.message for record in caplog.records] == ["writes suspended", "writes resumed"]
    fields = vars(caplog.records[0])
    assert (fields["scope"], fields["detail"], fields["retry_every_seconds"]) == ("a", "one", 30)
