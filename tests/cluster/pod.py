"""A pod that a kubelet would start, started by hand: its own command, environment, files and identity."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tests.cluster.product import Product
from tests.cluster.sandbox import Sandbox
from tests.kit.shipped import TOP, image, lay_out

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.cluster.cluster import Cluster

ACCOUNT_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"
SYSTEM_PATH = "/usr/bin:/bin"


def built(folder: Path) -> Path:
    """The image's /app in `folder`: the product's files, and an environment of what it pins alone."""
    app = lay_out(folder / "app")
    uv = Path(sys.executable).with_name("uv")
    python = f"{sys.base_prefix}/bin/python3"
    pinned = [*("pip", "sync", "--quiet", "--require-hashes"), str(TOP / "requirements.txt")]
    subprocess.run([uv, "venv", "--quiet", "--python", python, app / "venv"], check=True)
    subprocess.run([uv, *pinned, "--python", app / "venv/bin/python"], check=True)
    return app


class ContainedProduct(Product):
    """The one container of a pod, on this machine.

    Its ConfigMaps and its service account's token are those of the cluster. Only the addresses are
    others: where it listens is on loopback, and so is the `collector` of its traces; without one it
    sends none. `documents` is a folder of other Ingesters.
    """

    def __init__(
        self,
        folder: Path,
        *,
        app: Path,
        cluster: Cluster,
        pod: Mapping[str, Any],
        documents: Path | None = None,
        collector: str = "",
    ) -> None:
        super().__init__(folder, (), kubeconfig=cluster.kubeconfig)
        (self._container,) = pod["spec"]["containers"]
        self._pod = pod
        self._cluster = cluster
        self._collector = collector
        mounts = self._mounts(folder)
        if documents is not None:
            (place,) = (place for place in mounts if place != ACCOUNT_FOLDER)
            mounts[place] = documents
        context = pod["spec"]["securityContext"]
        root = folder / "root"
        root.mkdir()
        user = f"{context['runAsUser']}:{context['runAsGroup']}"
        self.sandbox = Sandbox(root, user, {"/app": app, **mounts})

    def command(self) -> list[str]:
        """The container's command line inside the sandbox."""
        assert "command" not in self._container  # so the image's entry point is what runs
        arguments = [
            f"--listen={self.address}" if word.startswith("--listen=") else word
            for word in self._container["args"]
        ]
        words = [*image().entrypoint, *arguments]
        return self.sandbox.command(words, environment=self.environment())

    def environment(self) -> dict[str, str]:
        """What the image, the kubelet and the manifest set."""
        said = image().environment
        server, _, port = self._cluster.url.removeprefix("https://").partition(":")
        environment = said | {
            "PATH": said["PATH"].replace("$PATH", SYSTEM_PATH),
            "HOME": "/",
            "KUBERNETES_SERVICE_HOST": server,
            "KUBERNETES_SERVICE_PORT": port,
        }
        for one in self._container.get("env", ()):
            value = one["value"] if "value" in one else self._field(one["valueFrom"]["fieldRef"])
            environment[one["name"]] = re.sub(
                r"\$\((\w+)\)", lambda name: environment[name[1]], value
            )
        return environment | {"OTEL_EXPORTER_OTLP_ENDPOINT": self._collector}

    def _field(self, reference: Mapping[str, str]) -> str:
        return self._pod["metadata"][reference["fieldPath"].removeprefix("metadata.")]

    def _mounts(self, folder: Path) -> dict[str, Path]:
        volumes = {one["name"]: one for one in self._pod["spec"]["volumes"]}
        mounts: dict[str, Path] = {}
        for mount in self._container["volumeMounts"]:
            volume, here = volumes[mount["name"]], folder / "mounts" / mount["name"]
            here.mkdir(parents=True)
            for name, text in self._files(volume).items():
                (here / name).write_text(text)
            mounts[mount["mountPath"]] = here
        return mounts

    def _files(self, volume: Mapping[str, Any]) -> dict[str, str]:
        if "configMap" in volume:
            return self._config_map(volume["configMap"]["name"])
        files: dict[str, str] = {}
        for source in volume["projected"]["sources"]:
            if "serviceAccountToken" in source:
                files[source["serviceAccountToken"]["path"]] = self._token()
            elif "configMap" in source:
                of = self._config_map(source["configMap"]["name"])
                files |= {item["path"]: of[item["key"]] for item in source["configMap"]["items"]}
            else:
                for item in source["downwardAPI"]["items"]:
                    files[item["path"]] = self._field(item["fieldRef"])
        return files

    def _config_map(self, name: str) -> dict[str, str]:
        path = f"/api/v1/namespaces/{self._pod['metadata']['namespace']}/configmaps/{name}"
        return self._cluster.api().need("GET", path)["data"]

    def _token(self) -> str:
        namespace, account = self._pod["metadata"]["namespace"], self._pod["spec"]["serviceAccount"]
        return self._cluster.kubectl("create", "token", account, "--namespace", namespace).strip()


def newest_pod(cluster: Cluster, namespace: str, *, selector: str) -> dict[str, Any]:
    """The one pod that is not on its way out."""
    said = cluster.kubectl("get", "pods", "-n", namespace, "-l", selector, "-o", "json")
    (pod,) = [
        one
        for one in msgspec.json.decode(said)["items"]
        if "deletionTimestamp" not in one["metadata"]
    ]
    return pod
