"""How a list is asked for, page by page."""

from __future__ import annotations

MAXIMUM_OBJECTS = 500
"""client-go's page size."""
MINIMUM_OBJECTS = 50
"""A list of many smaller requests takes longer than its token lives (5 minutes at 5 a second)."""
TARGET_BYTES = 4 * 1024 * 1024
"""What a page should weigh: it is decoded in one go, and the loop stands still meanwhile."""


class Paging:
    """The queries of one list after another; between two pages the page size follows their weight."""

    __slots__ = ("_limit", "_selectors")

    def __init__(self, selectors: dict[str, str]) -> None:
        self._selectors = selectors
        self._limit = MAXIMUM_OBJECTS

    def first(self, not_older_than: str) -> dict[str, str]:
        """Begin a list; "" asks for the most recent state (with a limit, a bare version would mean Exact)."""
        query = {**self._selectors, "limit": str(self._limit)}
        if not_older_than:
            query["resourceVersion"] = not_older_than
            query["resourceVersionMatch"] = "NotOlderThan"
        return query

    def following(self, token: str) -> dict[str, str]:
        """Go on with a list; the token names its version."""
        return {**self._selectors, "limit": str(self._limit), "continue": token}

    def weigh(self, page_bytes: int) -> None:
        """Halve the page size above 4 MiB, but not below 50 objects; double it below a quarter of that, up to 500."""
        if page_bytes > TARGET_BYTES:
            self._limit = min(self._limit, max(self._limit // 2, MINIMUM_OBJECTS))
        elif page_bytes < TARGET_BYTES // 4:
            self._limit = min(self._limit * 2, MAXIMUM_OBJECTS)

    def shrink(self) -> None:
        """Halve the page size, down to one object: a page was too heavy to be read at all."""
        self._limit = max(self._limit // 2, 1)
