"""Shapes are judged once, and the memory of them is bounded."""

from __future__ import annotations

from operators.model.content import SHAPE_MAXIMUM_BYTES, SHAPES_MAXIMUM, ShapeCache


def counted() -> tuple[ShapeCache[int], list[tuple[str, ...]]]:
    judged: list[tuple[str, ...]] = []

    def judge(keys: tuple[str, ...]) -> int:
        judged.append(keys)
        return len(keys)

    return ShapeCache(judge), judged


def test_objects_with_the_same_keys_are_judged_once() -> None:
    shapes, judged = counted()
    assert [shapes.of({"a": 1, "b": 2}), shapes.of({"a": 3, "b": []}), shapes.of({})] == [2, 2, 0]
    assert judged == [("a", "b"), ()]


def test_a_shape_that_takes_too_much_is_judged_each_time() -> None:
    shapes, judged = counted()
    for heavy in ({"k" * SHAPE_MAXIMUM_BYTES: 1}, {str(number): 1 for number in range(64)}):
        assert shapes.of(heavy) == shapes.of(heavy) == len(heavy)
    assert (len(judged), len(shapes)) == (4, 0)


def test_when_it_is_full_it_begins_anew() -> None:
    shapes, _ = counted()
    for number in range(SHAPES_MAXIMUM + 1):
        assert len(shapes) <= SHAPES_MAXIMUM
        shapes.of([str(number)])
    assert len(shapes) == 1
