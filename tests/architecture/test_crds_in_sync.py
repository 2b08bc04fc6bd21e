from __future__ import annotations

from pathlib import Path

import pytest

from streams.config.crd import files, render

FOLDER = Path(__file__).parents[2] / "deploy" / "crds"
FILES = files()


def test_there_is_a_file_for_each_and_they_are_what_is_printed() -> None:
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(FILES)
    assert "".join(FILES.values()) == render()


@pytest.mark.parametrize("name", FILES)
def test_the_file_is_what_the_models_say(name: str) -> None:
    assert (FOLDER / name).read_text() == FILES[name]
