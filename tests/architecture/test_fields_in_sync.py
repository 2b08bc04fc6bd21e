from __future__ import annotations

from pathlib import Path

from streams.config.reference import reference
from tests.kit.generate import generated, write

TOP = Path(__file__).parents[2]


def test_the_reference_of_the_fields_is_what_the_models_generate() -> None:
    assert (TOP / "docs" / "fields.md").read_text(encoding="utf-8") == reference()


def test_make_generate_writes_every_generated_file(tmp_path: Path) -> None:
    write(tmp_path)

    written = {
        str(path.relative_to(tmp_path)): path.read_text(encoding="utf-8")
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    assert written == generated()
    assert {*written} == {
        "deploy/crds/ingesters.yaml",
        "deploy/crds/observations.yaml",
        "docs/fields.md",
        "docs/metrics.md",
    }
