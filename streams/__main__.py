"""``python -m streams`` is ``zen-streams``."""

from __future__ import annotations

from streams.cli.main import app

if __name__ == "__main__":
    app()
