"""The embedded API server as one thing: made, entered, used, left."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from random import Random, SystemRandom
from typing import Any, Self

import msgspec

from demo.apiserver import kubeconfig
from demo.apiserver.access import Access, User
from demo.apiserver.answers import no_such_resource
from demo.apiserver.api import Api
from demo.apiserver.calls import Call
from demo.apiserver.changes import Changes
from demo.apiserver.documents import Object, as_object
from demo.apiserver.faults import Faults
from demo.apiserver.history import History, Versions
from demo.apiserver.lifecycle import Lifecycle
from demo.apiserver.logs import Logs
from demo.apiserver.options import writing
from demo.apiserver.resources import Resources
from demo.apiserver.strategy import Strategy
from demo.apiserver.verbs import Verbs
from demo.apiserver.wire import Wire

ADMIN = "zen-streams-admin"
MANAGER = "zen-streams-apiserver"
NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
_TOKEN_BYTES = 32


class ExtraMissingError(RuntimeError):
    """The package that makes certificates is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "the embedded API server needs the package 'cryptography' for its certificates: "
            "install zen-streams[demo]"
        )


def _utc_now() -> datetime:
    return datetime.now(UTC)


class DevServer:
    """A Kubernetes API server on one port of one host, up while it is entered; everything is in memory.

    `users` may have rights beside the administrator, whose token is made at random; each resource has a
    `history` of its own. Everything runs on the loop that enters it. Raises ExtraMissingError without
    the extra `demo`.
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
        self._changes = Changes(self._strategy, Lifecycle(self._resources, self._logs, now=now))
        self._verbs = Verbs(self._resources, self._changes, self._logs, now=now, chance=chance)
        admin = User(ADMIN, self.token, rules=None, groups=("system:masters",))
        self._users = Access([admin, *users])
        self._wire: Wire | None = None
        for name in NAMESPACES:
            self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    async def __aenter__(self) -> Self:
        try:
            from demo.apiserver.certificates import identity  # noqa: PLC0415 - an optional extra
        except ImportError as error:
            raise ExtraMissingError from error
        made = identity(self.host, now=self._now())
        self.ca_pem = made.ca_pem
        api = Api(
            self._resources, self._verbs, self._users, address=lambda: f"{self.host}:{self.port}"
        )
        self._wire = Wire(api, self.faults, audit_id=self._strategy.uid)
        self.port = await self._wire.listen(self.host, self.port, tls=made.tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        for store in self._resources.stores():
            store.close()
        self._logs.close()
        if self._wire is not None:
            await self._wire.close()

    @property
    def url(self) -> str:
        """The address of the server."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"https://{host}:{self.port}"

    def write_kubeconfig(self, path: Path) -> Path:
        """Write the administrator's kubeconfig, for its owner's eyes only; returns the path."""
        text = kubeconfig.written(url=self.url, ca_pem=self.ca_pem, token=self.token)
        kubeconfig.write(path, text)
        return path

    def create(self, obj: Mapping[str, Any]) -> Object:
        """Create an object as a client would; returns it as it is stored; raises RefusedError."""
        metadata = as_object(obj.get("metadata")) or {}
        api_version, kind = str(obj.get("apiVersion", "")), str(obj.get("kind", ""))
        resource = self._resources.by_kind(api_version, kind)
        if resource is None:
            raise no_such_resource()
        namespace = str(metadata.get("namespace", "default")) if resource.served.namespaced else ""
        call = Call("create", resource, namespace, "", "", {}, MANAGER)
        options = writing({}, "CreateOptions", manager=MANAGER)
        written = self._changes.create(call, dict(obj), options, written=b"")
        return msgspec.json.decode(written.body, type=dict[str, Any])

    def write_log(self, namespace: str, pod: str, container: str, text: str) -> None:
        """Let a container of a pod say a line; raises LookupError where there is no such pod."""
        entry = self._resources.built_in("", "pods").store.get(f"{namespace}/{pod}")
        if entry is None:
            raise LookupError(f"there is no pod {namespace}/{pod}")
        self._logs.write(entry.uid, container, text)

    def forget_history(self) -> None:
        """Forget all history: watches and continue tokens from before are told 410."""
        for store in self._resources.stores():
            store.forget_history()
