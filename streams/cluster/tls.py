"""The TLS settings of the official client, as the context the loop's own sockets need."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, NoReturn

from streams.cluster.errors import ConfigurationError

if TYPE_CHECKING:
    from kubernetes.client import Configuration


def tls_context(configuration: Configuration) -> ssl.SSLContext:
    """Build the context which the configuration asks for; without a CA the system's are trusted.

    Raises ``ConfigurationError`` where a certificate or a key cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the certificate authority cannot be used: {error}") from error
    # Python 3.13 became strict about extensions that many a cluster's own CA does not carry.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if configuration.cert_file:
        try:
            context.load_cert_chain(
                configuration.cert_file, configuration.key_file, password=_encrypted
            )
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"the client certificate or its key cannot be used: {error}"
            ) from error
    return context


def _encrypted() -> NoReturn:
    """OpenSSL would ask the terminal for the passphrase, and the process would wait for ever."""
    raise ConfigurationError(
        "the client key is encrypted: there is nobody to ask for its passphrase"
    )
