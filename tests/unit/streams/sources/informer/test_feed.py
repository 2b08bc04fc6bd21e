"""What is told of states that overtake the watch."""

from __future__ import annotations

import msgspec

from streams.sources.informer.decode import Found
from streams.sources.informer.feed import Feed
from streams.sources.informer.notice import Origin, Watched
from tests.kit.model_api import status


def found(version: str) -> Found:
    return Found("n", "a", "u", version, is_terminating=False, raw=b"{}")


def page(version: str) -> bytes:
    return msgspec.json.encode({"metadata": {"resourceVersion": version}, "items": []})


def test_after_a_restore_from_a_backup_nothing_has_overtaken_the_watch() -> None:
    feed = Feed(Watched("", "v1", "configmaps"), random=lambda: 0.0)
    feed.reflector.resolved()
    feed.tell(feed.reflector.listed(page("10"), 0), Origin.LIST)
    feed.take_in(found("50"), Origin.GET)
    assert feed.version == "50"

    text = msgspec.json.encode(status(504, "Timeout", "Too large resource version: 10, current: 5"))
    feed.reflector.refused(504, text, now_ns=0)
    feed.tell(feed.reflector.listed(page("5"), 0), Origin.LIST)

    assert feed.version == "5"
