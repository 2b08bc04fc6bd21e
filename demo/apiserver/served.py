"""What the server serves: one resource of one group and version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Served:
    """One resource of one group and version, as discovery names it."""

    group: str
    version: str
    resource: str
    kind: str
    list_kind: str
    singular: str
    short_names: tuple[str, ...]
    namespaced: bool
    has_status: bool
    schema: Mapping[str, Any] | None = None
    """The structural schema of the whole object; None for what is built in: anything goes."""

    columns: tuple[Mapping[str, Any], ...] = ()
    """The definition's ``additionalPrinterColumns``."""

    storage: str = ""
    """The version that is stored, where it is another one: nothing but ``apiVersion`` is rewritten."""

    @property
    def api_version(self) -> str:
        """The ``apiVersion`` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """The resource with its group, as messages name it: ``pods``, ``deployments.apps``."""
        return f"{self.resource}.{self.group}" if self.group else self.resource
