"""Shapes are judged once, and the memory of them is bounded."""

from __future__ import annotations

from operators.model.shapes import REMEMBERED_BYTES, REMEMBERED_SHAPES, Shapes


def counted() -> tuple[Shapes[int], list[tuple[str, ...]]]:
    judged: list[tuple[str, ...]] = []

    def judge(keys: tuple[str, ...]) -> int:
        judged.append(keys)
        return len(keys)

    return Shapes(judge), judged


def test_objects_with_the_same_keys_are_judged_once() -> None:
    shapes, judged = counted()
    assert [shapes.of({"a": 1, "b": 2}), shapes.of({"a": 3, "b": []}), shapes.of({})] == [2, 2, 0]
    assert judged == [("a", "b"), ()]


def test_a_shape_that_weighs_too_much_is_judged_each_time() -> None:
    shapes, judged = counted()
    for heavy in ({"k" * REMEMBERED_BYTES: 1}, {str(number): 1 for number in range(64)}):
        assert shapes.of(heavy) == shapes.of(heavy) == len(heavy)
    assert (len(judged), len(shapes)) == (4, 0)


def test_when_it_is_full_it_begins_anew() -> None:
    shapes, _ = counted()
    for number in range(REMEMBERED_SHAPES + 1):
        assert len(shapes) <= REMEMBERED_SHAPES
        shapes.of([str(number)])
    assert len(shapes) == 1
