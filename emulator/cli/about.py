"""Which version of the program this is."""

from __future__ import annotations

from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
"""The folder that holds `emulator/`: the checkout, or site-packages."""


def version() -> str:
    """The version in setup.cfg of a checkout, else the installed package's."""
    from configparser import ConfigParser

    settings = ConfigParser()
    if settings.read(CHECKOUT / "setup.cfg") and settings.has_option("metadata", "version"):
        return settings.get("metadata", "version")
    from importlib.metadata import version as installed

    return installed("mininetes")
