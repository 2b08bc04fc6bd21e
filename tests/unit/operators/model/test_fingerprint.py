"""What makes two states of a subject the same, and what does not."""

from __future__ import annotations

import pytest

from operators.flow.delivery import DETAIL_CHARACTERS, failure
from operators.model.content import fingerprint

BASE = {"spec": {"a": 1}, "metadata": {"name": "x", "labels": {"l": "1"}}}


@pytest.mark.parametrize(
    "other",
    [
        {"spec": {"a": 2}, "metadata": {"labels": {"l": "1"}}},
        {"spec": {"a": 1}, "metadata": {"labels": {"l": "2"}}},
        {"spec": {"a": 1}, "metadata": {"labels": {"l": "1"}}, "labels": {"own": 1}},
    ],
)
def test_what_differs(other: dict[str, object]) -> None:
    assert fingerprint({}, other) != fingerprint({}, BASE)


def test_an_objects_own_labels_count() -> None:
    bodies = [{"labels": {"a": number}, "metadata": {}} for number in range(2)]
    assert fingerprint({}, bodies[0]) != fingerprint({}, bodies[1])


@pytest.mark.parametrize(
    "more",
    [{"updateTimestamp": "x"}, {"lastTransitionTime": {"s": 1}}, {"observedGeneration": 3}],
)
def test_what_only_says_when_does_not(more: dict[str, object]) -> None:
    later = {"spec": {"a": 1, **more}, "metadata": {"labels": {"l": "1"}, "uid": "u"}}
    assert fingerprint({}, later) == fingerprint({}, BASE)


def test_a_secret_is_masked_before_its_text_is_cut() -> None:
    text = "x" * (DETAIL_CHARACTERS - 40)
    assert "SSSS" not in failure("describe", ValueError(f"{text} ghp_{'S' * 36}")).detail
