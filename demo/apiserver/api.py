"""One request, from its headers to its answer: who asks, where it leads, whether it is allowed, what it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from demo.apiserver import access, calls, discovery, openapi
from demo.apiserver.access import Access, User
from demo.apiserver.answers import NoSuchPathError, method_not_allowed
from demo.apiserver.documents import Object
from demo.apiserver.negotiation import form
from demo.apiserver.replies import Reply, Stream, json_reply, text_reply
from demo.apiserver.resources import Resources
from demo.apiserver.verbs import Sent, Verbs

_HEALTH = {"livez", "readyz", "healthz"}
_PATH_VERBS = {"GET": "get", "HEAD": "get", "POST": "post", "PUT": "put", "DELETE": "delete"}
_MANAGER_CHARACTERS = 128


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came, but for its body."""

    method: str
    target: str
    headers: Mapping[str, str]
    """Read without regard to case."""


class Api:
    """The whole of the server behind its socket."""

    def __init__(
        self, resources: Resources, verbs: Verbs, users: Access, *, address: Callable[[], str]
    ) -> None:
        self._resources = resources
        self._verbs = verbs
        self._users = users
        self._address = address

    def user(self, request: Request) -> User:
        """Whose request it is; raises RefusedError (401)."""
        return self._users.user(request.headers.get("Authorization", ""))

    def answer(self, request: Request, body: bytes, *, user: User) -> Reply | Stream:
        """Answer it; raises RefusedError, and NoSuchPathError where there is nothing."""
        path, query = calls.split(request.target)
        at = calls.place(path)
        if at is None:
            return self._path(request, path, user)
        verb = calls.verb(request.method, at, query)
        access.check(user, at, verb=verb)
        manager = request.headers.get("User-Agent", "").partition("/")[0][:_MANAGER_CHARACTERS]
        call = calls.resolved(
            at, verb=verb, resources=self._resources, query=query, manager=manager or "unknown"
        )
        sent = Sent(
            body, request.headers.get("Content-Type", ""), request.headers.get("Accept", "")
        )
        return self._verbs.answer(call, sent, user)

    def _path(self, request: Request, path: str, user: User) -> Reply:
        """What is no resource."""
        verb = _PATH_VERBS.get(request.method, "")
        access.check_path(user, path, verb=verb or request.method.lower())
        parts = [part for part in path.split("/") if part]
        if parts == ["debug", "forget-history"]:
            if verb != "post":
                raise method_not_allowed()
            self.forget_history()
            return json_reply({"resourceVersion": str(self._resources.versions.current)})
        if verb != "get" or not parts:
            raise NoSuchPathError
        if parts[0] in _HEALTH and len(parts) == 1:
            return text_reply("ok")
        if parts == ["version"]:
            return json_reply(discovery.VERSION)
        if parts[:2] == ["openapi", "v3"]:
            return self._openapi("/".join(parts[2:]))
        return self._discovery(parts, request.headers.get("Accept", ""))

    def forget_history(self) -> None:
        """Forget all history: watches and continue tokens from before are told 410."""
        for store in self._resources.stores():
            store.forget_history()

    def _discovery(self, parts: list[str], accept: str) -> Reply:
        if parts in (["api"], ["apis"]) and discovery.wants_aggregated(accept):
            whole = discovery.aggregated(self._resources, core=parts == ["api"])
            return json_reply(whole, content_type=discovery.AGGREGATED)
        form(accept, transforms=False)
        found = self._found(parts)
        if found is None:
            raise NoSuchPathError
        return json_reply(found)

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

    def _openapi(self, name: str) -> Reply:
        """The index, or the document of one group and version: `api/v1`, `apis/G/V`."""
        served = [one.served for one in self._resources]
        if not name:
            versions = dict.fromkeys(one.api_version for one in served)
            return json_reply(openapi.index(list(versions)))
        api_version = name.removeprefix("apis/").removeprefix("api/")
        found = [one for one in served if one.api_version == api_version]
        if not found:
            raise NoSuchPathError
        return json_reply(openapi.document(found))


def not_there() -> Reply:
    """Where no path leads."""
    return text_reply("404 page not found\n", code=HTTPStatus.NOT_FOUND)
