"""What a request to an API server fails with, as far as a caller acts on the difference.

A response, whatever its status, is no error: it is returned as a ``Response``. No message here ever holds a credential.
"""

from __future__ import annotations


class ClusterError(Exception):
    """The request could not be made, or got no usable response."""


class ConfigurationError(ClusterError):
    """No usable access to a cluster is configured; the message names where it was looked for."""


class CredentialsRefusedError(ClusterError):
    """The response was 401, and 401 again after the credentials were renewed."""


class UnreachableError(ClusterError):
    """No response, or only a part of one: refused, reset, not resolved, no TLS, timed out."""


class IdleTimeoutError(ClusterError):
    """A watch received no byte for longer than its limit."""


class ResponseTooLargeError(ClusterError):
    """A response is larger than what the caller allows."""


class DiscoveryError(ClusterError):
    """The response does not list what is served; ``status`` is its HTTP status."""

    def __init__(self, text: str, *, status: int) -> None:
        super().__init__(text)
        self.status = status
