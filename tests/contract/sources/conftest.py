"""Every clause runs for every kind of source; at the end, the table of what held."""

from __future__ import annotations

from collections import defaultdict

import pytest

from tests.contract.sources.settings import KINDS, Kind

HERE = "tests/contract/sources/"
_results: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
"""By clause (the word after ``test_``) and kind: whether each of its tests passed."""


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


@pytest.fixture(params=[kind for kind in KINDS if kind.is_rereadable], ids=lambda kind: kind.name)
def rereadable(request: pytest.FixtureRequest) -> Kind:
    """A kind whose objects can be read again; of other kinds the clauses have no tests, rather than skipped ones."""
    found: Kind = request.param
    return found


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    path, _, name = report.nodeid.partition("::")
    is_result = report.when == "call" or report.outcome == "failed"
    if not path.startswith(HERE) or "[" not in name or not is_result:
        return
    clause = name.split("_")[1]
    for one in KINDS:
        if one.name in name.partition("[")[2]:
            _results[clause][one.name].append(report.outcome == "passed")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _results:
        return
    terminalreporter.section("sources x clauses")
    width = max(len(clause) for clause in _results)
    terminalreporter.write_line(" " * width + "".join(f"  {one.name:>12}" for one in KINDS))
    for clause, by_kind in _results.items():
        cells = [_cell(by_kind.get(one.name, [])) for one in KINDS]
        terminalreporter.write_line(
            f"{clause:{width}}" + "".join(f"  {cell:>12}" for cell in cells)
        )


def _cell(passed: list[bool]) -> str:
    if not passed:
        return "-"
    return f"{'PASS' if all(passed) else 'FAIL'} {sum(passed)}/{len(passed)}"
