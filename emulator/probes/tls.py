"""TLS as a careful client speaks it: it takes any certificate, and says what it was shown.

A probe asks what the network does, so a certificate that no browser would accept does not end it. Whoever
reads the report decides.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """The certificate that a server showed."""

    names: tuple[str, ...]
    """DNS names that it is for."""
    issuer: str
    ends: datetime
    faults: tuple[str, ...] = ()
    """Why a browser would not accept it: `not for shop.example`, `expired`, `self-signed`."""

    def as_json(self) -> dict[str, Any]:
        """The contract's spelling."""
        return {
            "names": list(self.names),
            "issuer": self.issuer,
            "notAfter": self.ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "faults": list(self.faults),
        }


def client_context() -> ssl.SSLContext:
    """Speaks HTTP/1.1 to whoever answers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context


def shown_by(connection: ssl.SSLObject, host: str) -> ServerCertificate | None:
    """What the server at the other end showed to a client that wanted `host`; None when it was nothing."""
    der = connection.getpeercert(binary_form=True)
    return None if der is None else examined(der, host, datetime.now(UTC))


def examined(der: bytes, host: str, now: datetime) -> ServerCertificate:
    """A certificate, and what is wrong with it for a client that wants `host` at `now`."""
    # Few probes speak TLS, and what reads certificates takes a tenth of a second to import.
    from cryptography import x509

    from emulator.cluster.ingress.certificates import dns_names, is_covered

    certificate = x509.load_der_x509_certificate(der)
    names = dns_names(certificate)
    faults = []
    if not is_covered(host, names):
        faults.append(f"not for {host}")
    if certificate.not_valid_after_utc < now:
        faults.append("expired")
    if certificate.not_valid_before_utc > now:
        faults.append("not valid yet")
    if certificate.issuer == certificate.subject:
        faults.append("self-signed")
    return ServerCertificate(
        names, certificate.issuer.rfc4514_string(), certificate.not_valid_after_utc, tuple(faults)
    )
