from __future__ import annotations

import pytest

from streams.cli.documents import fail, printable, report
from streams.config.findings import Finding, FindingKind, FindingSeverity


def finding(
    file: str, line: int, *, severity: FindingSeverity, kind: FindingKind = FindingKind.INVALID
) -> Finding:
    return Finding(severity, kind, file, line, "spec.source", "found it")


def test_findings_are_printed_by_file_and_line_with_their_counts_last(
    capsys: pytest.CaptureFixture[str],
) -> None:
    errors = report(
        [
            finding("b.yaml", 2, severity=FindingSeverity.WARNING),
            finding("a.yaml", 10, severity=FindingSeverity.ERROR),
            finding("a.yaml", 9, severity=FindingSeverity.ERROR),
        ],
        err=False,
    )

    assert errors == 2
    assert capsys.readouterr().out.splitlines() == [
        "a.yaml:9: error: spec.source: found it",
        "a.yaml:10: error: spec.source: found it",
        "b.yaml:2: warning: spec.source: found it",
        "2 errors, 1 warning, 0 notes",
    ]


def test_strict_makes_errors_of_unknown_fields_and_of_nothing_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = [
        finding("a", 1, severity=FindingSeverity.WARNING, kind=FindingKind.UNKNOWN_FIELD),
        finding("a", 2, severity=FindingSeverity.WARNING, kind=FindingKind.NOT_BUILT),
    ]

    assert report(said, err=True) == 0
    assert report(said, err=True, strict=True) == 1
    assert capsys.readouterr().err.splitlines()[3:] == [
        "a:1: error: spec.source: found it",
        "a:2: warning: spec.source: found it",
        "1 error, 1 warning, 0 notes",
    ]


def test_what_a_terminal_would_obey_is_written_out() -> None:
    assert printable("ä\x1b[31m\r\n\x9b\u202e") == "ä\\x1b[31m\\r\\n\\x9b\\u202e"


def test_a_failure_is_one_line_and_a_code(capsys: pytest.CaptureFixture[str]) -> None:
    ended = fail(ValueError("no\nway"), code=3)

    assert ended.exit_code == 3
    assert capsys.readouterr().err == "error: no\\nway\n"
