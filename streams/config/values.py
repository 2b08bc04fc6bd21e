"""The value types of documents: names, selectors and rates, checked as the API server checks them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import AfterValidator, StringConstraints, WithJsonSchema

MIN_RATE = 0.1
NAMESPACE_CHARACTERS = 63
"""The longest name of a namespace that the API server accepts (a DNS label, RFC 1123)."""
DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DNS_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"

_LABEL_CHARACTERS = 63
_PREFIX_CHARACTERS = 253
_SHOWN_CHARACTERS = 40

_REQUIREMENT = re.compile(
    r"""\s*(?:
      !\s*(?P<absent>[^\s,()=!<>]+)
    | (?P<key>[^\s,()=!<>]+)
      (?: \s*(?P<operator>==|=|!=)\s*(?P<value>[^\s,()=!<>]*)
        | \s*[<>]\s*(?P<bound>[^\s,()=!<>]+)
        | \s+(?:in|notin)\s*\((?P<values>[^()=!<>]*)\)
      )?
    )\s*""",
    re.VERBOSE,
)
_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_FIELD_TERM = re.compile(r"[^=!,\\]+(?:==|=|!=)(?:[^=,\\]|\\[=,\\])*")
_BETWEEN_COMMAS = re.compile(r"(?:\\.|[^,])+", re.DOTALL)
"""A backslash escapes the next character, so that the second of two escapes nothing."""


def _rate(value: float) -> float:
    # The API server compares a whole number with the whole part of a bound, so the contract has 0.
    if value != 0 and value < MIN_RATE:
        raise ValueError(f"{MIN_RATE} or more")
    return value


def matching(pattern: str, what: str, *, empty: bool = False) -> Callable[[str], str]:
    """A validator for text that matches ``pattern``, named ``what`` in its message; ``empty`` text is accepted if set.

    It is not a pattern of the schema: the CRD would then reject manifests that zen-watcher's contract accepts.
    """

    def check(text: str) -> str:
        if not (empty and not text) and not re.fullmatch(pattern, text):
            raise ValueError(f"{what} ({pattern})")
        return text

    return check


def is_namespace_name(text: str) -> bool:
    """Whether ``text`` is a valid name of a namespace."""
    return len(text) <= NAMESPACE_CHARACTERS and re.fullmatch(DNS_LABEL, text) is not None


def check_label_selector(text: str) -> str:
    """Return a label selector unchanged, or raise ``ValueError`` with the part that the API server would reject.

    The grammar is apimachinery's (labels.Parse): ``=``, ``==``, ``!=``, ``in``, ``notin``,
    existence, ``!``, and whole numbers after ``<`` and ``>``.
    """
    position = 0 if text.strip() else len(text) + 1
    while position <= len(text):
        match = _REQUIREMENT.match(text, position)
        if match is None or (match.end() < len(text) and text[match.end()] != ","):
            raise ValueError(
                "label requirements such as a=b, a!=b, a in (b,c), a notin (b,c), a or !a;"
                f" not {text[position:].strip()[:_SHOWN_CHARACTERS]!r}"
            )
        _check_requirement(match)
        position = match.end() + 1
    return text


def _check_requirement(match: re.Match[str]) -> None:
    _check_key(match["absent"] or match["key"])
    if match["bound"] is not None and not re.fullmatch(r"-?[0-9]+", match["bound"]):
        raise ValueError(f"a whole number after < or > in a label selector; not {match['bound']!r}")
    for value in (match["value"] or "", *(match["values"] or "").split(",")):
        _check_value(value.strip())


def _check_key(key: str) -> None:
    prefix, slash, name = key.rpartition("/")
    if slash and not (len(prefix) <= _PREFIX_CHARACTERS and _SUBDOMAIN.fullmatch(prefix)):
        raise ValueError(
            f"a DNS name before the slash of a label key; not {prefix[:_SHOWN_CHARACTERS]!r}"
        )
    if len(name) > _LABEL_CHARACTERS or not _NAME.fullmatch(name):
        raise ValueError(
            f"a label key of letters, digits, '-', '_' and '.'; not {name[:_SHOWN_CHARACTERS]!r}"
        )


def _check_value(value: str) -> None:
    if value and (len(value) > _LABEL_CHARACTERS or not _NAME.fullmatch(value)):
        raise ValueError(
            f"a label value of at most {_LABEL_CHARACTERS} letters, digits, '-', '_' and '.',"
            f" a letter or digit at both ends; not {value[:_SHOWN_CHARACTERS]!r}"
        )


def check_field_selector(text: str) -> str:
    """Return a field selector unchanged, or raise ``ValueError``.

    The grammar is apimachinery's (fields.ParseSelector): terms of ``=``, ``==`` and ``!=``, with a
    backslash before ``,``, ``=`` and itself. Which fields a resource supports is known to the API server alone.
    """
    for term in _BETWEEN_COMMAS.findall(text):
        if not _FIELD_TERM.fullmatch(term):
            raise ValueError(
                f"field requirements such as a.b=c or a.b!=c; not {term[:_SHOWN_CHARACTERS]!r}"
            )
    return text


Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+$")]
EventType = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+$")]
Domain = Literal["security", "operations", "performance", "cost", "compliance", "custom"]

Rate = Annotated[
    float, AfterValidator(_rate), WithJsonSchema({"type": "number", "minimum": MIN_RATE})
]

Namespace = Annotated[
    str, AfterValidator(matching(DNS_LABEL, "the name of a namespace", empty=True))
]
LabelSelector = Annotated[str, AfterValidator(check_label_selector)]
FieldSelector = Annotated[str, AfterValidator(check_field_selector)]

Open = Annotated[object, WithJsonSchema({"x-kubernetes-preserve-unknown-fields": True})]
"""A field whose shape the contract leaves open."""
