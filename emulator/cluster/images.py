"""How images are recognised: by their names alone, since none is ever pulled."""

from __future__ import annotations


def image_names(reference: str) -> tuple[str, str]:
    """The names by which tables know an image: with its organisation, and without."""
    parts = reference.partition("@")[0].split("/")
    parts[-1] = parts[-1].partition(":")[0]
    return "/".join(parts[-2:]), parts[-1]
