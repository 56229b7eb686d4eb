"""From the words people type to kinds and names: `po`, `svc,deploy`, `pod/web`, `all`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from emulator.api.kinds import KINDS, Kind, find_word


def kind_of(word: str) -> Kind:
    """The kind that `word` means. Raises a usage error that names the nearest ones."""
    kind = find_word(word)
    if kind is not None:
        return kind
    from difflib import get_close_matches

    known = sorted({name for kind in KINDS for name in (kind.plural, kind.singular, *kind.short_names)})
    near = get_close_matches(word.lower(), known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "known are " + ", ".join(kind.plural for kind in KINDS)
    raise click.UsageError(f"unknown kind {word!r}: {hint}")


def kinds_of(words: str) -> tuple[Kind, ...]:
    """The kinds in a list with commas; `all` is the kinds of that category."""
    found: list[Kind] = []
    for word in words.split(","):
        category = [kind for kind in KINDS if word.lower() in kind.categories]
        found += category or [kind_of(word)]
    return tuple(dict.fromkeys(found))


def named_objects(words: Sequence[str]) -> list[tuple[Kind, str]]:
    """The objects meant by `KIND NAME...` or `KIND/NAME...`. Raises a usage error."""
    if any("/" in word for word in words):
        return [_pair(word) for word in words]
    if len(words) < 2:
        raise click.UsageError("name an object: KIND NAME, or KIND/NAME")
    return [(kind_of(words[0]), name) for name in words[1:]]


def one_object(words: Sequence[str]) -> tuple[Kind, str]:
    """The one object meant by `KIND NAME` or `KIND/NAME`. Raises a usage error."""
    found = named_objects(words)
    if len(found) != 1:
        raise click.UsageError("name one object: KIND NAME, or KIND/NAME")
    return found[0]


def qualified(kind: Kind, name: str) -> str:
    """`deployment.apps/web`, as kubectl prints names."""
    return f"{kind.singular}.{kind.group}/{name}" if kind.group else f"{kind.singular}/{name}"


def _pair(word: str) -> tuple[Kind, str]:
    kind, slash, name = word.partition("/")
    if not slash or not name or "/" in name:
        raise click.UsageError(f"{word!r} is not KIND/NAME; the namespace goes to -n")
    return kind_of(kind), name
