"""Writes the files that are generated from the code: ``python -m tests.kit.generate``, or ``make generate``.

Tests in tests/architecture compare each file with its generator.
"""

from __future__ import annotations

from pathlib import Path

from streams.config.crd import files
from streams.config.reference import reference
from streams.observability.metrics import documentation

TOP = Path(__file__).parents[2]


def generated() -> dict[str, str]:
    """The content of every generated file by its path below the repository's top."""
    crds = {f"deploy/crds/{name}": text for name, text in files().items()}
    return crds | {"docs/fields.md": reference(), "docs/metrics.md": documentation()}


def write(top: Path) -> None:
    """Write every generated file below ``top``."""
    for name, text in generated().items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(TOP)
