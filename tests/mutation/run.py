"""Counts the mutants that no unit test notices: ``python -m tests.mutation.run operators/flow``.

A module's unit tests and those beside them are collected once, in a process that notes which test executes which
line of the module. Each mutant is a fork of that process, which replaces the code of the module's functions and runs
the tests that execute the mutated statement, the quickest first, until one fails. A mutant of what is executed at
import is a fork from before the collection. Needs ``fork``; one mutant at a time.
"""

from __future__ import annotations

import ast
import gc
import importlib
import importlib.util
import json
import os
import resource
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any, Final

import _pytest.main
import pytest
from hypothesis import settings

from tests.mutation.mutants import Mutant, mutants

ROOT: Final = Path(__file__).parents[2]
SURVIVORS: Final = Path(__file__).with_name("survivors.txt")
ARGUMENTS: Final = [
    *("--quiet", "--tb=no", "--hypothesis-profile=mutation"),
    *("-p", "no:randomly", "-p", "no:xdist", "-p", "no:cacheprovider"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # hypothesis is imported before all forks
]
THIRD_PARTY: Final = ("aiohttp", "msgspec", "opentelemetry.sdk", "pydantic", "reactivex", "yaml")
SECONDS_MINIMUM: Final = 5.0  # of a mutant; the machine may have other work
TIMES_SLOWER: Final = 4.0  # than the same tests without a defect
MEMORY_BYTES: Final = 3 << 30  # an endless loop may fill a list

KILLED, SURVIVED, TIMED_OUT = "killed", "survived", "timed out"
EXPLAINED, UNKNOWN = "explained", "unknown"
CANNOT_REPLACE: Final = (
    77  # exit code: other closure variables, so that the module must be imported anew
)


def main(packages: Sequence[str]) -> int:
    """Run the mutants of the modules below ``packages``; 1 if one survived that is not explained."""
    settings.register_profile(
        "mutation", max_examples=20, deadline=None, derandomize=True, database=None
    )
    for name in THIRD_PARTY:
        importlib.import_module(name)
    explained, total, failed = _explained(), Counter[str](), False
    for module in (it for package in packages for it in _modules(package)):
        started, counts = time.monotonic(), Counter[str]()
        for mutant, verdict in _verdicts(module):
            line = f"{module} | {mutant.text} | {mutant.what}"
            shown = EXPLAINED if verdict == SURVIVED and line in explained else verdict
            counts[shown] += 1
            if shown in (SURVIVED, TIMED_OUT):
                print(f"{shown}: {mutant.line}: {line}")
        total += counts
        failed |= counts[SURVIVED] > 0
        print(f"{module}: {_shown(counts)}, {time.monotonic() - started:.0f} s", flush=True)
    print(f"{' '.join(packages)}: {total.total()} mutants, {_shown(total)}")
    return int(failed)


def _shown(counts: Counter[str]) -> str:
    names = (KILLED, TIMED_OUT, EXPLAINED, SURVIVED)
    return ", ".join(f"{counts[name]} {name}" for name in names)


def _explained() -> set[str]:
    """The survivors with a reason: ``module | text of the line | mutation | reason``."""
    lines = SURVIVORS.read_text(encoding="utf-8").splitlines()
    return {line.rpartition(" | ")[0] for line in lines if line and not line.startswith("#")}


def _modules(package: str) -> list[Path]:
    """A module, or those of a package that are in it itself and not in one below it."""
    found = [ROOT / package] if package.endswith(".py") else sorted((ROOT / package).glob("*.py"))
    if not found:
        raise SystemExit(f"error: no modules in {package!r}; name a folder, such as operators/flow")
    return [it.relative_to(ROOT) for it in found if it.name != "__init__.py"]


def _tests(module: Path) -> list[str]:
    """The unit tests beside those of a module, its own first."""
    folder = ROOT / "tests" / "unit" / module.parent
    own = folder / f"test_{module.name}"
    return [str(it) for it in sorted(folder.glob("test_*.py"), key=lambda it: it != own)]


def _verdicts(module: Path) -> list[tuple[Mutant, str]]:
    found = list(mutants((ROOT / module).read_text(encoding="utf-8")))
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "verdicts.json"
        collected = _Collected(module, found, answer)
        code = _forked(lambda: _pytest_main(_tests(module), collected))
        if not answer.exists():
            raise SystemExit(
                f"error: the tests of {module} fail without a defect, or there are none: {code}"
            )
        verdicts, seconds = json.loads(answer.read_text())
    for number, mutant in enumerate(found):
        if str(number) not in verdicts:
            verdicts[str(number)] = _verdict(lambda it=mutant: _imported(module, it), seconds)
    return [(mutant, verdicts[str(number)]) for number, mutant in enumerate(found)]


def _imported(module: Path, mutant: Mutant) -> int:
    """Run all tests of a module, which is imported with the defect."""
    sys.meta_path.insert(0, _Mutated(module, mutant.tree))
    return _pytest_main(["--exitfirst", *_tests(module)])


def _pytest_main(arguments: list[str], *plugins: object) -> int:
    return int(pytest.main([*ARGUMENTS, *arguments], plugins=plugins))


def _verdict(work: Callable[[], int], seconds: float) -> str:
    code = _forked(work, SECONDS_MINIMUM + TIMES_SLOWER * seconds)
    return {0: SURVIVED, None: TIMED_OUT, CANNOT_REPLACE: UNKNOWN}.get(code, KILLED)


def _forked(work: Callable[[], int], seconds: float | None = None) -> int | None:
    """The exit code of ``work`` in a fork, negative after a signal; None, and killed, if it took too long."""
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        _as_child(work)
    deadline = None if seconds is None else time.monotonic() + seconds
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if deadline is not None and time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return None
        threading.Event().wait(0.002)


def _as_child(work: Callable[[], int]) -> None:
    code = 1
    try:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        code = work()
    except BaseException:  # noqa: BLE001 - a defect may raise anything, and the fork must end here
        traceback.print_exc()
    finally:
        os._exit(code)


class _Mutated:
    """An importer of one module, with another tree than its file's."""

    def __init__(self, module: Path, tree: ast.Module) -> None:
        self._name = ".".join(module.with_suffix("").parts)
        self._path = ROOT / module
        self._tree = tree

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        if name != self._name:
            return None
        return importlib.util.spec_from_file_location(name, self._path, loader=self)  # type: ignore[arg-type]

    def create_module(self, _: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._tree, str(self._path), "exec", dont_inherit=True), vars(module))  # noqa: S102


class _Collected:
    """A pytest plugin that, instead of the collected tests, runs them once for each mutant."""

    def __init__(self, module: Path, found: list[Mutant], answer: Path) -> None:
        self._file = str(ROOT / module)
        self._mutants = found
        self._answer = answer
        self._traced = answer.with_name("traced.json")
        self._lines = defaultdict[str, set[int]](set)
        self._seconds = dict[str, float]()
        self._functions = list[FunctionType]()
        self._test = ""
        self._is_tracing = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if _forked(lambda: self._trace(session)) != 0:
            return True
        executed, seconds = json.loads(self._traced.read_text())
        lines = {name: set[int](numbers) for name, numbers in executed.items()}
        session.config.option.maxfail = 1
        items, verdicts = list(session.items), dict[int, str]()
        everything = (it for it in gc.get_objects() if isinstance(it, FunctionType))
        self._functions = [it for it in everything if it.__code__.co_filename == self._file]
        gc.freeze()
        for number, mutant in enumerate(self._mutants):
            if not mutant.in_function:
                continue
            reaching = (it for it in items if not lines[it.nodeid].isdisjoint(mutant.lines))
            session.items = sorted(reaching, key=lambda it: seconds[it.nodeid])
            limit = sum(seconds[it.nodeid] for it in session.items)
            verdict = _verdict(lambda it=mutant: self._run(session, it), limit)
            if verdict != UNKNOWN:
                verdicts[number] = verdict
        self._answer.write_text(json.dumps((verdicts, sum(seconds.values()))))
        return True

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Note what is executed from here on as this test's."""
        self._test = nodeid
        self._seconds[nodeid] = time.monotonic()
        if self._is_tracing:
            # Anew for each test: one that exceeds the recursion limit in here ends the tracing.
            sys.settrace(self._entered)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Note how long this test took."""
        self._seconds[nodeid] = time.monotonic() - self._seconds[nodeid]

    def _trace(self, session: pytest.Session) -> int:
        """Run the tests without a defect, and write which lines each executed and how long it took."""
        threading.settrace(self._entered)
        self._is_tracing = True
        _pytest.main.pytest_runtestloop(session)
        self._is_tracing = False
        sys.settrace(None)
        lines = {it.nodeid: sorted(self._lines[it.nodeid]) for it in session.items}
        self._traced.write_text(json.dumps((lines, self._seconds)))
        return session.testsfailed

    def _entered(self, frame: FrameType, _event: str, _argument: object) -> Any:
        return self._executed if frame.f_code.co_filename == self._file else None

    def _executed(self, frame: FrameType, _event: str, _argument: object) -> Any:
        self._lines[self._test].add(frame.f_lineno)
        return self._executed

    def _run(self, session: pytest.Session, mutant: Mutant) -> int:
        codes = dict(_codes(compile(mutant.tree, self._file, "exec", dont_inherit=True)))
        try:
            for it in self._functions:
                it.__code__ = codes[_place(it.__code__)]
        except ValueError:
            return CANNOT_REPLACE
        try:
            _pytest.main.pytest_runtestloop(session)
        except session.Failed:
            return 1
        return int(session.testsfailed > 0)


def _codes(code: CodeType) -> Iterator[tuple[tuple[str, int], CodeType]]:
    for it in code.co_consts:
        if isinstance(it, CodeType):
            yield _place(it), it
            yield from _codes(it)


def _place(code: CodeType) -> tuple[str, int]:
    return code.co_qualname, code.co_firstlineno


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
