"""Runs state machines of hypothesis: the genuine thing must survive them all, a mutant must die in one."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterable

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine
from hypothesis.stateful import run_state_machine_as_test as run_machine

from operators.flow.delivery import AlreadySettledError

MUTANT_WALKS = 150
ROUNDS = 4
"""Chance may leave a feature out of one round; out of four, nobody reaches it."""
Machine = type[RuleBasedStateMachine]


def survive(machine: Machine, *, walks: int, steps: int) -> Callable[[], None]:
    """Walk at random, ``walks`` times at most ``steps`` steps, and shrink what fails."""
    sized = settings(max_examples=walks, stateful_step_count=steps, deadline=None)
    return lambda: run_machine(machine, settings=sized)


def reach(
    walk: Callable[[], None], reached: Counter[str], wanted: Iterable[str], *, floor: int
) -> None:
    """Walk until every ``wanted`` feature was reached ``floor`` times; print what was, and fail after four rounds."""
    reached.clear()
    short: dict[str, int] = {}
    for _ in range(ROUNDS):
        walk()
        short = {name: reached[name] for name in wanted if reached[name] < floor}
        if not short:
            break
    print("reached:", dict(reached))
    assert short == {}


def dies(machine: Machine, *, steps: int, walks: int = MUTANT_WALKS) -> bool:
    """Whether a walk finds a promise broken; the same walks every time, and none of them is kept or shrunk.

    What else is raised is raised on: a walk that stumbles over a defect by accident has not found it.
    """
    # What a former mutant left is collected now: CPython 3.11 fails where the collector runs Python code inside of
    # ast.parse, by which hypothesis reads the machine's source (gh-106905).
    gc.collect()
    try:
        run_machine(
            machine,
            settings=settings(
                max_examples=walks,
                stateful_step_count=steps,
                deadline=None,
                database=None,
                derandomize=True,
                phases=(Phase.generate,),
                report_multiple_bugs=False,
                suppress_health_check=(HealthCheck.too_slow, HealthCheck.filter_too_much),
                print_blob=False,
            ),
        )
    except (AssertionError, AlreadySettledError):
        return True
    return False


def survivors(
    mutants: Iterable[Callable[..., object]],
    *,
    place: str,
    check: Callable[[], bool],
    patch: pytest.MonkeyPatch,
) -> list[str]:
    """Put each mutant in the ``place`` (a dotted path), and name those that the ``check`` did not kill."""
    alive: list[str] = []
    for mutant in mutants:
        with patch.context() as patched:
            patched.setattr(place, mutant)
            if not check():
                alive.append(mutant.__name__)
    return alive
