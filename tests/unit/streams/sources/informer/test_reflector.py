"""The rules of the reflector one by one, as a conversation with a server that is not there."""

from __future__ import annotations

import msgspec
import pytest

from operators.flow.clock import NANOSECONDS_PER_SECOND as SECOND
from operators.model.event import Change
from streams.sources.informer.book import Silence
from streams.sources.informer.condition import Fault
from streams.sources.informer.notice import Notice, Watched
from streams.sources.informer.reflector import Reflector
from streams.sources.informer.steps import Heard, ListPage, OpenWatch, Resolve, Wait
from streams.sources.informer.store import Store
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


def said(heard: Heard) -> list[tuple[Change, str]]:
    return [(one.change, one.name) for one in heard.notices]


class Conversation:
    """A reflector, what it asks, and a clock."""

    def __init__(self, watched: Watched | None = None) -> None:
        self.store = Store()
        watched = watched or Watched("", "v1", "configmaps")
        self.reflector = Reflector(watched, self.store, random=lambda: 0.0)
        self.now_ns = 0

    def query(self) -> dict[str, str]:
        """What is asked next, after any wait."""
        step = self.reflector.next(self.now_ns)
        if isinstance(step, Wait):
            self.now_ns = step.until_ns
            step = self.reflector.next(self.now_ns)
        assert isinstance(step, ListPage | OpenWatch)
        return step.query

    def waits(self) -> float:
        """How many seconds are waited now."""
        step = self.reflector.next(self.now_ns)
        return (step.until_ns - self.now_ns) / SECOND if isinstance(step, Wait) else 0.0

    def listed(self, text: bytes) -> Heard:
        return self.reflector.listed(text, self.now_ns)

    def line(self, text: bytes) -> Heard:
        return self.reflector.line(text, self.now_ns)

    def changed(
        self, change: str, name: str, version: int, uid: str = "", *, terminating: bool = False
    ) -> Heard:
        return self.line(line(change, body(name, version, uid, terminating=terminating)))

    def refused(self, code: int, reason: str = "", message: str = "", **how: float) -> None:
        text = msgspec.json.encode(status(code, reason, message))
        self.reflector.refused(code, text, now_ns=self.now_ns, **how)

    def watching(self, *bodies: dict[str, object], version: int = 10) -> Heard:
        """Come as far as an open watch."""
        self.reflector.resolved()
        heard = self.listed(page(version, *bodies))
        self.query()
        self.reflector.opened(self.now_ns)
        return heard

    @property
    def reason(self) -> str:
        condition = self.reflector.condition
        return condition.reason if condition else ""


def is_list(query: dict[str, str]) -> bool:
    return "limit" in query


def test_first_it_asks_what_the_server_serves_then_for_the_most_recent_state() -> None:
    talk = Conversation(Watched("", "v1", "pods", label_selector="a=b", field_selector="c=d"))

    assert isinstance(talk.reflector.next(0), Resolve)
    talk.reflector.resolved()

    assert talk.query() == {"labelSelector": "a=b", "fieldSelector": "c=d", "limit": "500"}


def test_pages_are_told_as_they_come_and_the_watch_opens_at_the_version_of_the_first() -> None:
    talk = Conversation()
    talk.reflector.resolved()

    heard = talk.listed(page(10, body("a", 3), behind="t"))
    assert [(one.change, one.name, one.initial) for one in heard.notices] == [
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
    reflector = Reflector(Watched("", "v1", "pods"), Store(), random=lambda: 0.999)
    reflector.resolved()
    reflector.listed(page(10), 0)
    step = reflector.next(0)

    assert isinstance(step, OpenWatch)
    assert step.query["timeoutSeconds"] == "599"


def test_an_expired_token_throws_the_pages_away_and_lists_from_the_beginning() -> None:
    talk = Conversation()
    talk.reflector.resolved()
    talk.listed(page(10, body("a", 3), behind="t"))
    talk.refused(410, "Expired")

    assert talk.query() == {"limit": "500"}
    heard = talk.listed(page(20, body("b", 15)))
    assert said(heard) == [(Change.ADDED, "b"), (Change.DELETED, "a")]
    assert heard.notices[1].final_state_unknown
    assert talk.query()["resourceVersion"] == "20"


def test_lines_are_told_and_the_watch_resumes_after_the_last_one() -> None:
    talk = Conversation()
    talk.watching(body("a", 3))

    assert said(talk.changed("MODIFIED", "a", 11)) == [(Change.MODIFIED, "a")]
    assert said(talk.changed("ADDED", "b", 12)) == [(Change.ADDED, "b")]
    deleted = talk.changed("DELETED", "a", 13)
    assert said(deleted) == [(Change.DELETED, "a")]
    assert not deleted.notices[0].final_state_unknown
    talk.reflector.ended(talk.now_ns)
    assert talk.waits() == 0
    assert talk.query()["resourceVersion"] == "13"


def test_a_bookmark_moves_the_version_and_is_told_to_nobody() -> None:
    talk = Conversation()
    talk.watching()
    heard = talk.line(bookmark(99))

    assert (heard.notices, heard.silent, heard.why) == ([], 1, Silence.BOOKMARK)
    talk.reflector.idle()
    assert talk.query()["resourceVersion"] == "99"


def test_repetitions_are_silent_and_never_move_the_version_back() -> None:
    talk = Conversation()
    talk.watching(body("a", 3))
    talk.changed("MODIFIED", "a", 11)
    for version in (11, 9):
        heard = talk.changed("MODIFIED", "a", version)
        assert (heard.notices, heard.silent, heard.why) == ([], 1, Silence.DUPLICATE)
    talk.line(bookmark(10))
    talk.reflector.idle()

    assert talk.query()["resourceVersion"] == "11"


def test_another_uid_under_the_name_is_a_deletion_and_a_new_object() -> None:
    talk = Conversation()
    talk.watching(body("a", 3, "old"))

    heard = talk.changed("MODIFIED", "a", 11, "new")
    assert [(one.change, one.uid, one.final_state_unknown) for one in heard.notices] == [
        (Change.DELETED, "old", True),
        (Change.ADDED, "new", False),
    ]


@pytest.mark.parametrize("in_stream", [False, True])
def test_an_expired_version_is_listed_again_from_where_it_was(*, in_stream: bool) -> None:
    talk = Conversation()
    talk.watching(body("a", 3), body("b", 4))
    talk.changed("MODIFIED", "a", 11)
    if in_stream:
        heard = talk.line(line("ERROR", status(410, "Expired")))
        assert heard.why is Silence.SERVER_ERROR
        assert not talk.reflector.is_watching
    else:
        talk.reflector.ended(talk.now_ns)
        talk.refused(410)

    assert talk.waits() == 0.8
    assert talk.query() == {
        "limit": "500",
        "resourceVersion": "11",
        "resourceVersionMatch": "NotOlderThan",
    }
    heard = talk.listed(page(20, body("a", 11), body("c", 15)))
    assert said(heard) == [(Change.ADDED, "c"), (Change.DELETED, "b")]
    assert (heard.silent, heard.why) == (1, Silence.DUPLICATE)
    assert not heard.notices[0].initial
    assert talk.reflector.statistics.relists == {"first": 1, "Expired": 1}


def test_a_list_too_old_for_a_watch_is_followed_by_a_fresh_one() -> None:
    talk = Conversation()
    talk.watching(version=10)
    talk.reflector.ended(talk.now_ns + 5 * SECOND)
    talk.refused(410)

    assert talk.query() == {"limit": "500"}


@pytest.mark.parametrize(
    ("code", "message"), [(410, ""), (400, ""), (504, "Too large resource version: 12, current: 3")]
)
def test_a_list_that_cannot_be_served_from_a_version_is_asked_without(
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

    assert said(heard) == [(Change.MODIFIED, "a"), (Change.DELETED, "b")]
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
        talk.reflector.opened(talk.now_ns)
        assert talk.reason == ""
    talk.line(line("ERROR", status(500)))

    assert talk.query()["resourceVersionMatch"] == "NotOlderThan"


def test_errors_with_news_in_between_do_not_add_up() -> None:
    talk = Conversation()
    talk.watching()
    for version in range(11, 20):
        talk.line(bookmark(version))
        talk.line(line("ERROR", status(500)))
        assert not is_list(talk.query())
        talk.reflector.opened(talk.now_ns)


def test_a_short_watch_that_brought_nothing_is_a_failure() -> None:
    talk = Conversation()
    talk.watching()
    talk.line(bookmark(10))  # says nothing new
    talk.now_ns += SECOND // 2
    talk.reflector.ended(talk.now_ns)

    assert talk.reason == "ShortWatch"
    assert talk.waits() == 0.8
    assert talk.query()["watch"] == "true"


def test_a_watch_that_ends_in_its_time_or_brought_something_goes_on_at_once() -> None:
    talk = Conversation()
    talk.watching()
    talk.reflector.ended(talk.now_ns + 2 * SECOND)
    assert talk.waits() == 0
    talk.reflector.opened(talk.now_ns)
    talk.line(bookmark(11))
    talk.reflector.ended(talk.now_ns)
    assert talk.waits() == 0
    talk.reflector.opened(talk.now_ns)
    talk.line(bookmark(12))
    talk.reflector.cut("reset", talk.now_ns)
    assert talk.waits() == 0
    talk.reflector.opened(talk.now_ns)
    talk.reflector.cut("reset", talk.now_ns)
    assert (talk.waits(), talk.reason) == (0.8, "Unreachable")
    assert talk.query()["resourceVersion"] == "12"
    talk.reflector.opened(talk.now_ns)

    assert talk.reflector.statistics.connects == {"listed": 1, "ended": 2, "cut": 1, "failed": 1}


def test_a_quiet_watch_that_is_cut_after_a_while_is_opened_again_at_once() -> None:
    talk = Conversation()
    talk.watching()
    for _ in range(5):
        talk.now_ns += 30 * SECOND
        talk.reflector.cut("reset by a proxy", talk.now_ns)
        assert (talk.waits(), talk.reason) == (0, "")
        assert talk.query()["watch"] == "true"
        talk.reflector.opened(talk.now_ns)

    assert talk.reflector.statistics.connects == {"listed": 1, "cut": 5}
    assert not talk.reflector.statistics.failures


def test_a_watch_that_never_opened_is_a_failure_however_long_it_took() -> None:
    talk = Conversation()
    talk.watching()
    talk.reflector.idle()
    talk.query()
    talk.now_ns += 30 * SECOND
    talk.reflector.cut("no answer", talk.now_ns)

    assert (talk.waits(), talk.reason) == (0.8, "Unreachable")


def test_who_asks_too_much_comes_again_when_told() -> None:
    talk = Conversation()
    talk.reflector.resolved()
    talk.refused(429, retry_after_seconds=20.0)
    assert talk.waits() == 20.0
    talk.query()
    talk.refused(429, retry_after_seconds=0.0)
    assert talk.waits() == 1.6
    talk.query()
    talk.refused(429, retry_after_seconds=86_400.0)
    assert talk.waits() == 600.0


def test_in_the_stream_the_status_says_when_to_come_again() -> None:
    talk = Conversation()
    talk.watching()
    busy = {**status(429), "details": {"retryAfterSeconds": 9}}
    talk.line(line("ERROR", busy))

    assert (talk.waits(), talk.reason) == (9.0, "TooManyRequests")


def test_who_may_not_read_keeps_what_it_knows_and_asks_twice_a_minute_at_most() -> None:
    talk = Conversation()
    talk.watching(body("a", 3))
    talk.reflector.ended(talk.now_ns + 5 * SECOND)
    since_ns, seconds = talk.now_ns, 0.0
    for _ in range(8):
        talk.refused(403, "Forbidden", "not allowed")
        seconds = talk.waits()
        talk.query()
    condition = talk.reflector.condition

    assert seconds == 30.0
    assert condition is not None
    assert (condition.reason, condition.message) == ("Forbidden", "not allowed")
    assert condition.since_ns == since_ns
    assert len(talk.store) == 1
    talk.reflector.opened(talk.now_ns)
    assert talk.reflector.condition is None


def test_a_missing_kind_is_asked_for_every_10_seconds_and_nothing_is_deleted() -> None:
    talk = Conversation()
    talk.watching(body("a", 3))
    seconds = 0.0
    for _ in range(8):
        talk.refused(404)
        seconds = talk.waits()
        talk.now_ns += int(seconds * SECOND)
        assert isinstance(talk.reflector.next(talk.now_ns), Resolve)
    assert (seconds, talk.reason, len(talk.store)) == (5.0, "KindMissing", 1)

    talk.reflector.resolved()
    assert talk.query() == {"limit": "500"}
    heard = talk.listed(page(50, body("a", 45, "another")))
    assert said(heard) == [(Change.DELETED, "a"), (Change.ADDED, "a")]


def test_what_is_no_list_changes_nothing_and_is_asked_again() -> None:
    talk = Conversation()
    talk.watching(body("a", 3))
    talk.line(line("ERROR", status(410)))
    assert is_list(talk.query())

    assert talk.listed(b'{"metadata":{"resourceVersion":"11"},"rows":[]}') == Heard()
    assert (talk.reason, len(talk.store)) == ("Unreadable", 1)
    assert is_list(talk.query())


def test_a_page_that_is_too_large_is_asked_for_in_halves() -> None:
    talk = Conversation()
    talk.reflector.resolved()
    talk.reflector.too_large("an answer of more than 64 MiB", talk.now_ns)

    assert talk.query() == {"limit": "250"}


@pytest.mark.parametrize("fault", [Fault.SERVER_ERROR, Fault.UNREACHABLE, Fault.FORBIDDEN])
def test_a_failed_page_is_asked_for_again(fault: Fault) -> None:
    talk = Conversation()
    talk.reflector.resolved()
    talk.listed(page(10, body("a", 3), behind="t"))
    talk.reflector.failed(fault, "", now_ns=talk.now_ns)

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
def test_a_line_nobody_can_read_is_told_as_it_came_and_the_watch_goes_on(text: bytes) -> None:
    talk = Conversation()
    talk.watching()
    heard = talk.line(text)

    assert [(one.raw, one.name) for one in heard.notices] == [(text, "")]
    assert (heard.silent, talk.reflector.is_watching) == (0, True)
    assert said(talk.changed("ADDED", "a", 11)) == [(Change.ADDED, "a")]


def test_an_item_nobody_can_read_is_told_and_the_rest_of_the_list_too() -> None:
    talk = Conversation()
    talk.reflector.resolved()
    heard = talk.listed(page(10, {"metadata": {}}, body("a", 3)))

    assert said(heard) == [(Change.MODIFIED, ""), (Change.ADDED, "a")]


SELECTED = Watched("", "v1", "configmaps", label_selector="in=yes")


def doubtful(notices: list[Notice]) -> list[bool]:
    return [one.is_doubtful for one in notices]


def test_with_a_selector_a_departure_is_in_doubt() -> None:
    talk = Conversation(SELECTED)
    talk.watching(body("a", 3), body("b", 3), body("c", 3))

    assert doubtful(talk.changed("DELETED", "a", 11).notices) == [True]
    assert doubtful(talk.changed("DELETED", "b", 12, terminating=True).notices) == [False]
    talk.line(line("ERROR", status(410)))
    talk.query()
    assert doubtful(talk.listed(page(20)).notices) == [True]


def test_without_a_selector_no_departure_is_in_doubt() -> None:
    talk = Conversation()
    talk.watching(body("a", 3))

    assert doubtful(talk.changed("DELETED", "a", 11).notices) == [False]


def test_it_is_known_when_the_server_was_last_heard_and_up_to_where() -> None:
    talk = Conversation()
    talk.watching()
    talk.now_ns = 77
    talk.line(bookmark(12))
    statistics = talk.reflector.statistics

    assert (statistics.last_activity_ns, statistics.version) == (77, "12")
