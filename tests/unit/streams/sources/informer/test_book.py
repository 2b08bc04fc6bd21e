from __future__ import annotations

import pytest

from operators.model.event import Change
from streams.sources.informer.book import Book, Silence
from streams.sources.informer.notice import Notice, Origin
from streams.sources.informer.store import tombstone

NOTICE = Notice(Change.ADDED, "n", "a", "u", "7", b"{}")


@pytest.mark.parametrize(
    ("origin", "column"),
    [(Origin.LINE, "lines"), (Origin.LIST, "list_items"), (Origin.GET, "gets")],
)
def test_what_is_told_is_entered_by_its_road(origin: Origin, column: str) -> None:
    book = Book()
    book.receive(NOTICE, origin)

    assert (getattr(book, column), book.received, book.balance) == (1, 1, 0)


def test_an_inferred_deletion_came_by_no_road() -> None:
    book = Book()
    book.receive(tombstone("n/a"), Origin.LIST)

    assert (book.synthetic_deletes, book.list_items, book.received, book.balance) == (1, 0, 1, 0)


@pytest.mark.parametrize(
    ("why", "column"),
    [
        (Silence.BOOKMARK, "bookmarks"),
        (Silence.DUPLICATE, "duplicates"),
        (Silence.SERVER_ERROR, "server_errors"),
    ],
)
def test_what_is_told_to_nobody_is_entered_by_its_reason(why: Silence, column: str) -> None:
    book = Book()
    book.pass_over(Origin.LIST, why, count=3)

    assert (book.list_items, getattr(book, column), book.balance) == (3, 3, 0)


def test_a_book_that_lost_something_says_so() -> None:
    book = Book()
    book.lines += 1

    assert book.balance == 1
