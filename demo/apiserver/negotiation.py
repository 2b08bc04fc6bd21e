"""In which form an answer is wanted: the objects themselves, as a table, or only their metadata."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from demo.apiserver.answers import not_acceptable

JSON = "application/json"
YAML = "application/yaml"
_OFFERED = (JSON, YAML)
_ANY = {"*/*", "application/*", JSON}
_META = "meta.k8s.io"
FORMS = {"Table", "PartialObjectMetadata", "PartialObjectMetadataList"}


@dataclass(frozen=True, slots=True)
class Form:
    """The form of an answer."""

    kind: str = ""
    """Table, PartialObjectMetadata, or "" for the objects themselves."""

    yaml: bool = False


PLAIN = Form()


def form(accept: str, *, transforms: bool = True) -> Form:
    """The first form in an Accept header that is written here; raises RefusedError (406)."""
    if accept in {"", "*/*", JSON}:
        return PLAIN
    for media_type, parameters in accepted(accept):
        wanted = parameters.get("as", "")
        if media_type in _ANY and not wanted:
            return PLAIN
        if media_type == YAML and not wanted:
            return Form(yaml=True)
        if media_type == JSON and transforms and _is_known(wanted, parameters):
            return Form(wanted.removesuffix("List"))
    raise not_acceptable(_OFFERED)


def _is_known(wanted: str, parameters: dict[str, str]) -> bool:
    return (
        wanted in FORMS
        and parameters.get("g") == _META
        and parameters.get("v") in {"v1", "v1beta1"}
    )


def accepted(accept: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The types of an Accept header with their parameters, in its order."""
    for each in accept.split(","):
        media_type, *rest = (part.strip() for part in each.split(";"))
        pairs = (part.partition("=") for part in rest)
        yield media_type.lower(), {name.strip(): value.strip() for name, _, value in pairs}
