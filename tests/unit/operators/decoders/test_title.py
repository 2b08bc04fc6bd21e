"""What a title says of any object, however it is made."""

from __future__ import annotations

import pytest

from operators.decoders.title import title_of
from operators.model.observation import Subject

ABOUT = Subject("v1", "Pod", "shop", "a")


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ({"type": "Ready", "status": "False", "reason": "ImagePullBackOff"}, "Ready=False, Image"),
        ({"type": "Ready", "status": "True"}, "Running"),
        ({"type": ["x"]}, "Running"),
        ({"type": "Ready", "status": {"a": 1}}, "Running"),
        ("none", "Running"),
    ],
)
def test_conditions_of_any_form(condition: object, said: str) -> None:
    body = {"status": {"conditions": [condition], "phase": "Running"}}
    assert title_of(ABOUT, body).startswith(f"Pod shop/a: {said}")
