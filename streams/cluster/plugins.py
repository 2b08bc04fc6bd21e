"""Credential plugins: programs that a kubeconfig names under ``exec``."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Annotated, Any

import msgspec
from kubernetes.config.config_exception import ConfigException

from operators.model.masking import redacted_text
from streams.cluster.errors import ConfigurationError, UnreachableError
from streams.cluster.official import plugin_answer


class _Given(msgspec.Struct, rename="camel"):
    token: str | None = None
    client_certificate_data: str | None = None
    client_key_data: str | None = None
    expiration_timestamp: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


def run_plugin(
    spec: dict[str, Any], user: dict[str, Any], *, directory: str, cluster: dict[str, Any]
) -> datetime | None:
    """Run the plugin, put what it gave into the user's entry, and say when that expires.

    Blocks until the plugin ends. Raises ``ConfigurationError`` if it cannot be started, and
    ``UnreachableError`` if it gave nothing: mostly it could not reach its own server.
    """
    command = str(spec.get("command"))
    try:
        given = msgspec.convert(plugin_answer(spec, directory=directory, cluster=cluster), _Given)
    except OSError as error:
        hint = f"; {spec['installHint']}" if spec.get("installHint") else ""
        raise ConfigurationError(
            f"the credential plugin {command!r} cannot be started: {error.strerror}{hint}"
        ) from error
    except (ConfigException, msgspec.ValidationError) as error:
        said = redacted_text(" ".join(str(error).split()))[:300]
        raise UnreachableError(f"the credential plugin {command!r} failed: {said}") from None
    if given.token:
        user["token"] = given.token
    if given.client_certificate_data and given.client_key_data:
        user["client-certificate-data"] = _encoded(given.client_certificate_data)
        user["client-key-data"] = _encoded(given.client_key_data)
    elif not given.token:
        raise UnreachableError(f"the credential plugin {command!r} gave no credential")
    return given.expiration_timestamp


def _encoded(pem: str) -> str:
    return base64.b64encode(pem.encode()).decode()
