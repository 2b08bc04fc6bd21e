from __future__ import annotations

from demo.report import WIDTH, Bar, bars_of, outcome_text, waterfall
from operators.model.outcome import Ending, Outcome
from streams.observability.spans import Attribute, Span, SpanKind

MILLISECOND = 1_000_000
CREATED = Outcome(Ending.STORED, operation="created")


def span(name: str, stay: tuple[int, int], *attributes: Attribute, error_type: str = "") -> Span:
    return Span(name, SpanKind.INTERNAL, 1, 0, *stay, attributes=attributes, error_type=error_type)


def test_every_span_but_the_root_is_a_bar_with_its_decisions() -> None:
    bars = bars_of(
        [
            span("process trivy", (0, 9), ("zenstreams.outcome", "stored")),
            span("buffer", (0, 2), ("zenstreams.buffer.policy", "spill")),
            span("filter", (2, 3), ("zenstreams.filter.verdict", "pass")),
            span(
                "write Observation",
                (3, 9),
                ("http.request.method", "PATCH"),
                ("server.address", "127.0.0.1"),
                ("server.port", 6443),
                ("k8s.audit_id", "abc"),
                ("http.response.status_code", 503),
                error_type="503",
            ),
        ]
    )

    assert bars == [
        Bar("buffer", 0, 2),
        Bar("filter", 2, 3, "filter.verdict=pass"),
        Bar("write Observation", 3, 9, "request.method=PATCH, response.status_code=503, error=503"),
    ]


def test_every_bar_is_seen_and_stands_where_its_time_is() -> None:
    lines = waterfall(
        [
            Bar("buffer", 0, 1),
            Bar("classify", 1, 10 * MILLISECOND),
            Bar("write", 10 * MILLISECOND, 40 * MILLISECOND, "201"),
        ],
        block="#",
    )
    drawn = [line.split("|")[1] for line in lines]

    assert [len(one) for one in drawn] == [WIDTH] * 3
    assert drawn[0] == "#".ljust(WIDTH)
    assert drawn[1] == ("#" * (WIDTH // 4)).ljust(WIDTH)
    assert drawn[2] == ("#" * (WIDTH - WIDTH // 4)).rjust(WIDTH)
    assert [line.partition("|")[0].split() for line in lines] == [
        ["buffer", "0.000", "ms"],
        ["classify", "10.000", "ms"],
        ["write", "30.000", "ms"],
    ]
    assert lines[2].endswith("| 201")


def test_an_event_without_a_trace_has_no_waterfall() -> None:
    assert waterfall(bars_of([])) == []


def test_no_time_at_all_is_drawn_too() -> None:
    assert waterfall([Bar("buffer", 5, 5)], block="#")[0].count("#") == 1


def test_an_outcome_in_one_line() -> None:
    assert outcome_text(CREATED) == "stored: created"
    assert outcome_text(Outcome(Ending.FILTERED, "expired")) == "filtered: expired"
