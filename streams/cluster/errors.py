"""What can go wrong on the way to an API server, as far as a caller acts on the difference.

An answer of the server, whatever its status, is no error: it comes back as an ``Answer``. No
message here ever holds a credential.
"""

from __future__ import annotations


class ClusterError(Exception):
    """The cluster could not be asked, or gave no usable answer."""


class ConfigurationError(ClusterError):
    """No usable way to the cluster is configured; the message says where it was looked for."""


class CredentialsRefusedError(ClusterError):
    """The server answered 401, and 401 again after the credentials were renewed."""


class UnreachableError(ClusterError):
    """No answer, or only a part of one: refused, reset, not resolved, no TLS, no time left."""


class IdleTimeoutError(ClusterError):
    """A watch brought not one byte for longer than its limit."""


class TooLargeAnswerError(ClusterError):
    """An answer is larger than what the caller allows."""


class DiscoveryError(ClusterError):
    """The server did not say what it serves; ``status`` is the HTTP status of its answer."""

    def __init__(self, text: str, *, status: int) -> None:
        super().__init__(text)
        self.status = status
