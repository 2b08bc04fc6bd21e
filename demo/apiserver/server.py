"""The embedded API server as one async context manager."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from random import Random, SystemRandom
from typing import Any, Self

import msgspec

from demo.apiserver.access import Access, User
from demo.apiserver.api import Api, Verbs
from demo.apiserver.credentials import Kubeconfig, issue_identity
from demo.apiserver.documents import Object, as_object
from demo.apiserver.errors import no_such_resource
from demo.apiserver.faults import Faults
from demo.apiserver.http import HttpServer
from demo.apiserver.logs import Logs
from demo.apiserver.registry import Lifecycle, Registry
from demo.apiserver.requests import Call, write_options
from demo.apiserver.resources import Resources
from demo.apiserver.store import History, Versions
from demo.apiserver.strategy import Strategy

ADMIN = "zen-streams-admin"
MANAGER = "zen-streams-apiserver"
NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
_TOKEN_BYTES = 32


def _utc_now() -> datetime:
    return datetime.now(UTC)


class ApiServer:
    """A Kubernetes API server on one port of one host, running while entered; all state is in memory.

    `users` have access beside the administrator, whose token is random; each resource has a
    `history` of its own. Everything runs on the loop that enters it.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        users: Iterable[User] = (),
        now: Callable[[], datetime] = _utc_now,
        chance: Random | None = None,
        history: Callable[[], History] = History,
    ) -> None:
        self.host = host
        self.port = port
        self.token = secrets.token_urlsafe(_TOKEN_BYTES)
        self.ca_pem = ""
        self.faults = Faults()
        self._now = now
        chance = chance or SystemRandom()
        self._resources = Resources(Versions(), history=history)
        self._logs = Logs(now)
        self._strategy = Strategy(now=now, chance=chance)
        self._registry = Registry(self._strategy, Lifecycle(self._resources, self._logs, now=now))
        self._verbs = Verbs(self._resources, self._registry, self._logs, now=now, chance=chance)
        admin = User(ADMIN, self.token, rules=None, groups=("system:masters",))
        self._users = Access([admin, *users])
        self._http: HttpServer | None = None
        for name in NAMESPACES:
            self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    async def __aenter__(self) -> Self:
        made = issue_identity(self.host, now=self._now())
        self.ca_pem = made.ca_pem
        api = Api(
            self._resources, self._verbs, self._users, address=lambda: f"{self.host}:{self.port}"
        )
        self._http = HttpServer(api, self.faults, audit_id=self._strategy.uid)
        self.port = await self._http.listen(self.host, self.port, tls=made.tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        for store in self._resources.stores():
            store.close()
        self._logs.close()
        if self._http is not None:
            await self._http.close()

    @property
    def url(self) -> str:
        """The URL of the server."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"https://{host}:{self.port}"

    @property
    def kubeconfig(self) -> Kubeconfig:
        """The administrator's kubeconfig."""
        return Kubeconfig(self.url, self.ca_pem, self.token)

    def write_kubeconfig(self, path: Path) -> Path:
        """Write the administrator's kubeconfig; returns the path. Raises KubeconfigError and OSError."""
        self.kubeconfig.write(path)
        return path

    def create(self, obj: Mapping[str, Any]) -> Object:
        """Create an object as a client does, and return its stored form. Raises StatusError."""
        metadata = as_object(obj.get("metadata")) or {}
        api_version, kind = str(obj.get("apiVersion", "")), str(obj.get("kind", ""))
        resource = self._resources.by_kind(api_version, kind)
        if resource is None:
            raise no_such_resource()
        namespace = str(metadata.get("namespace", "default")) if resource.served.namespaced else ""
        call = Call("create", resource, namespace, "", "", {}, MANAGER)
        options = write_options({}, "CreateOptions", manager=MANAGER)
        written = self._registry.create(call, dict(obj), options, written=b"")
        return msgspec.json.decode(written.body, type=dict[str, Any])

    def write_log(self, namespace: str, pod: str, container: str, text: str) -> None:
        """Append a line to a container's log. Raises LookupError if the pod does not exist."""
        entry = self._resources.built_in("", "pods").store.get(f"{namespace}/{pod}")
        if entry is None:
            raise LookupError(f"there is no pod {namespace}/{pod}")
        self._logs.write(entry.uid, container, text)

    def forget_history(self) -> None:
        """Compact all history: older watches and continue tokens get 410."""
        for store in self._resources.stores():
            store.forget_history()
