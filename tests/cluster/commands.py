"""How the parts of a cluster are started: their command lines, and the files these name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster.keys import self_signed, signing_key
from tests.cluster.parts import KWOK_STAGES

if TYPE_CHECKING:
    from collections.abc import Mapping

TOKENS = {"admin": "admintoken", "viewer": "viewertoken", "streams": "streamstoken"}
"""The token of each user. `admin` may do everything; the others nothing until a test says so."""

AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
"""


@dataclass(frozen=True, slots=True)
class Ports:
    """The loopback ports of one cluster."""

    server: int
    etcd: int
    peer: int


def prepare(folder: Path) -> None:
    """Write keys, tokens and the audit policy into the folder of a new cluster."""
    folder.mkdir(parents=True, exist_ok=True)
    self_signed(folder, "apiserver")
    signing_key(folder, "accounts")
    groups = {"admin": "system:masters"}
    rows = [f'{token},{user},{user}-uid,"{groups.get(user, "")}"' for user, token in TOKENS.items()]
    (folder / "tokens.csv").write_text("\n".join([*rows, ""]))
    (folder / "audit-policy.yaml").write_text(AUDIT_POLICY)


def etcd(programs: Mapping[str, Path], folder: Path, ports: Ports) -> list[str]:
    """An etcd that keeps its data in the folder; it survives its own death, not the machine's."""
    clients = f"http://127.0.0.1:{ports.etcd}"
    return [
        str(programs["etcd"]),
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={clients}",
        f"--advertise-client-urls={clients}",
        f"--listen-peer-urls=http://127.0.0.1:{ports.peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def apiserver(
    programs: Mapping[str, Path], folder: Path, ports: Ports, *, accounts: bool
) -> list[str]:
    """A kube-apiserver as a cluster has it, with every request in its audit log.

    With `accounts` a pod gets its service account's token, and is refused where nobody makes these.
    """
    return [
        str(programs["kube-apiserver"]),
        f"--etcd-servers=http://127.0.0.1:{ports.etcd}",
        f"--secure-port={ports.server}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--tls-cert-file={folder / 'apiserver.crt'}",
        f"--tls-private-key-file={folder / 'apiserver.key'}",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        "--anonymous-auth=false",
        "--service-cluster-ip-range=10.0.0.0/24",
        *([] if accounts else ["--disable-admission-plugins=ServiceAccount"]),
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={folder / 'accounts.pub'}",
        f"--service-account-signing-key-file={folder / 'accounts.key'}",
        "--endpoint-reconciler-type=none",
        f"--audit-policy-file={folder / 'audit-policy.yaml'}",
        f"--audit-log-path={folder / 'audit.log'}",
        "--audit-log-mode=blocking",
        "--audit-log-maxsize=0",
    ]


@dataclass(frozen=True, slots=True)
class ControllerPorts:
    """The loopback ports of what makes a cluster whole."""

    manager: int
    scheduler: int
    kubelet: int


def controllers(
    programs: Mapping[str, Path], folder: Path, ports: ControllerPorts, *, kubeconfig: Path
) -> dict[str, list[str]]:
    """A controller manager, a scheduler, and kubelets that fake their pods, by name.

    Expects what `prepare` wrote in the folder, and `kubelet.crt` and `kubelet.key`.
    """
    ways_in = [
        f"--{prefix}kubeconfig={kubeconfig}" for prefix in ("", "authentication-", "authorization-")
    ]
    shared = [*ways_in, "--bind-address=127.0.0.1", "--leader-elect=false"]
    kubelet = f"127.0.0.1:{ports.kubelet}"
    stages = [programs["kwok"].with_name(Path(stage).name) for stage in KWOK_STAGES]
    return {
        "kube-controller-manager": [
            str(programs["kube-controller-manager"]),
            *shared,
            f"--secure-port={ports.manager}",
            f"--service-account-private-key-file={folder / 'accounts.key'}",
            f"--root-ca-file={folder / 'apiserver.crt'}",
        ],
        "kube-scheduler": [
            str(programs["kube-scheduler"]),
            *shared,
            f"--secure-port={ports.scheduler}",
        ],
        "kwok": [
            str(programs["kwok"]),
            f"--kubeconfig={kubeconfig}",
            "--manage-all-nodes",
            "--node-ip=127.0.0.1",
            f"--node-port={ports.kubelet}",
            f"--server-address={kubelet}",
            f"--tls-cert-file={folder / 'kubelet.crt'}",
            f"--tls-private-key-file={folder / 'kubelet.key'}",
            *(f"--config={stage}" for stage in stages),
        ],
    }
