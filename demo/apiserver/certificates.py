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

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = timedelta(days=30)
BACKDATED = timedelta(minutes=5)
"""For clients whose clock is a little behind."""

_PASSWORD_BYTES = 32
_AUTHORITY = "zen-streams apiserver CA"
_SERVER = "zen-streams apiserver"


@dataclass(frozen=True, slots=True)
class Identity:
    """The server's side of TLS, and the authority by which a client knows it."""

    tls: ssl.SSLContext
    ca_pem: str


def identity(host: str, *, now: datetime) -> Identity:
    """A new authority, and under it a new certificate for this host and for loopback."""
    authority, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca = (
        _begun(authority, _AUTHORITY, now=now, is_authority=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(authority, hashes.SHA256())
    )
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key())
    certificate = (
        _begun(key, _SERVER, now=now, is_authority=False)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(_places(host)), critical=False)
        .add_extension(issuer, critical=False)
        .sign(authority, hashes.SHA256())
    )
    password = secrets.token_bytes(_PASSWORD_BYTES)
    pem = serialization.Encoding.PEM
    locked = key.private_bytes(
        pem,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password),
    )
    tls = _context(certificate.public_bytes(pem), locked, password=password)
    return Identity(tls, ca.public_bytes(pem).decode())


def _begun(
    key: ec.EllipticCurvePrivateKey, subject: str, *, now: datetime, is_authority: bool
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_named(subject))
        .issuer_name(_named(_AUTHORITY))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _places(host: str) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
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
