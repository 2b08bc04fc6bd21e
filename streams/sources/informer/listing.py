"""One complete list after another: what each holds is told page by page, what it lacks at its end."""

from __future__ import annotations

from streams.sources.informer.decode import UnreadableError, read_object, read_page, unreadable
from streams.sources.informer.notice import Notice, Watched
from streams.sources.informer.paging import Paging
from streams.sources.informer.steps import Heard
from streams.sources.informer.store import Store, is_older


class Listing:
    """The list under way. Every page shows the same version, that of the first: the watch opens there.

    Of a list that was given up, nothing counts: only what a complete one lacks is gone.
    """

    def __init__(self, watched: Watched, store: Store) -> None:
        self.is_fresh = True
        """Whether it asks for the most recent state, instead of one not older than what was seen."""
        self.token = ""
        """What asks for the next page; "" before the first and after the last."""
        self.version = ""
        self._watched = watched
        self._store = store
        self._paging = Paging(watched.selectors())
        self._seen: set[str] = set()

    def begin(self, *, fresh: bool) -> None:
        """Begin anew."""
        self.is_fresh = fresh
        self.token = ""
        self._seen = set()

    def query(self, known_version: str) -> dict[str, str]:
        """Ask for the next page."""
        if self.token:
            return self._paging.following(self.token)
        return self._paging.first("" if self.is_fresh else known_version)

    def take(self, body: bytes, *, known_version: str, initial: bool) -> Heard:
        """Take in a page: the last one when no ``token`` is left. Raises ``UnreadableError``."""
        page = read_page(body)
        self._paging.weigh(len(body))
        if not self.token:
            self.version = page.version
            if self.is_fresh and is_older(page.version, known_version):
                self._store.forget_versions()  # the server was restored from a backup
        heard = Heard()
        for raw in page.objects:
            self._item(bytes(raw), heard, initial=initial)
        self.token = page.token
        if not page.token:
            heard.notices += self._lost()
        return heard

    def shrink(self) -> None:
        """Ask for smaller pages: one was too large to be read."""
        self._paging.shrink()

    def _item(self, raw: bytes, heard: Heard, *, initial: bool) -> None:
        try:
            found = read_object(raw)
        except UnreadableError:
            heard.notices.append(unreadable(raw))
            return
        self._seen.add(found.key)
        news = self._store.observe(found, initial=initial)
        heard.notices += news
        heard.silent += not news

    def _lost(self) -> list[Notice]:
        lost = self._store.retain(self._seen, at_version=self.version)
        self._seen = set()
        for notice in lost:
            notice.is_doubtful = self._watched.is_selective
        return lost
