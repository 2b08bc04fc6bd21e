"""Settings of Python's cyclic garbage collector: a full collection stops the event loop while it runs."""

from __future__ import annotations

import gc

ALLOCATIONS = 10_000
"""How many more container objects are allocated than freed before the youngest generation is collected.

With Python's default of 700, collections took one sixth of the time of a flood. The uncollected objects take a few MB.
"""


def freeze_startup_objects() -> None:
    """Exclude all objects that exist now from every later collection: modules, classes, documents.

    They are 75,000 objects, and a full collection of them takes 50 ms; one of 50,000 Observations in the state takes
    5 ms. Called once, when the product is loaded and before its loop runs.
    """
    # Collected first: garbage that is frozen is never freed.
    gc.collect()
    gc.freeze()
    gc.set_threshold(ALLOCATIONS, *gc.get_threshold()[1:])
