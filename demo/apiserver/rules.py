"""Validation rules in CEL (`x-kubernetes-validations`), by CEL's own C++ implementation.

It has the language, `has` and the macros, and no types: a rule that a cluster would refuse when the
definition is made is refused here when it is evaluated. Missing are Kubernetes' own libraries
(`url`, `quantity`, `ip`, `find` and the like), and costs are not limited.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, cast

from cel_expr_python import cel  # pyright: ignore[reportMissingTypeStubs]

from demo.apiserver import causes
from demo.apiserver.causes import OMITTED, Cause
from demo.apiserver.documents import MISSING, Schema, Value, as_list, as_object, inner, steps

_RULES = "x-kubernetes-validations"
_COMPILED = 512
"""Far more rules than the schemas of a demonstration have; the oldest is compiled again."""

_RESERVED = frozenset(
    (
        *("as", "break", "const", "continue", "else", "false", "for", "function", "if"),
        *("import", "in", "let", "loop", "namespace", "null", "package", "return", "true"),
    )
)
_ESCAPED = {"__": "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__"}
_TO_ESCAPE = re.compile(r"__|[-./]")
_NO_SUCH_KEY = re.compile(r'NOT_FOUND: Key not found in map : "?([^"]*)"?')
_OLD = re.compile(r"\boldSelf\b")


class RuleError(ValueError):
    """A rule that is no CEL, or that came to no answer; the message is CEL's."""


def any_in(schema: Schema) -> bool:
    """Whether the schema has a rule anywhere."""
    inside = [*schema.get("properties", {}).values(), schema.get("items")]
    inside += [schema.get("additionalProperties"), *schema.get("allOf", ())]
    return bool(schema.get(_RULES)) or any(
        any_in(cast("Schema", one)) for one in inside if isinstance(one, dict)
    )


def check(rule: str) -> None:
    """Raise RuleError for a rule that cannot be read."""
    _compiled(rule)


def complaints(
    schema: Schema, value: Value, *, field: str = "", old: Value = MISSING
) -> Iterator[Cause]:
    """What the rules of a schema and of all within it say against a value that was `old`."""
    if value is None:
        return
    for rule in schema.get(_RULES, ()):
        yield from _said(rule, schema, value, field=field, old=old)
    for inside, one, at, before in steps(schema, value, field, old=old):
        yield from complaints(inside, one, field=at, old=before)


def _said(
    rule: dict[str, Any], schema: Schema, value: Value, *, field: str, old: Value
) -> Iterator[Cause]:
    text, transition = rule["rule"], bool(_OLD.search(rule["rule"]))
    if (transition and old is MISSING) or (not transition and old == value):
        return
    names = {"self": _seen(schema, value)}
    if transition:
        names["oldSelf"] = _seen(schema, old)
    told = str(rule.get("message") or f"failed rule: {text}").strip()
    try:
        if _answer(text, names) is True:
            return
        if rule.get("messageExpression"):
            told = str(_answer(rule["messageExpression"], names))
    except RuleError as failure:
        named = str(rule.get("message") or text).strip()
        yield causes.invalid(field, schema.get("type", ""), f"{failure} evaluating rule: {named}")
        return
    at = f"{field}{rule.get('fieldPath', '')}".lstrip(".")
    shown = OMITTED if isinstance(value, dict | list) else value
    yield _for_reason(rule.get("reason", ""), at, shown, told)


def _for_reason(reason: str, field: str, shown: object, told: str) -> Cause:
    match reason:
        case "FieldValueForbidden":
            return causes.forbidden(field, told)
        case "FieldValueRequired":
            return causes.required(field, told)
        case "FieldValueDuplicate":
            return causes.duplicate(field, shown)
        case _:
            return causes.invalid(field, shown, told)


def _answer(expression: str, names: dict[str, Value]) -> Value:
    answer = _compiled(expression).eval(data=names)
    if answer.type() == cel.Type.ERROR:
        text = str(answer.value())
        raise RuleError(_NO_SUCH_KEY.sub(r"no such key: \1", text))
    return answer.value()


@lru_cache(maxsize=1)
def _environment() -> cel.Env:
    return cel.NewEnv(variables={"self": cel.Type.DYN, "oldSelf": cel.Type.DYN})


@lru_cache(maxsize=_COMPILED)
def _compiled(expression: str) -> cel.Expression:
    try:
        return _environment().compile(expression, disable_check=True)
    except RuntimeError as failure:
        text = str(failure).removesuffix(" [INVALID_ARGUMENT]")
        raise RuleError(text.removeprefix("INVALID_ARGUMENT: ")) from failure


def _seen(schema: Schema, value: Value) -> Value:
    """A value as CEL sees it: names that are no CEL names are escaped."""
    held, elements = as_object(value), as_list(value)
    if elements is not None:
        return [_seen(schema.get("items", {}), one) for one in elements]
    if held is None:
        return value
    fields = schema.get("properties", {})
    return {
        _escaped(name) if name in fields else name: _seen(inner(schema, name) or {}, one)
        for name, one in held.items()
    }


def _escaped(name: str) -> str:
    if name in _RESERVED:
        return f"__{name}__"
    return _TO_ESCAPE.sub(lambda found: _ESCAPED[found[0]], name)
