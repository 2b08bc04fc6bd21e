from __future__ import annotations

from streams.runtime.rebuild import Remembered, departed

NAMES = {"n/gone": "a", "n/renamed": "new"}


def test_only_who_is_absent_is_named_and_only_under_its_own_name_departed() -> None:
    subjects = {
        "a": Remembered("n/gone", "uid-1"),
        "b": Remembered("n/there", "uid-2"),
        "old": Remembered("n/renamed", "uid-3"),
    }

    gone = departed(subjects, {"n/there", "n/new"}, name_of=NAMES.__getitem__)

    assert gone == [Remembered("n/gone", "uid-1")]
