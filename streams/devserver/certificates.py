"""A certificate authority made at start, and the server's certificate under it; good for a month.

The server's key lives in memory. `ssl` takes keys from files alone, so it is a file for a moment, encrypted
under a password that only this process knows.
"""

from __future__ import annotations

import secrets
import ssl
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import CertificateBuilder, GeneralName, Name

LIFETIME = timedelta(days=30)
BACKDATED = timedelta(minutes=5)
"""For clients whose clock is a little behind."""

_PASSWORD_BYTES = 32


class ExtraMissingError(RuntimeError):
    """The package that makes certificates is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "the embedded API server needs the package 'cryptography' for its certificates: "
            "install zen-streams[demo]"
        )


@dataclass(frozen=True, slots=True)
class Identity:
    """The server's side of TLS, and the authority by which a client knows it."""

    tls: ssl.SSLContext
    ca_pem: str


def identity(host: str, *, now: datetime) -> Identity:
    """A new authority and a new certificate for this host and for loopback.

    Raises ExtraMissingError.
    """
    try:
        from cryptography import x509  # noqa: PLC0415 - an optional extra
        from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
        from cryptography.x509.oid import NameOID  # noqa: PLC0415
    except ImportError as error:
        raise ExtraMissingError from error

    def named(name: str) -> Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])

    def begun(
        key: EllipticCurvePrivateKey, subject: str, *, is_authority: bool
    ) -> CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(named(subject))
            .issuer_name(named("zen-streams apiserver CA"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATED)
            .not_valid_after(now + LIFETIME)
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        )

    authority, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca = begun(authority, "zen-streams apiserver CA", is_authority=True).sign(
        authority, hashes.SHA256()
    )
    certificate = (
        begun(key, "zen-streams apiserver", is_authority=False)
        .add_extension(x509.SubjectAlternativeName(_places(host)), critical=False)
        .sign(authority, hashes.SHA256())
    )
    password = secrets.token_bytes(_PASSWORD_BYTES)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password),
    )
    pem = serialization.Encoding.PEM
    tls = _context(certificate.public_bytes(pem), locked, password=password)
    return Identity(tls, ca.public_bytes(pem).decode())


def _places(host: str) -> list[GeneralName]:
    from cryptography import x509  # noqa: PLC0415 - an optional extra

    found: list[GeneralName] = []
    for name in dict.fromkeys((host, "127.0.0.1", "::1", "localhost")):
        try:
            found.append(x509.IPAddress(ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return found


def _context(certificate: bytes, locked: bytes, *, password: bytes) -> ssl.SSLContext:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    with TemporaryDirectory(prefix="zen-streams-") as folder:
        chain = Path(folder, "chain.pem")
        chain.touch(mode=0o600)
        chain.write_bytes(certificate + locked)
        tls.load_cert_chain(chain, password=password)
    return tls
