"""How hard hypothesis tries: ``dev`` at the desk, ``ci`` in `make test`."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import settings
from hypothesis.database import DirectoryBasedExampleDatabase

EXAMPLES = DirectoryBasedExampleDatabase(Path(__file__).parent.parent / ".hypothesis" / "examples")

# Named in full: hypothesis has other defaults where it believes to be in somebody's CI.
for name, max_examples in {"dev": 50, "ci": 200}.items():
    settings.register_profile(
        name,
        max_examples=max_examples,
        deadline=None,
        derandomize=False,
        database=EXAMPLES,
        print_blob=True,
    )

settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))
