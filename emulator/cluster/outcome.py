"""What became of traffic: the one vocabulary of oracle, trace, probes and verdicts."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """The fate of a connection, a datagram or an echo request, or of several together."""

    CONNECTED = "connected"
    """TCP: the handshake was completed; HTTP: a response came; UDP: a reply came, or the datagram
    reached the endpoint's socket; ICMP: the echo reply came."""
    DROPPED = "dropped"
    """Silence: it was seen to leave, and nothing came back within the time given."""
    REJECTED = "rejected"
    """Refused out loud: a TCP reset or an ICMP error came back."""
    ERROR = "error"
    """The probe itself failed, so nothing is known about the network. Never a deny."""
    UNKNOWN = "unknown"
    """The evidence contradicts itself."""
    MIXED = "mixed"
    """Several attempts fared differently; `outcomes` of the report counts them."""
