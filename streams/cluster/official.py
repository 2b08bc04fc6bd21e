"""The parts of the official client in use here, with the types its sources leave out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

from kubernetes.client import Configuration
from kubernetes.config.exec_provider import ExecProvider
from kubernetes.config.incluster_config import InClusterConfigLoader
from kubernetes.config.kube_config import ConfigNode, KubeConfigLoader, KubeConfigMerger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime


class Merger(Protocol):
    """Several kubeconfigs read as one."""

    config: object | None
    config_files: dict[str, Any]
    save_changes: Callable[[], None]


class Loader(Protocol):
    """Puts what it found out into a configuration."""

    load_and_set: Callable[[Configuration], None]


class Plugin(Protocol):
    """A credential plugin, ready to be run."""

    run: Callable[[], object]


def merger(paths: str) -> Merger:
    """Read kubeconfigs, separated as in KUBECONFIG."""
    return cast("Merger", KubeConfigMerger(paths))


def kubeconfig_loader(
    document: dict[str, Any], *, directory: str, persist: Callable[[], None]
) -> Loader:
    """Make a loader that writes certificates and keys into a directory."""
    return cast(
        "Loader",
        KubeConfigLoader(document, config_persister=persist, temp_file_path=directory),
    )


def service_account_loader(token: str, authority: str, *, environ: Mapping[str, str]) -> Loader:
    """Make a loader of a pod's service account, which leaves renewal to us."""
    return cast(
        "Loader",
        InClusterConfigLoader(token, authority, try_refresh_token=False, environ=environ),
    )


def plugin_answer(spec: dict[str, Any], *, directory: str, cluster: dict[str, Any]) -> object:
    """Run a credential plugin, and return the status of the ExecCredential it printed."""
    provider = ExecProvider(ConfigNode("exec", spec), directory, ConfigNode("cluster", cluster))
    return cast("Plugin", provider).run()


def expiry(loader: Loader) -> datetime | None:
    """When the token expires that a loader got from an ``auth-provider``."""
    return getattr(loader, "expiry", None)
