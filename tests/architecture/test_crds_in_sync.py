from __future__ import annotations

from pathlib import Path

import pytest

from streams.config.crd import manifests, rendered

FOLDER = Path(__file__).parents[2] / "deploy" / "crds"
PLURALS = [one["spec"]["names"]["plural"] for one in manifests()]


def test_there_is_a_file_for_each() -> None:
    assert sorted(path.stem for path in FOLDER.iterdir()) == sorted(PLURALS)


@pytest.mark.parametrize("plural", PLURALS)
def test_the_file_is_what_the_models_say(plural: str) -> None:
    (definition,) = [one for one in manifests() if one["spec"]["names"]["plural"] == plural]
    assert (FOLDER / f"{plural}.yaml").read_text() == rendered(definition)
