"""Certificates in Secrets: read, checked, and matched with host names."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import MD5, SHA1
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtensionOID, NameOID

from emulator.api.objects import JsonObject

_SHORTEST_RSA, _SHORTEST_CURVE = 2048, 224
"""In bits."""
_FIELDS = ("tls.crt", "tls.key")


class CertificateError(ValueError):
    """The Secret holds nothing that TLS could use; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key."""

    names: tuple[str, ...]
    """DNS names that the certificate is for, in lower case."""
    begins: datetime
    ends: datetime
    pem: str = field(repr=False)
    """Chain and key, as HAProxy reads them."""

    def covers(self, host: str) -> bool:
        """Whether the certificate is for a host, which may itself be a wildcard."""
        return is_covered(host, self.names)


def pair_in(secret: JsonObject) -> Pair:
    """The certificate and key of a Secret. Raises CertificateError."""
    data = {**(secret.get("data") or {})}
    plain = secret.get("stringData") or {}
    found = []
    for name in _FIELDS:
        try:
            content = (
                plain[name].encode()
                if name in plain
                else base64.b64decode(data.get(name) or "", validate=True)
            )
        except (binascii.Error, ValueError) as error:
            raise CertificateError(f"{name} is not base64") from error
        if not content.strip():
            raise CertificateError(f"it has no {name}")
        found.append(content)
    return _pair(*found)


def is_covered(host: str, names: Iterable[str]) -> bool:
    """Whether a host is among a certificate's names; `*.example` covers one label more and no other."""
    host = host.lower()
    return any(host == name or name == f"*.{host.partition('.')[2]}" for name in names)


@lru_cache(maxsize=256)
def _pair(chain: bytes, key: bytes) -> Pair:
    try:
        certificates = x509.load_pem_x509_certificates(chain)
    except ValueError as error:
        raise CertificateError("tls.crt is no certificate in PEM") from error
    try:
        private = load_pem_private_key(key, None)
    except TypeError as error:
        raise CertificateError("tls.key is encrypted with a password") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateError("tls.key is no private key in PEM") from error
    leaf = certificates[0]
    try:
        names, is_pair = dns_names(leaf), _spki(leaf.public_key()) == _spki(private.public_key())
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise CertificateError(f"tls.crt cannot be used: {error}") from error
    if not is_pair:
        raise CertificateError("tls.key does not belong to the certificate in tls.crt")
    for certificate in certificates:
        _expect_strength(certificate)
    return Pair(
        names,
        leaf.not_valid_before_utc,
        leaf.not_valid_after_utc,
        "\n".join(part.decode("ascii", "replace").strip() for part in (chain, key)) + "\n",
    )


def _expect_strength(certificate: x509.Certificate) -> None:
    """Refuse what OpenSSL refuses at its usual security level (2): one such would spoil a whole proxy."""
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        raise CertificateError("its key is neither RSA, nor an elliptic curve's, nor Ed25519")
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < _SHORTEST_RSA:
        raise CertificateError(
            f"an RSA key of {key.key_size} bits is too short: {_SHORTEST_RSA} is the least"
        )
    if isinstance(key, ec.EllipticCurvePublicKey) and key.key_size < _SHORTEST_CURVE:
        raise CertificateError(f"an elliptic curve of {key.key_size} bits is too small")
    is_root = certificate.issuer == certificate.subject
    digest = certificate.signature_hash_algorithm
    if not is_root and isinstance(digest, MD5 | SHA1):
        raise CertificateError(f"a signature with {digest.name.upper()} is too weak")


def dns_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """The DNS names that a certificate is for: its alternative names, else its common name."""
    try:
        extension = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    except x509.ExtensionNotFound:
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return tuple(str(name.value).lower() for name in common)
    names = extension.value
    assert isinstance(names, x509.SubjectAlternativeName)
    return tuple(name.lower() for name in names.get_values_for_type(x509.DNSName))


def _spki(key: object) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined,no-any-return]
