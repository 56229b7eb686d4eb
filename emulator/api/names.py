"""The syntax of names: DNS-1123 labels and subdomains, label keys and values, port names."""

from __future__ import annotations

import re
from os import urandom

_DNS1123_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_LABEL = re.compile(_DNS1123_LABEL)
_SUBDOMAIN = re.compile(rf"{_DNS1123_LABEL}(\.{_DNS1123_LABEL})*")
_DNS1035_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_CONFIG_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_ENV_NAME = re.compile(r"[^\x00-\x1f\x7f=]+")

_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # no vowels and no look-alikes, as in apimachinery's rand


def random_suffix() -> str:
    """The five letters that `generateName` appends."""
    return "".join(_SUFFIX_LETTERS[byte % len(_SUFFIX_LETTERS)] for byte in urandom(5))


def dns1123_label(text: str) -> str:
    """Why `text` is no DNS label (a name of Namespaces and containers); empty when it is one."""
    return _flaw(
        text,
        63,
        _LABEL,
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
        "and must start and end with an alphanumeric character",
    )


def dns1123_subdomain(text: str) -> str:
    """Why `text` is no DNS subdomain (names of most objects); empty when it is one."""
    return _flaw(
        text,
        253,
        _SUBDOMAIN,
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
        "and must start and end with an alphanumeric character",
    )


def dns1035_label(text: str) -> str:
    """Why `text` is no name of a Service; empty when it is one."""
    return _flaw(
        text,
        63,
        _DNS1035_LABEL,
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', "
        "start with an alphabetic character, and end with an alphanumeric character",
    )


def _flaw(text: str, longest: int, syntax: re.Pattern[str], rule: str) -> str:
    """What is wrong with `text`: its length, or the `rule` that `syntax` says; empty when nothing is."""
    if len(text) > longest:
        return f"must be no more than {longest} characters"
    return "" if syntax.fullmatch(text) else rule


def path_segment(text: str) -> str:
    """Why `text` cannot stand in a REST path (names of Events and of RBAC objects); empty when it can."""
    if text in (".", ".."):
        return f"may not be '{text}'"
    bad = next((c for c in "/%" if c in text), "")
    return f"may not contain '{bad}'" if bad else ""


def qualified_name(text: str) -> str:
    """Why `text` is no key of a label or annotation; empty when it is one."""
    prefix, slash, name = text.rpartition("/")
    if slash and (not prefix or "/" in prefix or dns1123_subdomain(prefix)):
        return f"prefix part {prefix!r} must be a lowercase RFC 1123 subdomain"
    if not name:
        return "name part must be non-empty"
    flaw = _flaw(
        name,
        63,
        _QUALIFIED,
        "must consist of alphanumeric characters, '-', '_' or '.', "
        "and must start and end with an alphanumeric character",
    )
    return f"name part {flaw}" if flaw else ""


def label_value(text: str) -> str:
    """Why `text` is no value of a label; empty when it is one."""
    return _flaw(
        text,
        63,
        _LABEL_VALUE,
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
        "and must start and end with an alphanumeric character",
    )


def port_name(text: str) -> str:
    """Why `text` is no name of a container's port (IANA service name); empty when it is one."""
    if len(text) > 15:
        return "must be no more than 15 characters"
    if not re.fullmatch(r"[-a-z0-9]+", text):
        return "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
    if not re.search(r"[a-z]", text):
        return "must contain at least one letter (a-z)"
    if "--" in text:
        return "must not contain consecutive hyphens"
    return "must not begin or end with a hyphen" if text.startswith("-") or text.endswith("-") else ""


def config_key(text: str) -> str:
    """Why `text` is no key of a ConfigMap or Secret; empty when it is one."""
    if len(text) > 253:
        return "must be no more than 253 characters"
    if text in (".", "..") or text.startswith(".."):
        return "must not be '.' and must not start with '..'"
    if _CONFIG_KEY.fullmatch(text):
        return ""
    return "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"


def environment_name(text: str) -> str:
    """Why `text` is no name of an environment variable; empty when it is one."""
    if _ENV_NAME.fullmatch(text):
        return ""
    return "a valid environment variable name must consist only of printable ASCII characters other than '='"
