"""Label selectors and field selectors: parsed once, evaluated per object."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from demo.apiserver.errors import StatusError, bad_request
from demo.apiserver.store import Entry
from demo.apiserver.validation import Cause, invalid, key_causes, label_value_causes

Matches = Callable[[Entry], bool]
_Labels = Callable[[Mapping[str, str]], bool]

_TOKEN = re.compile(r"\s*(==|!=|[=!,()<>]|[^\s=!,()<>]+|$)")
_OPERATORS = "in, notin, =, ==, !=, gt, lt"
_SPECIAL = {"", "==", "!=", "=", "!", ",", "(", ")", "<", ">"}
_ESCAPED = re.compile(r"\\(.)")
_TERM = re.compile(r"(?:\\.|[^,\\])+")
_UNESCAPED = re.compile(r"(?:^|[^\\])(?:\\\\)*=")
_FIELD = re.compile(r"(.*?)(==|!=|=)(.*)", re.DOTALL)


def everything(_: Entry) -> bool:
    """The empty selector."""
    return True


def selection(labels: str, fields: str, *, known_fields: FieldNames) -> Matches:
    """Compile label and field selectors. Raises StatusError (400)."""
    terms = [*_field_terms(fields, known_fields)]
    of_labels = label_selection(labels) if labels.strip() else None
    if of_labels is not None:
        chosen = of_labels
        terms.append(lambda entry: chosen(entry.labels))
    if not terms:
        return everything
    if len(terms) == 1:
        return terms[0]
    return lambda entry: all(matches(entry) for matches in terms)


# --- labels ---------------------------------------------------------------------------------------


def label_selection(text: str) -> _Labels:
    """Compile a label selector. Raises StatusError (400)."""
    terms = list(_Reader(text).terms())
    return lambda labels: all(term(labels) for term in terms)


class _Reader:
    """Parser of label selectors with one token of lookahead."""

    def __init__(self, text: str) -> None:
        self._tokens = [token for token in _TOKEN.findall(text) if token]
        self._at = 0

    def terms(self) -> Iterator[_Labels]:
        """Yield the requirements; at least one unless the selector is empty."""
        if self._peek() != "!" and self._peek() in _SPECIAL:
            raise _unread(self._peek(), "!, identifier, or 'end of string'")
        while True:
            yield self._absent() if self._peek() == "!" else self._term()
            separator = self._take()
            if not separator:
                return
            if separator != ",":
                raise _unread(separator, "',' or 'end of string'")
            if self._peek() != "!" and self._peek() in _SPECIAL:
                raise _unread(self._peek(), "identifier after ','")

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._peek()
        self._at += 1
        return token

    def _absent(self) -> _Labels:
        self._take()
        key = self._key()
        return lambda labels: key not in labels

    def _key(self) -> str:
        key = self._take()
        _refuse_causes(key_causes(key, "<nil>"))
        return key

    def _term(self) -> _Labels:
        key = self._key()
        if self._peek() in {"", ","}:
            return lambda labels: key in labels
        operator = self._take()
        if operator in {"in", "notin"}:
            return _among(key, self._values(key), equal=operator == "in")
        if operator in {"=", "==", "!="}:
            value = self._value()
            _refuse_causes(label_value_causes(value, f"values[0][{key}]"))
            return _among(key, frozenset({value}), equal=operator != "!=")
        if operator in {"<", ">"}:
            return _compared(key, self._value(), greater=operator == ">")
        raise _unread(operator, _OPERATORS, requirement=True)

    def _value(self) -> str:
        """Parse a value, which may be empty (`n=`)."""
        if self._peek() in {"", ","}:
            return ""
        if self._peek() in _SPECIAL:
            raise _unread(self._peek(), "identifier", requirement=True)
        return self._take()

    def _values(self, key: str) -> frozenset[str]:
        opened = self._take()
        if opened != "(":
            raise bad_request(f"unable to parse requirement: found '{opened}' expected: '('")
        values: list[str] = []
        if not self._peek():
            raise _unread("", "',', ')' or identifier", requirement=True)
        while True:
            value = "" if self._peek() in {",", ")"} else self._take()
            values.append(value)
            closing = self._take()
            if closing == ")":
                break
            if closing != ",":
                raise _unread(closing, "',' or ')'", requirement=True)
        for at, value in enumerate(values):
            _refuse_causes(label_value_causes(value, f"values[{at}][{key}]"))
        return frozenset(values)


def _among(key: str, values: frozenset[str], *, equal: bool) -> _Labels:
    if equal:
        return lambda labels: labels.get(key) in values
    return lambda labels: labels.get(key) not in values


def _compared(key: str, text: str, *, greater: bool) -> _Labels:
    try:
        bound = int(text)
    except ValueError:
        words = "for 'Gt', 'Lt' operators, the value must be an integer"
        _refuse_causes([invalid("values[0]", text, words)])
        raise

    def matches(labels: Mapping[str, str]) -> bool:
        try:
            number = int(labels[key])
        except (KeyError, ValueError):
            return False
        return number > bound if greater else number < bound

    return matches


def _refuse_causes(causes: Iterator[Cause] | list[Cause]) -> None:
    found = list(causes)
    if found:
        # A genuine server joins several causes of one value and repeats neither field nor value.
        more = (cause.message.rpartition('": ')[2] for cause in found[1:])
        message = "; ".join([f"{found[0].field}: {found[0].message}", *more])
        raise bad_request(f"unable to parse requirement: {message}")


def _unread(found: str, expected: str, *, requirement: bool = False) -> StatusError:
    where = "unable to parse requirement: " if requirement else ""
    return bad_request(f"{where}found '{found}', expected: {expected}")


# --- fields ---------------------------------------------------------------------------------------


class FieldNames:
    """The selectable fields of a kind, and the message for others."""

    def __init__(self, *names: str, refusal: str = "field label not supported: {0}") -> None:
        self.names = frozenset({"metadata.name", "metadata.namespace", *names})
        self._refusal = refusal

    def check(self, name: str) -> None:
        """Raise StatusError (400) for a field that is not selectable."""
        if name not in self.names:
            raise bad_request(self._refusal.format(name))


def _field_terms(text: str, known: FieldNames) -> Iterator[Matches]:
    for term in _TERM.findall(text):
        read = _FIELD.fullmatch(term)
        if read is None:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{term}'")
        name, operator, value = read.groups()
        if _UNESCAPED.search(value):
            raise bad_request("invalid field selector: unescaped character in value: 61")
        known.check(name)
        yield _field_term(name, _ESCAPED.sub(r"\1", value), equal=operator != "!=")


def _field_term(name: str, value: str, *, equal: bool) -> Matches:
    if name == "metadata.name":
        return lambda entry: (entry.name == value) is equal
    if name == "metadata.namespace":
        return lambda entry: (entry.namespace == value) is equal
    return lambda entry: (entry.fields.get(name, "") == value) is equal
