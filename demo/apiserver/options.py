"""What a query asks of a list, a watch or a write, judged as the server judges it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from demo.apiserver.answers import bad_request, internal, unusable_options
from demo.apiserver.causes import Cause, forbidden, required, unsupported
from demo.apiserver.documents import Object, as_object

_FALSE = {"", "0", "false", "False", "FALSE", "f", "F"}
_MATCHES = ("Exact", "NotOlderThan", "")
_VALIDATIONS = ("", "Ignore", "Strict", "Warn")
_POLICIES = ("Foreground", "Background", "Orphan", "nil")
_MATCH = "resourceVersionMatch"
_INITIAL = "sendInitialEvents"


@dataclass(frozen=True, slots=True)
class Reading:
    """What is asked of a list or a watch."""

    labels: str
    fields: str
    version: int | None
    """The resourceVersion; None if none was given."""

    match: str
    limit: int
    token: str
    bookmarks: bool
    initial_events: bool | None
    timeout_seconds: int


def reading(query: Mapping[str, str], *, watch: bool) -> Reading:
    """Read the query; raises RefusedError (400, 422; 500 for a watch from a version that is none)."""
    limit = _number(query, "limit")
    timeout = _number(query, "timeoutSeconds")
    initial = _flag(query, _INITIAL) if query.get(_INITIAL) else None
    causes = list(_complaints(query, watch=watch, initial=initial))
    if causes:
        raise unusable_options("ListOptions", causes)
    return Reading(
        labels=query.get("labelSelector", ""),
        fields=query.get("fieldSelector", ""),
        version=_version(query.get("resourceVersion", ""), watch=watch),
        match=query.get(_MATCH, ""),
        limit=max(limit, 0),
        token=query.get("continue", ""),
        bookmarks=_flag(query, "allowWatchBookmarks"),
        initial_events=initial,
        timeout_seconds=timeout,
    )


def _complaints(query: Mapping[str, str], *, watch: bool, initial: bool | None) -> Iterator[Cause]:
    match = query.get(_MATCH, "")
    if watch:
        yield from _watch_complaints(query, match=match, initial=initial)
        return
    if initial is not None:
        yield forbidden(_INITIAL, "sendInitialEvents is forbidden for list")
    if match:
        yield from _match_complaints(query, match)


def _match_complaints(query: Mapping[str, str], match: str) -> Iterator[Cause]:
    version = query.get("resourceVersion", "")
    if not version:
        yield forbidden(_MATCH, f"{_MATCH} is forbidden unless resourceVersion is provided")
    if query.get("continue"):
        yield forbidden(_MATCH, f"{_MATCH} is forbidden when continue is provided")
    if match not in _MATCHES:
        yield unsupported(_MATCH, match, _MATCHES)
    if match == "Exact" and version == "0":
        yield forbidden(_MATCH, f'{_MATCH} "exact" is forbidden for resourceVersion "0"')


def _watch_complaints(
    query: Mapping[str, str], *, match: str, initial: bool | None
) -> Iterator[Cause]:
    if match and initial is None:
        yield forbidden(
            _MATCH, f"{_MATCH} is forbidden for watch unless sendInitialEvents is provided"
        )
    if initial is not None and not match:
        yield forbidden(_MATCH, f"sendInitialEvents requires setting {_MATCH} to NotOlderThan")
    if match and match != "NotOlderThan":
        yield unsupported(_MATCH, match, ("NotOlderThan",))
    if query.get("continue"):
        yield forbidden(_MATCH, f"{_MATCH} is forbidden when continue is provided")


def _flag(query: Mapping[str, str], name: str) -> bool:
    return query.get(name, "") not in _FALSE


def _number(query: Mapping[str, str], name: str) -> int:
    text = query.get(name, "")
    if not text:
        return 0
    try:
        return int(text)
    except ValueError:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def _version(text: str, *, watch: bool) -> int | None:
    if not text:
        return None
    if text.isdecimal():
        return int(text)
    said = (
        f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": '
        "invalid syntax"
    )
    raise internal(said) if watch else bad_request(f"invalid resource version: {said}")


@dataclass(frozen=True, slots=True)
class Writing:
    """What is asked of a create, an update or a patch."""

    dry_run: bool
    manager: str
    force: bool
    validation: str


def writing(query: Mapping[str, str], kind: str, *, manager: str, apply: bool = False) -> Writing:
    """Read the query; `kind` is CreateOptions, UpdateOptions or PatchOptions; raises RefusedError (422)."""
    causes: list[Cause] = []
    dry_run = query.get("dryRun", "")
    validation = query.get("fieldValidation", "")
    if apply and not query.get("fieldManager"):
        causes.append(required("fieldManager", "is required for apply patch"))
    if not apply and kind == "PatchOptions" and _flag(query, "force"):
        causes.append(forbidden("force", "may not be specified for non-apply patch"))
    if dry_run and dry_run != "All":
        causes.append(unsupported("dryRun", [dry_run], ("All",)))
    if validation not in _VALIDATIONS:
        causes.append(unsupported("fieldValidation", validation, _VALIDATIONS))
    if causes:
        raise unusable_options(kind, causes)
    return Writing(
        dry_run=dry_run == "All",
        manager=query.get("fieldManager") or manager,
        force=_flag(query, "force"),
        validation=validation or "Warn",
    )


@dataclass(frozen=True, slots=True)
class Deleting:
    """What is asked of a delete."""

    dry_run: bool
    uid: str
    version: str


def deleting(query: Mapping[str, str], body: Object) -> Deleting:
    """Read the query and the body, which wins; raises RefusedError (400, 422)."""
    if body.get("kind") not in {None, "DeleteOptions"}:
        raise bad_request(f'no kind "{body["kind"]}" is registered for version "meta.k8s.io/v1"')
    preconditions = as_object(body.get("preconditions")) or {}
    policy = body.get("propagationPolicy") or query.get("propagationPolicy") or ""
    dry_run = body.get("dryRun") or ([query["dryRun"]] if query.get("dryRun") else [])
    causes: list[Cause] = []
    if policy and policy not in _POLICIES:
        causes.append(unsupported("propagationPolicy", policy, _POLICIES))
    if dry_run and dry_run != ["All"]:
        causes.append(unsupported("dryRun", dry_run, ("All",)))
    if causes:
        raise unusable_options("DeleteOptions", causes)
    return Deleting(
        dry_run=bool(dry_run),
        uid=str(preconditions.get("uid") or ""),
        version=str(preconditions.get("resourceVersion") or ""),
    )
