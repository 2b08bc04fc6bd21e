"""One request, from its headers to its response: authentication, routing, authorization, verb."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from random import Random

import msgspec

from demo.apiserver import (
    access,
    discovery,
    listwatch,
    logs,
    patches,
    protobuf,
    requests,
    responses,
)
from demo.apiserver.access import Access, User
from demo.apiserver.bodies import read_object
from demo.apiserver.documents import Object, ServedResource
from demo.apiserver.errors import (
    NoSuchPathError,
    bad_request,
    method_not_allowed,
    not_acceptable,
    not_found,
    too_new,
)
from demo.apiserver.listwatch import ListPage
from demo.apiserver.logs import Logs
from demo.apiserver.registry import Registry, WriteResult
from demo.apiserver.requests import Call, delete_options, read_options, write_options
from demo.apiserver.resources import Resources
from demo.apiserver.responses import (
    PLAIN,
    TEXT,
    Response,
    StreamResponse,
    accepted_types,
    json_response,
    negotiate,
    text_response,
)
from demo.apiserver.store import Entry
from demo.apiserver.strategy import timestamp


@dataclass(frozen=True, slots=True)
class Payload:
    """The body and the headers about it."""

    body: bytes
    content_type: str
    accept: str


class Verbs:
    """The verbs: each takes a call and its payload."""

    def __init__(
        self,
        resources: Resources,
        registry: Registry,
        pod_logs: Logs,
        *,
        now: Callable[[], datetime],
        chance: Random,
    ) -> None:
        self._resources = resources
        self._registry = registry
        self._logs = pod_logs
        self._now = now
        self._chance = chance

    def respond(self, call: Call, payload: Payload, user: User) -> Response | StreamResponse:
        """Execute the call. Raises StatusError."""
        match call.verb:
            case "get":
                return self._get(call, payload)
            case "list":
                page = listwatch.list_page(call, current=self._resources.versions.current)
                return responses.list_response(
                    call, page, negotiate(payload.accept), now=self._stamp()
                )
            case "watch":
                return self._watch(call, payload)
            case "create":
                return self._create(call, payload, user)
            case "update" | "patch":
                return self._change(call, payload)
            case _:
                return self._delete(call, payload)

    def _get(self, call: Call, payload: Payload) -> Response | StreamResponse:
        version = call.query.get("resourceVersion", "")
        current = self._resources.versions.current
        if version.isdecimal() and int(version) > current:
            raise too_new(int(version), current)
        entry = call.resource.store.get(call.key)
        if entry is None:
            raise not_found(call.resource.served, call.name)
        if call.subresource == "log":
            return self._log(call, entry)
        return responses.object_response(call, entry, negotiate(payload.accept), now=self._stamp())

    def _stamp(self) -> str:
        """Return the time that ages in tables are computed from."""
        return timestamp(self._now())

    def _log(self, call: Call, entry: Entry) -> Response | StreamResponse:
        options = logs.log_options(call.query, call.resource.object(entry), now=self._now())
        log = self._logs.log(entry.uid, options.container)
        return StreamResponse(logs.chunks(log, options), TEXT)

    def _watch(self, call: Call, payload: Payload) -> StreamResponse:
        line = responses.watch_line_encoder(call, negotiate(payload.accept), now=self._stamp)
        opened, options = listwatch.open_watch(call, versions=self._resources.versions, line=line)
        return StreamResponse(opened.chunks(seconds=listwatch.watch_seconds(options, self._chance)))

    def _create(self, call: Call, payload: Payload, user: User) -> Response:
        options = write_options(call.query, "CreateOptions", manager=call.manager)
        given = read_object(payload.body, payload.content_type, call.resource)
        if call.resource.served.kind == access.REVIEW_KIND:
            return json_response(access.review_access(given, user), code=HTTPStatus.CREATED)
        return _write_response(
            self._registry.create(call, given, options, written=payload.body), payload
        )

    def _change(self, call: Call, payload: Payload) -> Response:
        if call.verb == "update":
            options = write_options(call.query, "UpdateOptions", manager=call.manager)
            given = read_object(payload.body, payload.content_type, call.resource)
            return _write_response(
                self._registry.update(call, given, options, written=payload.body), payload
            )
        patch = patches.read_patch(payload.body, payload.content_type, call)
        options = write_options(
            call.query, "PatchOptions", manager=call.manager, apply=patch.creates
        )
        return _write_response(self._registry.patch(call, patch, options), payload)

    def _delete(self, call: Call, payload: Payload) -> Response:
        options = delete_options(call.query, _read_delete_options(payload))
        if call.verb == "delete":
            return _write_response(self._registry.delete(call, options), payload)
        selected = listwatch.selector_of(call, read_options(call.query, watch=False))
        deleted = self._registry.delete_collection(call, selected, options)
        page = ListPage(deleted, self._resources.versions.current)
        return responses.list_response(call, page, negotiate(payload.accept), now=self._stamp())


def _write_response(written: WriteResult, payload: Payload) -> Response:
    negotiated = negotiate(payload.accept)
    reply = Response(written.body, written.code, warnings=written.warnings)
    return responses.in_yaml(reply, negotiated if negotiated.yaml else PLAIN)


def _read_delete_options(payload: Payload) -> Object:
    if not payload.body.strip():
        return {}
    try:
        return msgspec.json.decode(payload.body, type=dict[str, object])
    except msgspec.DecodeError as error:
        raise bad_request(f"could not read the options of the delete: {error}") from None


_HEALTH = {"livez", "readyz", "healthz"}
_PATH_VERBS = {"GET": "get", "HEAD": "get", "POST": "post", "PUT": "put", "DELETE": "delete"}
_MANAGER_CHARACTERS = 128
_OPENAPI_V2_PROTOBUF = {
    protobuf.OPENAPI_V2_MEDIA_TYPE,
    protobuf.OPENAPI_V2_MEDIA_TYPE.replace("v2.v1", "v2@v1"),  # what clients send
}


@dataclass(frozen=True, slots=True)
class Request:
    """A request without its body."""

    method: str
    target: str
    headers: Mapping[str, str]
    """Case-insensitive."""


class Api:
    """The server behind its socket."""

    def __init__(
        self, resources: Resources, verbs: Verbs, users: Access, *, address: Callable[[], str]
    ) -> None:
        self._resources = resources
        self._verbs = verbs
        self._users = users
        self._address = address

    def user(self, request: Request) -> User:
        """Authenticate a request. Raises StatusError (401)."""
        return self._users.user(request.headers.get("Authorization", ""))

    def respond(self, request: Request, body: bytes, *, user: User) -> Response | StreamResponse:
        """Serve a request. Raises StatusError, and NoSuchPathError for an unknown path."""
        path, query = requests.split_target(request.target)
        at = requests.parse_path(path)
        if at is None:
            return self._path(request, path, user)
        verb = requests.verb_of(request.method, at, query)
        access.authorize(user, at, verb=verb)
        manager = request.headers.get("User-Agent", "").partition("/")[0][:_MANAGER_CHARACTERS]
        call = requests.resolve(
            at, verb=verb, resources=self._resources, query=query, manager=manager or "unknown"
        )
        payload = Payload(
            body, request.headers.get("Content-Type", ""), request.headers.get("Accept", "")
        )
        return self._verbs.respond(call, payload, user)

    def _path(self, request: Request, path: str, user: User) -> Response:
        """Serve a non-resource path."""
        verb = _PATH_VERBS.get(request.method, "")
        access.authorize_path(user, path, verb=verb or request.method.lower())
        parts = [part for part in path.split("/") if part]
        if parts == ["debug", "forget-history"]:
            if verb != "post":
                raise method_not_allowed()
            self.forget_history()
            return json_response({"resourceVersion": str(self._resources.versions.current)})
        if verb != "get" or not parts:
            raise NoSuchPathError
        if parts[0] in _HEALTH and len(parts) == 1:
            return text_response("ok")
        if parts == ["version"]:
            return json_response(discovery.VERSION)
        accept = request.headers.get("Accept", "")
        if parts[0] == "openapi":
            return self._openapi(parts[1:], accept)
        return self._discovery(parts, accept)

    def forget_history(self) -> None:
        """Compact all history: older watches and continue tokens get 410."""
        for store in self._resources.stores():
            store.forget_history()

    def _discovery(self, parts: list[str], accept: str) -> Response:
        if parts in (["api"], ["apis"]) and discovery.wants_aggregated(accept):
            whole = discovery.aggregated(self._resources, core=parts == ["api"])
            return json_response(whole, content_type=discovery.AGGREGATED)
        negotiate(accept, transforms=False)
        found = self._found(parts)
        if found is None:
            raise NoSuchPathError
        return json_response(found)

    def _found(self, parts: list[str]) -> Object | None:
        match parts:
            case ["api"]:
                return discovery.core_versions(self._address())
            case ["apis"]:
                return discovery.groups(self._resources)
            case ["api", version]:
                return discovery.version(self._resources, "", version)
            case ["apis", group]:
                return discovery.group(self._resources, group)
            case ["apis", group, version]:
                return discovery.version(self._resources, group, version)
            case _:
                return None

    def _openapi(self, parts: list[str], accept: str) -> Response:
        served = [one.served for one in self._resources]
        if parts == ["v2"]:
            return _openapi_v2(served, accept)
        if parts[:1] != ["v3"]:
            raise NoSuchPathError
        return _openapi_v3(served, "/".join(parts[1:]))


def _openapi_v2(served: list[ServedResource], accept: str) -> Response:
    """Respond with the swagger 2.0 document, as JSON or as the protobuf that kubectl requests."""
    for media_type, _ in accepted_types(accept or "*/*"):
        if media_type in _OPENAPI_V2_PROTOBUF:
            # kubectl compares objects with what it finds, and built-in kinds have no schema here: it skips a kind that
            # is not in the document, and refuses every field of one that has no properties.
            document = discovery.openapi_v2_document([it for it in served if it.schema is not None])
            written = protobuf.encode_openapi_v2(document)
            return Response(written, content_type=protobuf.OPENAPI_V2_MEDIA_TYPE)
        if media_type in {"application/json", "application/*", "*/*"}:
            return json_response(discovery.openapi_v2_document(served))
    raise not_acceptable(("application/json", protobuf.OPENAPI_V2_MEDIA_TYPE))


def _openapi_v3(served: list[ServedResource], name: str) -> Response:
    """Respond with the index, or the document of one group and version: `api/v1`, `apis/G/V`."""
    if not name:
        versions = dict.fromkeys(one.api_version for one in served)
        return json_response(discovery.openapi_v3_index(list(versions)))
    api_version = name.removeprefix("apis/").removeprefix("api/")
    found = [one for one in served if one.api_version == api_version]
    if not found:
        raise NoSuchPathError
    return json_response(discovery.openapi_v3_document(found))


def path_not_found() -> Response:
    """Build the response for an unknown path."""
    return text_response("404 page not found\n", code=HTTPStatus.NOT_FOUND)
