"""Credentials of requests: what they are, and how the official client, a plugin and the TLS settings give them.

The official client's functions have no types; they are wrapped here once, with the types that hold.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, Protocol, TypeVar, cast

import msgspec
from kubernetes.client import Configuration
from kubernetes.config.config_exception import ConfigException
from kubernetes.config.exec_provider import ExecProvider
from kubernetes.config.incluster_config import SERVICE_TOKEN_FILENAME, InClusterConfigLoader
from kubernetes.config.kube_config import ConfigNode, KubeConfigLoader, KubeConfigMerger

from operators.model.content import redacted_text
from operators.model.text import one_line
from streams.cluster.errors import ConfigurationError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

SERVICE_ACCOUNT_DIRECTORY = Path(SERVICE_TOKEN_FILENAME).parent
PLUGIN_MESSAGE_CHARACTERS = 300

FileStamp = tuple[int, int, int] | None
"""Inode, modification time and size; None where there is no such file."""


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Credentials:
    """Headers and TLS for requests to one server; replaced as a whole, never changed.

    It has no repr, so that no log line and no assertion can print it.
    """

    headers: tuple[tuple[str, str], ...] = ()
    tls: ssl.SSLContext | None = None
    """None for a server without TLS, which is never sent a credential (as kubectl does)."""
    server_hostname: str | None = None
    """The name the server's certificate must bear, where it is not the host of the address."""
    proxy: str | None = None
    expires_at: datetime | None = None


class CredentialSource(Protocol):
    """Where the address and the credentials of a cluster come from."""

    @property
    def server(self) -> str:
        """The address of the API server, without a slash at its end."""
        ...

    @property
    def namespace(self) -> str:
        """The namespace of requests that name none."""
        ...

    @property
    def files(self) -> tuple[Path, ...]:
        """The files whose change means that the credentials have to be loaded again."""
        ...

    def load(self) -> Credentials:
        """Read or fetch the credentials; this may block. Raises ``ClusterError``."""
        ...


def bearer(configuration: Configuration) -> tuple[tuple[str, str], ...]:
    """Return the header that carries the token, if there is one.

    Raises ``ConfigurationError`` for a token that would break out of its header.
    """
    scheme, _, token = configuration.api_key.get("BearerToken", "").partition(" ")
    token = token.strip()
    if not (token.isascii() and token.isprintable()):
        raise ConfigurationError("the token holds characters that no header can carry")
    return (("Authorization", f"{scheme.title()} {token}"),) if token else ()


def tls_context(configuration: Configuration) -> ssl.SSLContext:
    """Build the TLS context of the configuration; without a CA the system's are trusted.

    Raises ``ConfigurationError`` where a certificate or a key cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the certificate authority cannot be used: {error}") from error
    # Python 3.13 became strict about extensions that the CAs of many clusters do not carry.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if configuration.cert_file:
        try:
            context.load_cert_chain(
                configuration.cert_file, configuration.key_file, password=_refuse_passphrase
            )
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"the client certificate or its key cannot be used: {error}"
            ) from error
    return context


def _refuse_passphrase() -> NoReturn:
    """Raise instead of a prompt: OpenSSL would read the passphrase from the terminal, and block the process."""
    raise ConfigurationError(
        "the client key is encrypted: its passphrase cannot be entered; use a key without one"
    )


def file_stamps(files: tuple[Path, ...]) -> tuple[FileStamp, ...]:
    """Return what differs once a file was replaced; with the inode, because volumes swap symbolic links."""
    return tuple(_file_stamp(path) for path in files)


def _file_stamp(path: Path) -> FileStamp:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


async def in_thread(call: Callable[[], T], *, timeout_seconds: float) -> T:
    """Run a blocking call in a thread of its own; raises ``TimeoutError`` when it takes too long.

    Not ``asyncio.to_thread``: closing the loop or the interpreter waits for the threads of an executor, and a
    credential plugin that hangs would hang the shutdown with it.
    """
    result: Future[T] = Future()

    def run() -> None:
        # Otherwise a cancelled wait would cancel the future, and setting its result would raise in this thread.
        result.set_running_or_notify_cancel()
        try:
            value = call()
        except BaseException as error:  # noqa: BLE001  it is raised where the result is awaited
            result.set_exception(error)
        else:
            result.set_result(value)

    Thread(target=run, name="credentials", daemon=True).start()
    async with asyncio.timeout(timeout_seconds):
        return await asyncio.wrap_future(result)


# --- credential plugins ---


class _Given(msgspec.Struct, rename="camel"):
    token: str | None = None
    client_certificate_data: str | None = None
    client_key_data: str | None = None
    expiration_timestamp: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class _Plugin(Protocol):
    run: Callable[[], object]


def run_plugin(
    spec: dict[str, Any], user: dict[str, Any], *, directory: str, cluster: dict[str, Any]
) -> datetime | None:
    """Run the program of a user's ``exec``, put the credential it printed into ``user``, return when that expires.

    Blocks until the program ends. Raises ``ConfigurationError`` if it cannot be started, and ``UnreachableError`` if
    it gave no credential: in most cases it could not reach its own server.
    """
    command = str(spec.get("command"))
    try:
        given = msgspec.convert(_plugin_status(spec, directory, cluster), _Given)
    except OSError as error:
        hint = f"; {spec['installHint']}" if spec.get("installHint") else ""
        raise ConfigurationError(
            f"the credential plugin {command!r} cannot be started: {error.strerror}{hint}"
        ) from error
    except (ConfigException, msgspec.ValidationError) as error:
        text = redacted_text(one_line(str(error)))[:PLUGIN_MESSAGE_CHARACTERS]
        raise UnreachableError(f"the credential plugin {command!r} failed: {text}") from None
    if given.token:
        user["token"] = given.token
    if given.client_certificate_data and given.client_key_data:
        user["client-certificate-data"] = _base64(given.client_certificate_data)
        user["client-key-data"] = _base64(given.client_key_data)
    elif not given.token:
        raise UnreachableError(f"the credential plugin {command!r} gave no credential")
    return given.expiration_timestamp


def _plugin_status(spec: dict[str, Any], directory: str, cluster: dict[str, Any]) -> object:
    """Run a plugin; return the status of the ExecCredential it printed."""
    provider = ExecProvider(ConfigNode("exec", spec), directory, ConfigNode("cluster", cluster))
    return cast("_Plugin", provider).run()


def _base64(pem: str) -> str:
    return base64.b64encode(pem.encode()).decode()


# --- the official client's loaders, typed ---


class Merger(Protocol):
    """Several kubeconfigs read as one."""

    config: object | None
    config_files: dict[str, Any]
    save_changes: Callable[[], None]


class Loader(Protocol):
    """Writes what it loaded into a configuration."""

    load_and_set: Callable[[Configuration], None]


def kubeconfig_merger(paths: str) -> Merger:
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
    """Make a loader of a pod's service account that does not renew the token: ``Access`` does."""
    return cast(
        "Loader",
        InClusterConfigLoader(token, authority, try_refresh_token=False, environ=environ),
    )


def token_expiry(loader: Loader) -> datetime | None:
    """Return when the token expires that a loader got from an ``auth-provider``."""
    return getattr(loader, "expiry", None)
