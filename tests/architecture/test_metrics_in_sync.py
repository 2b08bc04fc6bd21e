"""docs/metrics.md is what the families say, and the families are what a scrape exports."""

from __future__ import annotations

import re

from streams.observability.metrics import Metrics, ProcessStatus
from tests.kit.generate import TOP, generated


def test_the_generated_files_are_what_the_code_says() -> None:
    for path, text in generated().items():
        assert (TOP / path).read_text() == text, f"{path}: run make generate"


def test_every_metric_is_documented_with_its_type() -> None:
    metrics = Metrics(list, lambda: ProcessStatus(""), now_ns=lambda: 0, wall_seconds=lambda: 0.0)
    exported = {
        (it.name + ("_total" if it.type == "counter" else ""), it.type) for it in metrics.collect()
    }

    documented = re.findall(r"(?m)^\| `(\w+)` \| (\w+) \|", (TOP / "docs/metrics.md").read_text())

    assert len(documented) == len(set(documented))
    assert set(documented) == exported
