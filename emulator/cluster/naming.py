"""Names that controllers make up: hashes of templates and suffixes, in Kubernetes' form, but repeatable."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Iterator
from itertools import count

from emulator.api.objects import JsonObject

ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""apimachinery's rand: no vowels (no words by accident), no look-alikes."""

_MAX_STEM = 57  # generateName keeps names within 63 characters


def template_hash(template: JsonObject) -> str:
    """`pod-template-hash`: a 32-bit hash of the template, its decimal digits in the safe alphabet."""
    text = json.dumps(template, sort_keys=True, separators=(",", ":"))
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
    return "".join(ALPHABET[ord(digit) % len(ALPHABET)] for digit in f"{number:08d}")


def suffix(*parts: object) -> str:
    """Five letters that follow from `parts`."""
    number = int.from_bytes(hashlib.sha256("/".join(map(str, parts)).encode()).digest()[:8], "big")
    letters = ""
    for _ in range(5):
        number, digit = divmod(number, len(ALPHABET))
        letters += ALPHABET[digit]
    return letters


def fresh_names(owner: JsonObject, stem: str, taken: Container[str]) -> Iterator[str]:
    """Names `stem-xxxxx` for objects of `owner` that are not `taken`, none of them twice.

    They follow from the owner's name and version, so a cluster built again in the same way has
    the same names, while a replacement made later never has its predecessor's.
    """
    metadata = owner["metadata"]
    identity = (
        owner["kind"],
        metadata.get("namespace", ""),
        metadata["name"],
        metadata.get("resourceVersion", ""),
    )
    given: set[str] = set()
    for number in count():
        name = f"{stem[:_MAX_STEM].rstrip('-')}-{suffix(*identity, number)}"
        if name not in taken and name not in given:
            given.add(name)
            yield name
