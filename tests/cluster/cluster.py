"""A genuine Kubernetes on loopback: one etcd, one kube-apiserver, and what tests do to them."""

from __future__ import annotations

from http.client import HTTPException
from signal import Signals
from typing import TYPE_CHECKING, Any, Self

import msgspec

from tests.cluster import commands, namespaces
from tests.cluster.api import Answer, Api
from tests.cluster.commands import TOKENS, Ports
from tests.cluster.keys import write_kubeconfig
from tests.cluster.processes import Program, free_ports, run, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

READY_SECONDS = 60.0
"""Three seconds on an idle machine; a minute on one that also compiles."""

STARTS = 3
"""Another process can take a port between its choice and its use; not three times in a row."""


class PartFailedError(RuntimeError):
    """etcd or the API server ended, or was not ready in time; the message ends with its log."""


class Cluster:
    """One etcd and one kube-apiserver in a folder of their own: ready on entry, gone on exit.

    `programs` comes from `parts.ensure`. There are no controllers: no garbage collection, no
    service accounts, and a deleted namespace stays Terminating until `finalize_namespace`.
    `Controllers` makes it whole; then `accounts` gives pods the tokens of their service accounts.
    Everything blocks, and may be called from any thread; starting and stopping from one at a time.
    """

    def __init__(
        self, folder: Path, *, programs: Mapping[str, Path], accounts: bool = False
    ) -> None:
        self.folder = folder
        self._accounts = accounts
        self.audit_log = folder / "audit.log"
        self.apiserver_log = folder / "kube-apiserver.log"
        self.etcd_log = folder / "etcd.log"
        self.ca_file = folder / "apiserver.crt"
        self._programs = programs
        self._etcd: Program | None = None
        self._apiserver: Program | None = None
        self._ports = Ports(0, 0, 0)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The address of the API server, which it keeps over a restart."""
        return f"https://127.0.0.1:{self._ports.server}"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.kubeconfig_for("admin")

    def kubeconfig_for(self, user: str) -> Path:
        """The kubeconfig of `admin`, or of `viewer` or `streams`, who have no rights by default."""
        return self.folder / f"{user}.kubeconfig"

    def start(self) -> None:
        """Start both parts and wait until the API server is ready; raises PartFailedError."""
        commands.prepare(self.folder)
        for attempt in range(1, STARTS + 1):
            self._ports = Ports(*free_ports(3))
            try:
                self._start_etcd()
                self.start_apiserver()
                break
            except PartFailedError as failure:
                self.stop()
                if attempt == STARTS or "address already in use" not in str(failure):
                    raise

    def stop(self) -> None:
        """Kill both parts; the folder stays, with the logs."""
        for program in (self._apiserver, self._etcd):
            if program is not None:
                program.stop()

    def _start_etcd(self) -> None:
        self._etcd = Program(
            commands.etcd(self._programs, self.folder, self._ports), log=self.etcd_log
        )

    def start_apiserver(self) -> None:
        """Start the API server on its port and wait until it is ready; raises PartFailedError."""
        self._apiserver = Program(
            commands.apiserver(self._programs, self.folder, self._ports, accounts=self._accounts),
            log=self.apiserver_log,
        )
        for user, token in TOKENS.items():
            path = self.kubeconfig_for(user)
            write_kubeconfig(path, server=self.url, ca_file=self.ca_file, token=token, user=user)
        try:
            wait_until(self._ready, seconds=READY_SECONDS, what=f"{self.url}/readyz")
        except TimeoutError as failure:
            raise PartFailedError(f"{failure}\n{self._apiserver.tail()}") from failure

    def check(self) -> None:
        """Raise PartFailedError, with the end of its log, where a part does not run."""
        for program in (self._etcd, self._apiserver):
            if program is None or not program.running():
                log = "" if program is None else f"; {program.log} ends:\n{program.tail()}"
                raise PartFailedError(f"a part of the cluster does not run{log}")

    def _ready(self) -> bool:
        self.check()
        try:
            return all(
                self.request("GET", path, seconds=5).status == 200
                for path in ("/readyz", "/api/v1/namespaces/default")
            )
        except (OSError, HTTPException):
            return False

    def stop_apiserver(self, *, number: Signals = Signals.SIGTERM) -> None:
        """End the API server by the signal: SIGTERM closes watches in order, SIGKILL cuts them."""
        if self._apiserver is not None:
            self._apiserver.stop(number=number)

    def restart_apiserver(self, *, number: Signals = Signals.SIGTERM) -> None:
        """End the API server by the signal and start it again on its port, its watch cache empty.

        Custom resources may answer 429 "storage is (re)initializing" for a moment after it is
        ready, as they do on any cluster.
        """
        self.stop_apiserver(number=number)
        self.start_apiserver()

    def request(self, method: str, path: str, **how: Any) -> Answer:
        """As `Api.request`, the administrator's; another `token` makes it another's."""
        return self.api().request(method, path, **how)

    def api(self, user: str = "admin") -> Api:
        """The API as the user has it."""
        return Api(self.url, ca_file=self.ca_file, token=TOKENS[user])

    def kubectl(self, *arguments: str, input: str | None = None, user: str = "admin") -> str:  # noqa: A002 - named as in subprocess.run
        """What kubectl printed; raises CommandFailedError with what it said on stderr."""
        return run(
            [
                str(self._programs["kubectl"]),
                f"--kubeconfig={self.kubeconfig_for(user)}",
                f"--cache-dir={self.folder / 'kubectl-cache'}",
                *arguments,
            ],
            input=input,
            environment={"KUBERC": "off"},
        )

    def apply(self, *documents: Mapping[str, Any]) -> None:
        """Apply the documents on the server's side, and wait until their CRDs are established."""
        together = {"apiVersion": "v1", "kind": "List", "items": documents}
        written = msgspec.json.encode(together).decode()
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=written)
        for document in documents:
            if document["kind"] == "CustomResourceDefinition":
                name = f"crd/{document['metadata']['name']}"
                self.kubectl("wait", "--for=condition=Established", "--timeout=30s", name)

    @property
    def etcd_address(self) -> tuple[str, int]:
        """Where etcd serves its clients, over plain HTTP too."""
        return "127.0.0.1", self._ports.etcd

    def etcdctl(self, *arguments: str) -> str:
        """What etcdctl printed; raises CommandFailedError."""
        endpoint = f"--endpoints=127.0.0.1:{self._ports.etcd}"
        return run([str(self._programs["etcdctl"]), endpoint, *arguments])

    def compact(self) -> int:
        """Forget all history up to this moment; returns the newest revision.

        `events` have no watch cache: a watch or a continue token of theirs from before is answered by 410.
        Other kinds still answer both from their cache, until a restart.
        """
        for _ in range(2):  # etcd forgets a watch that starts before the compaction, not at it
            self.etcdctl("put", "/tests/compaction", "done")
        status = msgspec.json.decode(self.etcdctl("endpoint", "status", "--write-out=json"))
        revision = int(status[0]["Status"]["header"]["revision"])
        self.etcdctl("compact", str(revision))
        return revision

    def audit(self) -> Iterator[dict[str, Any]]:
        """The audit events so far, oldest first: the server's own record of every request.

        There is one when a request is answered (stage ResponseComplete), and for a watch one more
        when it begins (ResponseStarted). A line is written as its answer is, so the newest may be a
        moment behind the answer: `wait_audit` waits.
        """
        if self.audit_log.exists():
            with self.audit_log.open("rb") as lines:
                for line in lines:
                    if line.endswith(b"\n"):
                        yield msgspec.json.decode(line, type=dict[str, Any])

    def wait_audit(
        self, wanted: Callable[[dict[str, Any]], bool], *, seconds: float = 5.0
    ) -> dict[str, Any]:
        """The first audit event that is wanted, as soon as it is there; raises TimeoutError."""
        found: list[dict[str, Any]] = []

        def look() -> bool:
            found.extend(event for event in self.audit() if wanted(event))
            return bool(found)

        wait_until(look, seconds=seconds, what="the wanted audit event")
        return found[0]

    def set_quota(self, namespace: str, resource: str, *, hard: int, used: int = 0) -> None:
        """As `namespaces.set_quota`."""
        namespaces.set_quota(self.api(), namespace, resource, hard=hard, used=used)

    def finalize_namespace(self, name: str) -> None:
        """As `namespaces.finalize_namespace`."""
        namespaces.finalize_namespace(self.api(), name)
