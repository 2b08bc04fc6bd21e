"""Where the live view goes: a table that is drawn again and again on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from rich.console import Console
from rich.live import Live

from demo.hearing import Hearing
from demo.table import live_line, live_table
from operators.flow.clock import NANOSECONDS_PER_SECOND, Clock
from streams.runtime.running import RunningSource

TABLE_EVERY_SECONDS = 0.25
LINE_EVERY_SECONDS = 3.0


class View:
    """Shows sources for as long as it is held; the last state stays on the terminal."""

    def __init__(
        self,
        console: Console,
        sources: Sequence[RunningSource],
        hearing: Hearing,
        *,
        clock: Clock,
    ) -> None:
        draws = console.is_terminal and not console.is_dumb_terminal
        self.every_seconds = TABLE_EVERY_SECONDS if draws else LINE_EVERY_SECONDS
        self._console = console
        self._sources = sources
        self._hearing = hearing
        self._clock = clock
        self._began_ns = clock()
        self._live = Live(console=console, auto_refresh=False) if draws else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    @property
    def seconds(self) -> float:
        """For how long it has been showing."""
        return (self._clock() - self._began_ns) / NANOSECONDS_PER_SECOND

    def show(self) -> None:
        """Show the state of now."""
        if self._live is not None:
            title = f"{self.seconds:.0f} s"
            self._live.update(live_table(self._sources, self._hearing, title=title), refresh=True)
        else:
            write(self._console, live_line(self._sources, self._hearing, seconds=self.seconds))


def write(console: Console, *lines: str) -> None:
    """Write lines as they are: not wrapped, and nothing in them obeyed."""
    for line in lines:
        console.print(line, markup=False, highlight=False, emoji=False, soft_wrap=True)
