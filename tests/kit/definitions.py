"""Definitions, most of them bad, and what a genuine API server said of each.

`definitions.jsonl` holds its answers, kube-apiserver 1.37.2's; the suite in `tests/contract/api` asks it again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class Judged:
    """A definition, and what is wrong with it as (field, reason, message)."""

    name: str
    definition: dict[str, Any]
    causes: tuple[tuple[str, str, str], ...]


DEFINITIONS = msgspec.json.decode(
    b"[" + b",".join(Path(__file__).with_suffix(".jsonl").read_bytes().splitlines()) + b"]",
    type=list[Judged],
)
