"""What names, labels, annotations and finalizers may look like."""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random

from demo.apiserver.causes import Cause, forbidden, invalid, too_long
from demo.apiserver.documents import Value, as_list, as_object

SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    "and must start and end with an alphanumeric character (e.g. 'example.com', regex used for "
    "validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must "
    "start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for "
    "validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_NAME_PART = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation "
    "is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
KEY_FORM = (
    f"a valid label key {_NAME_PART} with an optional DNS subdomain prefix and '/' "
    "(e.g. 'example.com/MyName')"
)
VALUE_FORM = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or "
    "'12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_DNS_SUBDOMAIN = re.compile(rf"{_DNS_LABEL.pattern}(\.{_DNS_LABEL.pattern})*")
_PART = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")

_MOST_SUBDOMAIN = 253
_MOST_LABEL = 63
_MOST_ANNOTATIONS_BYTES = 256 * 1024
_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""No vowels, and nothing that looks like another: no suffix is a word."""

_SUFFIX = 5
_STANDARD_FINALIZERS = {"kubernetes", "foregroundDeletion", "orphan"}


def generated(prefix: str, chance: Random) -> str:
    """A name that begins with the prefix, as `generateName` makes one."""
    suffix = "".join(chance.choices(_SUFFIX_LETTERS, k=_SUFFIX))
    return prefix[: _MOST_LABEL - _SUFFIX] + suffix


def is_subdomain(name: str) -> bool:
    """Whether most kinds take this name."""
    return len(name) <= _MOST_SUBDOMAIN and _DNS_SUBDOMAIN.fullmatch(name) is not None


def name_complaints(name: str, field: str, *, form: str) -> Iterator[Cause]:
    """What is wrong with the name of an object; `form` is subdomain, label or path."""
    if form == "path":
        yield from _path_complaints(name, field)
        return
    pattern, most, words = (
        (_DNS_LABEL, _MOST_LABEL, LABEL)
        if form == "label"
        else (_DNS_SUBDOMAIN, _MOST_SUBDOMAIN, SUBDOMAIN)
    )
    if len(name) > most:
        yield invalid(field, name, f"must be no more than {most} bytes")
    if form == "label" and "." in name:
        yield invalid(field, name, "must not contain dots")
    elif not pattern.fullmatch(name):
        yield invalid(field, name, words)


def _path_complaints(name: str, field: str) -> Iterator[Cause]:
    """What is wrong with a name that may be anything that fits between two slashes."""
    if name in {".", ".."}:
        yield invalid(field, name, f"may not be '{name}'")
    for wrong in ("/", "%"):
        if wrong in name:
            yield invalid(field, name, f"may not contain '{wrong}'")


def prefix_complaints(prefix: str, *, form: str) -> Iterator[Cause]:
    """What is wrong with a `generateName`, which may end where a name may not."""
    masked = f"{prefix[:-1]}a" if prefix.endswith("-") else prefix
    for cause in name_complaints(masked, "metadata.generateName", form=form):
        yield Cause(cause.field, cause.reason, cause.message.replace(masked, prefix, 1))


def metadata_complaints(metadata: dict[str, Value]) -> Iterator[Cause]:
    """What is wrong with labels, annotations and finalizers."""
    for key, value in (as_object(metadata.get("labels")) or {}).items():
        yield from key_complaints(key, "metadata.labels")
        yield from value_complaints(str(value), "metadata.labels")
    annotations = as_object(metadata.get("annotations")) or {}
    for key in annotations:
        yield from key_complaints(key.lower(), "metadata.annotations", shown=key)
    if sum(len(key) + len(str(value)) for key, value in annotations.items()) > (
        _MOST_ANNOTATIONS_BYTES
    ):
        yield too_long("metadata.annotations", _MOST_ANNOTATIONS_BYTES)
    for at, name in enumerate(as_list(metadata.get("finalizers")) or ()):
        yield from _finalizer_complaints(str(name), f"metadata.finalizers[{at}]")


def key_complaints(key: str, field: str, *, shown: str | None = None) -> Iterator[Cause]:
    """What is wrong with the key of a label or an annotation."""
    told = key if shown is None else shown
    prefix, slash, name = key.rpartition("/")
    if "/" in prefix:
        yield invalid(field, told, KEY_FORM)
        return
    if slash and not prefix:
        yield invalid(field, told, "prefix part must be non-empty")
    elif slash and not is_subdomain(prefix):
        yield invalid(field, told, f"prefix part {SUBDOMAIN}")
    if not name:
        yield invalid(field, told, "name part must be non-empty")
    elif len(name) > _MOST_LABEL:
        yield invalid(field, told, f"name part must be no more than {_MOST_LABEL} bytes")
    if not _PART.fullmatch(name):
        yield invalid(field, told, f"name part {_NAME_PART}")


def value_complaints(value: str, field: str) -> Iterator[Cause]:
    """What is wrong with the value of a label."""
    if len(value) > _MOST_LABEL:
        yield invalid(field, value, f"must be no more than {_MOST_LABEL} bytes")
    if value and not _PART.fullmatch(value):
        yield invalid(field, value, VALUE_FORM)


def _finalizer_complaints(name: str, field: str) -> Iterator[Cause]:
    yield from key_complaints(name, field)
    if "/" not in name and name not in _STANDARD_FINALIZERS:
        yield invalid(
            field, name, "name is neither a standard finalizer name nor is it fully qualified"
        )


def added_finalizers(before: list[Value], after: list[Value]) -> Iterator[Cause]:
    """The complaint about finalizers that are new on an object that is being deleted."""
    new = sorted(str(one) for one in after if one not in before)
    if new:
        quoted = ", ".join(f'"{one}"' for one in new)
        yield forbidden(
            "metadata.finalizers",
            "no new finalizers can be added if the object is being deleted, found new finalizers "
            f"[]string{{{quoted}}}",
        )
