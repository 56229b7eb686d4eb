"""Certificates for lessons: a Secret may ask for one instead of bringing it.

In a cluster that people work in, a tool such as cert-manager puts certificates into Secrets. Here a Secret
of type `kubernetes.io/tls` that carries the annotation below, and nothing in `tls.crt` and `tls.key`, is
given a new self-signed certificate and its key when it is made, so that no key has to lie in a repository.
"""

from __future__ import annotations

import base64
from datetime import datetime

from emulator.api.objects import JsonObject

SELF_SIGNED = "mininetes.io/self-signed"
"""Annotation of a Secret: the DNS names of its certificate, with commas between them."""

_FIELDS = ("tls.crt", "tls.key")


def with_certificate(old: JsonObject | None, new: JsonObject, now: datetime) -> JsonObject:
    """The Secret to store: with the certificate that it asks for, or the one that it has got before."""
    names = _names(new)
    data = new.get("data") or {}
    if not names or any(data.get(field) or (new.get("stringData") or {}).get(field) for field in _FIELDS):
        return new
    before = (old or {}).get("data") or {}
    if old is not None and _names(old) == names and all(before.get(field) for field in _FIELDS):
        return {**new, "data": {**data, **{field: before[field] for field in _FIELDS}}}
    # Few Secrets ask, and what makes certificates takes a tenth of a second to import.
    from emulator.cluster.ingress.selfsigned import self_signed

    issued = dict(zip(_FIELDS, self_signed(names, now), strict=True))
    encoded = {field: base64.b64encode(text.encode()).decode() for field, text in issued.items()}
    return {**new, "data": {**data, **encoded}}


def _names(secret: JsonObject) -> list[str]:
    text = str((secret["metadata"].get("annotations") or {}).get(SELF_SIGNED) or "")
    return [name.strip() for name in text.split(",") if name.strip()]
