"""The rules of the reflector one by one, as a conversation with a server that is not there."""

from __future__ import annotations

import msgspec
import pytest

from operators.flow.clock import NANOSECONDS_PER_SECOND as SECOND
from operators.model.event import Change
from streams.sources.informer.decode import ObjectReader
from streams.sources.informer.listing import NotDelivered, ReflectorOutput
from streams.sources.informer.reflector import (
    ERRORS_BEFORE_RELIST,
    Discover,
    Fault,
    ListPage,
    OpenWatch,
    Reflector,
    Wait,
    fault_of,
)
from streams.sources.informer.store import Store
from streams.sources.informer.target import WatchTarget
from tests.kit.changes import CONFIG_MAP, DELETED, is_inferred, is_initial, kind_of, name_of
from tests.kit.model_api import line, status


def body(name: str, version: int, uid: str = "", *, terminating: bool = False) -> dict[str, object]:
    metadata: dict[str, object] = {
        "name": name,
        "namespace": "n",
        "uid": uid or f"uid-{name}",
        "resourceVersion": str(version),
    }
    if terminating:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return {"metadata": metadata}


def bookmark(version: int) -> bytes:
    return line("BOOKMARK", {"metadata": {"resourceVersion": str(version)}})


def page(version: int, *bodies: dict[str, object], behind: str = "") -> bytes:
    metadata = {"resourceVersion": str(version), "continue": behind}
    return msgspec.json.encode({"metadata": metadata, "items": bodies})


def said(heard: ReflectorOutput) -> list[tuple[str, str]]:
    return [(kind_of(one), name_of(one)) for one in (*heard.changes, *heard.removals)]


class Conversation:
    """A reflector, what it asks, and a clock."""

    def __init__(self, target: WatchTarget | None = None) -> None:
        self.store = Store()
        target = target or WatchTarget("", "v1", "configmaps")
        self.reflector = Reflector(target, self.store, ObjectReader(), random=lambda: 0.0)
        self.now_ns = 0

    def query(self) -> dict[str, str]:
        """What is asked next, after any wait."""
        step = self.reflector.next_step(self.now_ns)
        if isinstance(step, Wait):
            self.now_ns = step.until_ns
            step = self.reflector.next_step(self.now_ns)
        assert isinstance(step, ListPage | OpenWatch)
        return step.query

    def waits(self) -> float:
        """How many seconds are waited now."""
        step = self.reflector.next_step(self.now_ns)
        return (step.until_ns - self.now_ns) / SECOND if isinstance(step, Wait) else 0.0

    def listed(self, text: bytes) -> ReflectorOutput:
        """All that comes of a page, as if it came at once."""
        whole = ReflectorOutput()
        for output in self.reflector.on_page(text, self.now_ns):
            whole.changes += output.changes
            whole.removals += output.removals
            whole.not_delivered += output.not_delivered
        return whole

    def line(self, text: bytes) -> ReflectorOutput:
        return self.reflector.on_line(text, self.now_ns)

    def changed(
        self, change: str, name: str, version: int, uid: str = "", *, terminating: bool = False
    ) -> ReflectorOutput:
        return self.line(line(change, body(name, version, uid, terminating=terminating)))

    def refused(self, code: int, reason: str = "", message: str = "", **how: float) -> None:
        text = msgspec.json.encode(status(code, reason, message))
        self.reflector.on_error_response(code, text, now_ns=self.now_ns, **how)

    def watching(self, *bodies: dict[str, object], version: int = 10) -> ReflectorOutput:
        """Come as far as an open watch."""
        self.reflector.on_discovered(CONFIG_MAP)
        heard = self.listed(page(version, *bodies))
        self.query()
        self.reflector.on_watch_opened(self.now_ns)
        return heard

    @property
    def reason(self) -> str:
        condition = self.reflector.condition
        return condition.reason if condition else ""


def is_list(query: dict[str, str]) -> bool:
    return "limit" in query


def test_the_first_step_is_discovery_and_the_second_a_list_of_the_most_recent_state() -> None:
    talk = Conversation(WatchTarget("", "v1", "pods", label_selector="a=b", field_selector="c=d"))

    assert isinstance(talk.reflector.next_step(0), Discover)
    talk.reflector.on_discovered(CONFIG_MAP)

    assert talk.query() == {"labelSelector": "a=b", "fieldSelector": "c=d", "limit": "500"}


def test_pages_are_returned_as_they_come_and_the_watch_opens_at_the_version_of_the_first() -> None:
    talk = Conversation()
    talk.reflector.on_discovered(CONFIG_MAP)

    heard = talk.listed(page(10, body("a", 3), behind="t"))
    assert [(kind_of(one), name_of(one), is_initial(one)) for one in heard.changes] == [
        (Change.ADDED, "a", True)
    ]
    assert talk.query() == {"limit": "500", "continue": "t"}
    assert not talk.reflector.synced
    assert said(talk.listed(page(10, body("b", 12)))) == [(Change.ADDED, "b")]

    assert talk.reflector.synced
    assert talk.query() == {
        "watch": "true",
        "resourceVersion": "10",
        "allowWatchBookmarks": "true",
        "timeoutSeconds": "300",
    }


def test_watches_are_spread_over_five_minutes() -> None:
    reflector = Reflector(
        WatchTarget("", "v1", "pods"), Store(), ObjectReader(), random=lambda: 0.999
    )
    reflector.on_discovered(CONFIG_MAP)
    assert list(reflector.on_page(page(10), 0)) == []
    step = reflector.next_step(0)

    assert isinstance(step, OpenWatch)
    assert step.query["timeoutSeconds"] == "599"


def test_an_expired_token_throws_the_pages_away_and_lists_from_the_beginning() -> None:
    talk = Conversation()
    talk.reflector.on_discovered(CONFIG_MAP)
    talk.listed(page(10, body("a", 3), behind="t"))
    talk.refused(410, "Expired")

    assert talk.query() == {"limit": "500"}
    heard = talk.listed(page(20, body("b", 15)))
    assert said(heard) == [(Change.ADDED, "b"), (DELETED, "a")]
    assert is_inferred(heard.changes[1])
    assert talk.query()["resourceVersion"] == "20"


def test_lines_are_returned_and_the_watch_resumes_after_the_last_one() -> None:
    talk = Conversation()
    talk.watching(body("a", 3))

    assert said(talk.changed("MODIFIED", "a", 11)) == [(Change.MODIFIED, "a")]
    assert said(talk.changed("ADDED", "b", 12)) == [(Change.ADDED, "b")]
    deleted = talk.changed("DELETED", "a", 13)
    assert said(deleted) == [(DELETED, "a")]
    assert not is_inferred(deleted.changes[0])
    talk.reflector.on_watch_ended(talk.now_ns)
    assert talk.waits() == 0
    assert talk.query()["resourceVersion"] == "13"


def test_a_bookmark_moves_the_version_and_is_not_delivered() -> None:
    talk = Conversation()
    talk.watching()
    heard = talk.line(bookmark(99))

    assert (heard.changes, heard.not_delivered, heard.reason) == ([], 1, NotDelivered.BOOKMARK)
    talk.reflector.on_idle()
    assert talk.query()["resourceVersion"] == "99"


def test_repetitions_are_silent_and_never_move_the_version_back() -> None:
    talk = Conversation()
    talk.watching(body("a", 3))
    talk.changed("MODIFIED", "a", 11)
    for version in (11, 9):
        heard = talk.changed("MODIFIED", "a", version)
        assert (heard.changes, heard.not_delivered, heard.reason) == ([], 1, NotDelivered.DUPLICATE)
    talk.line(bookmark(10))
    talk.reflector.on_idle()

    assert talk.query()["resourceVersion"] == "11"


def test_another_uid_under_the_name_is_a_deletion_and_a_new_object() -> None:
    talk = Conversation()
    talk.watching(body("a", 3, "old"))

    heard = talk.changed("MODIFIED", "a", 11, "new")
    assert [(kind_of(one), one.payload.uid, is_inferred(one)) for one in heard.changes] == [
        (DELETED, "old", True),
        (Change.ADDED, "new", False),
    ]


@pytest.mark.parametrize("in_stream", [False, True])
def test_an_expired_version_is_listed_again_from_where_it_was(*, in_stream: bool) -> None:
    talk = Conversation()
    talk.watching(body("a", 3), body("b", 4))
    talk.changed("MODIFIED", "a", 11)
    if in_stream:
        heard = talk.line(line("ERROR", status(410, "Expired")))
        assert heard.reason is NotDelivered.SERVER_ERROR
        assert not talk.reflector.is_watching
    else:
        talk.reflector.on_watch_ended(talk.now_ns)
        talk.refused(410)

    assert talk.waits() == 0.8
    assert talk.query() == {
        "limit": "500",
        "resourceVersion": "11",
        "resourceVersionMatch": "NotOlderThan",
    }
    heard = talk.listed(page(20, body("a", 11), body("c", 15)))
    assert said(heard) == [(Change.ADDED, "c"), (DELETED, "b")]
    assert (heard.not_delivered, heard.reason) == (1, NotDelivered.DUPLICATE)
    assert not is_initial(heard.changes[0])
    assert talk.reflector.statistics.relists == {"first": 1, "Expired": 1}


def test_a_list_too_old_for_a_watch_is_followed_by_a_fresh_one() -> None:
    talk = Conversation()
    talk.watching(version=10)
    talk.reflector.on_watch_ended(talk.now_ns + 5 * SECOND)
    talk.refused(410)

    assert talk.query() == {"limit": "500"}


@pytest.mark.parametrize(
    ("code", "message"), [(410, ""), (400, ""), (504, "Too large resource version: 12, current: 3")]
)
def test_a_list_that_cannot_be_served_from_a_version_is_requested_without(
    code: int, message: str
) -> None:
    talk = Conversation()
    talk.watching()
    talk.changed("ADDED", "a", 11)
    talk.line(line("ERROR", status(410)))
    assert talk.query()["resourceVersion"] == "11"
    talk.refused(code, "", message, retry_after_seconds=7.0)

    assert talk.waits() == 7.0
    assert talk.query() == {"limit": "500"}


def test_a_server_restored_from_a_backup_is_believed() -> None:
    talk = Conversation()
    talk.watching(body("a", 9), body("b", 9), version=10)
    talk.refused(504, "Timeout", "Too large resource version: 10, current: 5")

    heard = talk.listed(page(5, body("a", 4)))

    assert said(heard) == [(Change.MODIFIED, "a"), (DELETED, "b")]
    assert talk.query()["resourceVersion"] == "5"


def test_other_errors_in_the_stream_keep_the_version_and_the_third_lists_again() -> None:
    talk = Conversation()
    talk.watching()
    talk.changed("ADDED", "a", 11)
    for seconds in (0.8, 1.6):
        talk.line(line("ERROR", status(500, "InternalError", "etcd")))
        assert talk.reason == "ServerError"
        assert talk.waits() == seconds
        assert talk.query()["watch"] == "true"
        talk.reflector.on_watch_opened(talk.now_ns)
        assert talk.reason == ""
    talk.line(line("ERROR", status(500)))

    assert talk.query()["resourceVersionMatch"] == "NotOlderThan"


def test_errors_with_progress_in_between_do_not_add_up() -> None:
    talk = Conversation()
    talk.watching()
    for version in range(11, 20):
        talk.line(bookmark(version))
        talk.line(line("ERROR", status(500)))
        assert not is_list(talk.query())
        talk.reflector.on_watch_opened(talk.now_ns)


def test_a_short_watch_that_brought_nothing_is_a_failure() -> None:
    talk = Conversation()
    talk.watching()
    talk.line(bookmark(10))  # says nothing new
    talk.now_ns += SECOND // 2
    talk.reflector.on_watch_ended(talk.now_ns)

    assert talk.reason == "ShortWatch"
    assert talk.waits() == 0.8
    assert talk.query()["watch"] == "true"


def test_a_watch_that_ends_in_its_time_or_brought_something_is_resumed_at_once() -> None:
    talk = Conversation()
    talk.watching()
    talk.reflector.on_watch_ended(talk.now_ns + 2 * SECOND)
    assert talk.waits() == 0
    talk.reflector.on_watch_opened(talk.now_ns)
    talk.line(bookmark(11))
    talk.reflector.on_watch_ended(talk.now_ns)
    assert talk.waits() == 0
    talk.reflector.on_watch_opened(talk.now_ns)
    talk.line(bookmark(12))
    talk.reflector.on_connection_lost("reset", talk.now_ns)
    assert talk.waits() == 0
    talk.reflector.on_watch_opened(talk.now_ns)
    talk.reflector.on_connection_lost("reset", talk.now_ns)
    assert (talk.waits(), talk.reason) == (0.8, "Unreachable")
    assert talk.query()["resourceVersion"] == "12"
    talk.reflector.on_watch_opened(talk.now_ns)

    assert talk.reflector.statistics.connects == {"listed": 1, "ended": 2, "cut": 1, "failed": 1}


def test_a_quiet_watch_that_is_cut_after_a_while_is_opened_again_at_once() -> None:
    talk = Conversation()
    talk.watching()
    for _ in range(5):
        talk.now_ns += 30 * SECOND
        talk.reflector.on_connection_lost("reset by a proxy", talk.now_ns)
        assert (talk.waits(), talk.reason) == (0, "")
        assert talk.query()["watch"] == "true"
        talk.reflector.on_watch_opened(talk.now_ns)

    assert talk.reflector.statistics.connects == {"listed": 1, "cut": 5}
    assert not talk.reflector.statistics.failures


def test_a_watch_that_never_opened_is_a_failure_however_long_it_took() -> None:
    talk = Conversation()
    talk.watching()
    talk.reflector.on_idle()
    talk.query()
    talk.now_ns += 30 * SECOND
    talk.reflector.on_connection_lost("no answer", talk.now_ns)

    assert (talk.waits(), talk.reason) == (0.8, "Unreachable")


def test_after_too_many_requests_the_servers_wait_counts() -> None:
    talk = Conversation()
    talk.reflector.on_discovered(CONFIG_MAP)
    talk.refused(429, retry_after_seconds=20.0)
    assert talk.waits() == 20.0
    talk.query()
    talk.refused(429, retry_after_seconds=0.0)
    assert talk.waits() == 1.6
    talk.query()
    talk.refused(429, retry_after_seconds=86_400.0)
    assert talk.waits() == 600.0


def test_a_status_in_the_stream_may_hold_the_wait() -> None:
    talk = Conversation()
    talk.watching()
    busy = {**status(429), "details": {"retryAfterSeconds": 9}}
    talk.line(line("ERROR", busy))

    assert (talk.waits(), talk.reason) == (9.0, "TooManyRequests")


def test_while_reading_is_forbidden_the_store_stays_and_requests_are_half_a_minute_apart() -> None:
    talk = Conversation()
    talk.watching(body("a", 3))
    talk.reflector.on_watch_ended(talk.now_ns + 5 * SECOND)
    seconds = 0.0
    for _ in range(8):
        talk.refused(403, "Forbidden", "not allowed")
        seconds = talk.waits()
        talk.query()
    condition = talk.reflector.condition

    assert seconds == 30.0
    assert condition is not None
    assert (condition.reason, condition.message) == ("Forbidden", "not allowed")
    assert len(talk.store) == 1
    talk.reflector.on_watch_opened(talk.now_ns)
    assert talk.reflector.condition is None


def test_a_missing_kind_is_discovered_every_10_seconds_and_nothing_is_deleted() -> None:
    talk = Conversation()
    talk.watching(body("a", 3))
    seconds = 0.0
    for _ in range(8):
        talk.refused(404)
        seconds = talk.waits()
        talk.now_ns += int(seconds * SECOND)
        assert isinstance(talk.reflector.next_step(talk.now_ns), Discover)
    assert (seconds, talk.reason, len(talk.store)) == (5.0, "KindMissing", 1)

    talk.reflector.on_discovered(CONFIG_MAP)
    assert talk.query() == {"limit": "500"}
    heard = talk.listed(page(50, body("a", 45, "another")))
    assert said(heard) == [(DELETED, "a"), (Change.ADDED, "a")]


def test_what_is_no_list_changes_nothing_and_is_requested_again() -> None:
    talk = Conversation()
    talk.watching(body("a", 3))
    talk.line(line("ERROR", status(410)))
    assert is_list(talk.query())

    assert talk.listed(b'{"metadata":{"resourceVersion":"11"},"rows":[]}') == ReflectorOutput()
    assert (talk.reason, len(talk.store)) == ("Unreadable", 1)
    assert is_list(talk.query())


def test_a_page_that_is_too_large_is_requested_in_halves() -> None:
    talk = Conversation()
    talk.reflector.on_discovered(CONFIG_MAP)
    talk.reflector.on_page_too_large("an answer of more than 64 MiB", talk.now_ns)

    assert talk.query() == {"limit": "250"}


@pytest.mark.parametrize("fault", [Fault.SERVER_ERROR, Fault.UNREACHABLE, Fault.FORBIDDEN])
def test_a_failed_page_is_requested_again(fault: Fault) -> None:
    talk = Conversation()
    talk.reflector.on_discovered(CONFIG_MAP)
    talk.listed(page(10, body("a", 3), behind="t"))
    talk.reflector.on_failure(fault, "", now_ns=talk.now_ns)

    assert talk.query() == {"limit": "500", "continue": "t"}


@pytest.mark.parametrize(
    "text",
    [
        b"torn",
        b'{"type":"ADDED","object":{"metadata":{}}}',
        b'{"type":"BOOKMARK","object":{}}',
        b'{"type":"SURPRISE","object":{}}',
    ],
)
def test_an_unreadable_line_is_returned_as_it_came_and_the_watch_continues(text: bytes) -> None:
    talk = Conversation()
    talk.watching()
    heard = talk.line(text)

    assert [(one.raw, name_of(one)) for one in heard.changes] == [(text, "")]
    assert (heard.not_delivered, talk.reflector.is_watching) == (0, True)
    assert said(talk.changed("ADDED", "a", 11)) == [(Change.ADDED, "a")]


def test_an_unreadable_item_is_returned_and_the_rest_of_the_list_too() -> None:
    talk = Conversation()
    talk.reflector.on_discovered(CONFIG_MAP)
    heard = talk.listed(page(10, {"metadata": {}}, body("a", 3)))

    assert said(heard) == [(Change.MODIFIED, ""), (Change.ADDED, "a")]


SELECTED = WatchTarget("", "v1", "configmaps", label_selector="in=yes")


def test_with_a_selector_the_reason_of_a_removal_is_to_be_checked() -> None:
    talk = Conversation(SELECTED)
    talk.watching(body("a", 3), body("b", 3), body("c", 3))

    left = talk.changed("DELETED", "a", 11)
    assert (left.changes, [name_of(one) for one in left.removals]) == ([], ["a"])
    deleted = talk.changed("DELETED", "b", 12, terminating=True)
    assert ([name_of(one) for one in deleted.changes], deleted.removals) == (["b"], [])
    talk.line(line("ERROR", status(410)))
    talk.query()
    missing = talk.listed(page(20))
    assert (missing.changes, [name_of(one) for one in missing.removals]) == ([], ["c"])


def test_without_a_selector_no_removal_is_to_be_checked() -> None:
    talk = Conversation()
    talk.watching(body("a", 3))

    deleted = talk.changed("DELETED", "a", 11)
    assert ([name_of(one) for one in deleted.changes], deleted.removals) == (["a"], [])


def test_a_page_is_worked_off_in_parts_and_its_version_counts_at_its_end() -> None:
    talk = Conversation()
    talk.reflector.on_discovered(CONFIG_MAP)
    for one in talk.reflector.on_page(page(5, *(body(f"old{n}", 3) for n in range(250))), 0):
        assert one.changes
    talk.line(line("ERROR", status(410)))

    sizes = list[tuple[int, int, str]]()
    whole = page(10, *(body(f"new{n}", 7) for n in range(150)))
    for one in talk.reflector.on_page(whole, 0):
        sizes.append((len(one.changes), len(talk.store), talk.reflector.version))

    assert sizes == [
        (100, 350, "5"),
        (50, 400, "5"),
        (100, 300, "5"),
        (100, 200, "5"),
        (50, 150, "5"),
    ]
    assert talk.reflector.version == "10"


@pytest.mark.parametrize("code", [408, 415, 500, 503, 504])
def test_a_status_of_the_server_alone_repeats_a_list_and_resumes_a_watch(code: int) -> None:
    talk = Conversation()
    talk.reflector.on_discovered(CONFIG_MAP)
    talk.listed(page(10, body("a", 3), behind="t"))
    talk.refused(code)
    assert (talk.reason, talk.query()) == ("ServerError", {"limit": "500", "continue": "t"})
    talk.listed(page(10))

    for _ in range(ERRORS_BEFORE_RELIST - 1):
        assert talk.query()["resourceVersion"] == "10"
        talk.refused(code)
        assert talk.reason == "ServerError"
    assert "watch" in talk.query()
    talk.refused(code)
    assert is_list(talk.query())


def test_failures_are_at_most_half_a_minute_apart_and_begin_anew_after_two_quiet_minutes() -> None:
    talk = Conversation()
    talk.reflector.on_discovered(CONFIG_MAP)
    waits = list[float]()
    for _ in range(8):
        talk.refused(500)
        waits.append(talk.waits())
        talk.query()
    assert waits == [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30]

    talk.now_ns += 89 * SECOND  # two minutes less a second after the failure
    talk.refused(500)
    assert talk.waits() == 30
    talk.now_ns += 121 * SECOND
    talk.refused(500)
    assert talk.waits() == 0.8


def test_the_last_activity_and_the_version_are_known() -> None:
    talk = Conversation()
    talk.watching()
    talk.now_ns = 77
    talk.line(bookmark(12))

    assert talk.reflector.statistics.last_activity_ns == 77
    assert talk.reflector.version == "12"


# --- faults


@pytest.mark.parametrize(
    ("code", "reason", "message", "fault"),
    [
        (410, "Expired", "too old resource version", Fault.EXPIRED),
        (410, "", "", Fault.EXPIRED),
        (500, "Gone", "", Fault.EXPIRED),
        (504, "Timeout", "Too large resource version: 9, current: 1", Fault.VERSION_TOO_LARGE),
        (504, "Timeout", "the request timed out", Fault.SERVER_ERROR),
        (400, "BadRequest", "", Fault.INVALID),
        (422, "Invalid", "", Fault.INVALID),
        (401, "Unauthorized", "", Fault.UNAUTHORIZED),
        (403, "Forbidden", "", Fault.FORBIDDEN),
        (404, "", "404 page not found", Fault.KIND_MISSING),
        (429, "TooManyRequests", "", Fault.TOO_MANY_REQUESTS),
        (500, "InternalError", "", Fault.SERVER_ERROR),
        (503, "", "", Fault.SERVER_ERROR),
        (0, "", "", Fault.SERVER_ERROR),
        (302, "", "", Fault.SERVER_ERROR),
        (406, "NotAcceptable", "", Fault.INVALID),
        (408, "Timeout", "", Fault.SERVER_ERROR),
        (415, "UnsupportedMediaType", "", Fault.SERVER_ERROR),
    ],
)
def test_a_status_is_classified_as_one_of_few_faults(
    code: int, reason: str, message: str, fault: Fault
) -> None:
    assert fault_of(code, reason=reason, message=message) is fault
