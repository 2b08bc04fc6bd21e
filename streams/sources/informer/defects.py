"""What ended a task that works until it is cancelled: a defect, for the liveness probe and the log."""

from __future__ import annotations

import asyncio
import logging

log = logging.getLogger(__name__)


def defect_of(task: asyncio.Task[None]) -> BaseException | None:
    """Why a task died; None while it works, and where it was cancelled."""
    return task.exception() if task.done() and not task.cancelled() else None


def log_defect(task: asyncio.Task[None]) -> None:
    """Log why a task died, as the callback of its end: whoever holds the task may never look."""
    error = defect_of(task)
    if error is not None:
        log.error("a task died", exc_info=error, extra={"task": task.get_name()})
