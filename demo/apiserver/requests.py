"""What a request addresses (verb, resource, object) and its query options, validated as a genuine server does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from demo.apiserver.documents import Object, as_object
from demo.apiserver.errors import (
    NoSuchPathError,
    bad_request,
    internal,
    invalid_options,
    method_not_allowed,
    no_such_resource,
    not_found,
)
from demo.apiserver.resources import Resource, Resources
from demo.apiserver.validation import Cause, forbidden, required, unsupported

_NAMESPACES = "namespaces"
_WITH_NAME = {"GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_WITHOUT_NAME = {"GET": "list", "HEAD": "list", "POST": "create", "DELETE": "deletecollection"}
_FALSE = {"", "0", "false", "False", "FALSE", "f", "F"}


@dataclass(frozen=True, slots=True)
class RequestPath:
    """A parsed resource path; the resource may not be served."""

    group: str
    version: str
    namespace: str
    resource: str
    name: str
    subresource: str


@dataclass(frozen=True, slots=True)
class Call:
    """One request for a served resource."""

    verb: str
    resource: Resource
    namespace: str
    name: str
    subresource: str
    query: Mapping[str, str]
    manager: str
    """The field manager where the query has none: the client's name in its User-Agent."""

    @property
    def key(self) -> str:
        """Return the key of the object in the store."""
        return self.resource.key(self.namespace, self.name)


def split_target(target: str) -> tuple[str, dict[str, str]]:
    """Split a request target into path and query; the first of repeated parameters counts."""
    path, _, query = target.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True) if query else []
    return path, dict(reversed(pairs))


def parse_path(path: str) -> RequestPath | None:
    """Parse a path; None if it is not a resource path."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    if parts[0] == "api":
        group, parts = "", parts[1:]
    elif parts[0] == "apis" and len(parts) > 1:
        group, parts = parts[1], parts[2:]
    else:
        return None
    if len(parts) < 2:  # noqa: PLR2004 - a version and a resource
        return None
    version, parts = parts[0], parts[1:]
    if parts[0] == _NAMESPACES and len(parts) > 2 and not _is_of_namespace(group, parts):  # noqa: PLR2004
        namespace, parts = parts[1], parts[2:]
    else:
        namespace = ""
    resource, name, subresource = (*parts, "", "")[:3]
    return RequestPath(
        group, version, namespace, resource, name, "/".join([subresource, *parts[3:]])
    )


def _is_of_namespace(group: str, parts: list[str]) -> bool:
    """Return whether the path is a subresource of a namespace itself."""
    return not group and len(parts) == 3 and parts[2] in {"status", "finalize"}  # noqa: PLR2004


def verb_of(method: str, at: RequestPath, query: Mapping[str, str]) -> str:
    """Return the verb of a request. Raises StatusError (405)."""
    found = (_WITH_NAME if at.name else _WITHOUT_NAME).get(method, "")
    if not found:
        raise method_not_allowed()
    if found == "list" and query.get("watch", "0") not in _FALSE:
        return "watch"
    return found


def resolve(
    at: RequestPath, *, verb: str, resources: Resources, query: Mapping[str, str], manager: str
) -> Call:
    """Resolve a path to a served resource. Raises NoSuchPathError or StatusError (404, 405)."""
    resource = resources.get(at.group, at.version, at.resource)
    if resource is None:
        raise _missing(at, resources)
    whole = not at.namespace and not at.name and verb in {"list", "watch"}
    if not whole and bool(at.namespace) != resource.served.namespaced:
        if verb == "create" and resource.served.namespaced and not resource.custom:
            raise method_not_allowed()
        raise NoSuchPathError if resource.custom else no_such_resource()
    if verb not in _verbs_at(resource, at):
        raise method_not_allowed()
    return Call(verb, resource, at.namespace, at.name, at.subresource, query, manager)


def _verbs_at(resource: Resource, at: RequestPath) -> tuple[str, ...]:
    if not at.subresource:
        return resource.kind.verbs
    if at.subresource == "status" and resource.served.has_status:
        return ("get", "patch", "update")
    for name, verbs in resource.kind.subresources:
        if name == at.subresource:
            return verbs
    raise not_found(resource.served, at.name) if resource.custom else no_such_resource()


def _missing(at: RequestPath, resources: Resources) -> Exception:
    built_in = [one for one in resources if one.served.group == at.group and not one.custom]
    return no_such_resource() if built_in else NoSuchPathError()


_MATCHES = ("Exact", "NotOlderThan", "")
_VALIDATIONS = ("", "Ignore", "Strict", "Warn")
_POLICIES = ("Foreground", "Background", "Orphan", "nil")
_MATCH = "resourceVersionMatch"
_INITIAL = "sendInitialEvents"


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """The ListOptions of a list or a watch."""

    labels: str
    fields: str
    version: int | None
    """The resourceVersion; None if it was not given."""

    match: str
    limit: int
    token: str
    bookmarks: bool
    initial_events: bool | None
    timeout_seconds: int


def read_options(query: Mapping[str, str], *, watch: bool) -> ReadOptions:
    """Parse the query. Raises StatusError (400, 422; 500 for a watch from a malformed resourceVersion)."""
    limit = _number(query, "limit")
    timeout = _number(query, "timeoutSeconds")
    initial = _flag(query, _INITIAL) if query.get(_INITIAL) else None
    causes = list(_option_causes(query, watch=watch, initial=initial))
    if causes:
        raise invalid_options("ListOptions", causes)
    return ReadOptions(
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


def _option_causes(
    query: Mapping[str, str], *, watch: bool, initial: bool | None
) -> Iterator[Cause]:
    match = query.get(_MATCH, "")
    if watch:
        yield from _watch_causes(query, match=match, initial=initial)
        return
    if initial is not None:
        yield forbidden(_INITIAL, "sendInitialEvents is forbidden for list")
    if match:
        yield from _match_causes(query, match)


def _match_causes(query: Mapping[str, str], match: str) -> Iterator[Cause]:
    version = query.get("resourceVersion", "")
    if not version:
        yield forbidden(_MATCH, f"{_MATCH} is forbidden unless resourceVersion is provided")
    if query.get("continue"):
        yield forbidden(_MATCH, f"{_MATCH} is forbidden when continue is provided")
    if match not in _MATCHES:
        yield unsupported(_MATCH, match, _MATCHES)
    if match == "Exact" and version == "0":
        yield forbidden(_MATCH, f'{_MATCH} "exact" is forbidden for resourceVersion "0"')


def _watch_causes(query: Mapping[str, str], *, match: str, initial: bool | None) -> Iterator[Cause]:
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
    message = (
        f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": '
        "invalid syntax"
    )
    raise internal(message) if watch else bad_request(f"invalid resource version: {message}")


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """The CreateOptions, UpdateOptions or PatchOptions of a write."""

    dry_run: bool
    manager: str
    force: bool
    validation: str


def write_options(
    query: Mapping[str, str], kind: str, *, manager: str, apply: bool = False
) -> WriteOptions:
    """Parse the query; `kind` is CreateOptions, UpdateOptions or PatchOptions. Raises StatusError (422)."""
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
        raise invalid_options(kind, causes)
    return WriteOptions(
        dry_run=dry_run == "All",
        manager=query.get("fieldManager") or manager,
        force=_flag(query, "force"),
        validation=validation or "Warn",
    )


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """The DeleteOptions of a delete."""

    dry_run: bool
    uid: str
    version: str


def delete_options(query: Mapping[str, str], body: Object) -> DeleteOptions:
    """Parse the query and the body, which takes precedence. Raises StatusError (400, 422)."""
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
        raise invalid_options("DeleteOptions", causes)
    return DeleteOptions(
        dry_run=bool(dry_run),
        uid=str(preconditions.get("uid") or ""),
        version=str(preconditions.get("resourceVersion") or ""),
    )
