from __future__ import annotations

from streams.sources.informer.listing import MAXIMUM_OBJECTS, MINIMUM_OBJECTS, TARGET_BYTES, Paging


def test_a_list_begins_with_the_most_recent_state_or_one_not_older_than_known() -> None:
    paging = Paging({"labelSelector": "a=b"})

    assert paging.first("") == {"labelSelector": "a=b", "limit": "500"}
    assert paging.first("7") == {
        "labelSelector": "a=b",
        "limit": "500",
        "resourceVersion": "7",
        "resourceVersionMatch": "NotOlderThan",
    }


def test_a_list_continues_without_a_version() -> None:
    assert Paging({}).following("t") == {"limit": "500", "continue": "t"}


def test_pages_follow_their_weight_between_50_and_500_objects() -> None:
    paging = Paging({})

    def limits(page_bytes: int, times: int) -> list[int]:
        told = list[int]()
        for _ in range(times):
            paging.adapt(page_bytes)
            told.append(int(paging.first("")["limit"]))
        return told

    assert TARGET_BYTES == 4 * 1024 * 1024
    assert limits(TARGET_BYTES + 1, 5) == [250, 125, 62, MINIMUM_OBJECTS, MINIMUM_OBJECTS]
    assert limits(TARGET_BYTES // 2, 2) == [50, 50]
    assert limits(1000, 5) == [100, 200, 400, MAXIMUM_OBJECTS, MAXIMUM_OBJECTS]
    paging.shrink()
    assert paging.first("")["limit"] == "250"


def test_what_is_too_large_is_requested_in_ever_smaller_pages_down_to_one_object() -> None:
    paging = Paging({})
    for _ in range(4):
        paging.shrink()
    assert paging.first("")["limit"] == "31"
    paging.adapt(TARGET_BYTES + 1)
    assert (
        paging.first("")["limit"] == "31"
    )  # halved no further, and not back to what was too large
    for _ in range(6):
        paging.shrink()
    assert paging.first("")["limit"] == "1"
    paging.adapt(1000)
    assert paging.first("")["limit"] == "2"
