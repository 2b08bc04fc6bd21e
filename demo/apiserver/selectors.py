"""Label selectors and field selectors: read once, asked often."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from demo.apiserver.answers import RefusedError, bad_request
from demo.apiserver.causes import Cause, invalid
from demo.apiserver.history import Entry
from demo.apiserver.names import key_complaints, value_complaints

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
    """What an empty selector matches."""
    return True


def selection(labels: str, fields: str, *, known_fields: FieldNames) -> Matches:
    """Whether an object is selected; raises RefusedError (400) for what cannot be read."""
    wanted = [*_field_terms(fields, known_fields)]
    of_labels = label_selection(labels) if labels.strip() else None
    if of_labels is not None:
        chosen = of_labels
        wanted.append(lambda entry: chosen(entry.labels))
    if not wanted:
        return everything
    if len(wanted) == 1:
        return wanted[0]
    return lambda entry: all(matches(entry) for matches in wanted)


# --- labels ---------------------------------------------------------------------------------------


def label_selection(text: str) -> _Labels:
    """Whether labels are selected; raises RefusedError (400) in the server's words."""
    terms = list(_Reader(text).terms())
    return lambda labels: all(term(labels) for term in terms)


class _Reader:
    """Reads a label selector from left to right, one token ahead."""

    def __init__(self, text: str) -> None:
        self._tokens = [token for token in _TOKEN.findall(text) if token]
        self._at = 0

    def terms(self) -> Iterator[_Labels]:
        """Each requirement; there is at least one, unless nothing at all is said."""
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
        _judge(key_complaints(key, "<nil>"))
        return key

    def _term(self) -> _Labels:
        key = self._key()
        if self._peek() in {"", ","}:
            return lambda labels: key in labels
        operator = self._take()
        if operator in {"in", "notin"}:
            return _among(key, self._values(key), wanted=operator == "in")
        if operator in {"=", "==", "!="}:
            value = self._value()
            _judge(value_complaints(value, f"values[0][{key}]"))
            return _among(key, frozenset({value}), wanted=operator != "!=")
        if operator in {"<", ">"}:
            return _compared(key, self._value(), greater=operator == ">")
        raise _unread(operator, _OPERATORS, requirement=True)

    def _value(self) -> str:
        """A value that may be empty: `n=`."""
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
            _judge(value_complaints(value, f"values[{at}][{key}]"))
        return frozenset(values)


def _among(key: str, values: frozenset[str], *, wanted: bool) -> _Labels:
    if wanted:
        return lambda labels: labels.get(key) in values
    return lambda labels: labels.get(key) not in values


def _compared(key: str, text: str, *, greater: bool) -> _Labels:
    try:
        bound = int(text)
    except ValueError:
        words = "for 'Gt', 'Lt' operators, the value must be an integer"
        _judge([invalid("values[0]", text, words)])
        raise

    def matches(labels: Mapping[str, str]) -> bool:
        try:
            number = int(labels[key])
        except (KeyError, ValueError):
            return False
        return number > bound if greater else number < bound

    return matches


def _judge(causes: Iterator[Cause] | list[Cause]) -> None:
    found = list(causes)
    if found:
        # Of several complaints about one value the server says the value once.
        more = (cause.message.rpartition('": ')[2] for cause in found[1:])
        said = "; ".join([f"{found[0].field}: {found[0].message}", *more])
        raise bad_request(f"unable to parse requirement: {said}")


def _unread(found: str, expected: str, *, requirement: bool = False) -> RefusedError:
    where = "unable to parse requirement: " if requirement else ""
    return bad_request(f"{where}found '{found}', expected: {expected}")


# --- fields ---------------------------------------------------------------------------------------


class FieldNames:
    """Which fields of a kind a selector may name, and what the server says of others."""

    def __init__(self, *names: str, refusal: str = "field label not supported: {0}") -> None:
        self.names = frozenset({"metadata.name", "metadata.namespace", *names})
        self._refusal = refusal

    def check(self, name: str) -> None:
        """Raise RefusedError (400) for a field that cannot be asked for."""
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
        yield _field_term(name, _ESCAPED.sub(r"\1", value), wanted=operator != "!=")


def _field_term(name: str, value: str, *, wanted: bool) -> Matches:
    if name == "metadata.name":
        return lambda entry: (entry.name == value) is wanted
    if name == "metadata.namespace":
        return lambda entry: (entry.namespace == value) is wanted
    return lambda entry: (entry.fields.get(name, "") == value) is wanted
