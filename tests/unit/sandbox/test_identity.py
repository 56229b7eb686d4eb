"""The maps of user and group ids."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from emulator.sandbox import identity
from emulator.sandbox.identity import Extent, identify


@pytest.fixture
def ordinary(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(identity, "has_admin_rights", lambda: False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "getegid", lambda: 1001)
    monkeypatch.setattr(identity.shutil, "which", lambda name: f"/usr/bin/{name}")
    return monkeypatch


def give(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    file = tmp_path / "subuid"
    file.write_text(text)
    real = identity._subordinate
    monkeypatch.setattr(identity, "_subordinate", lambda _path: real(str(file)))


def test_root_gets_ids_that_are_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "has_admin_rights", lambda: True)
    monkeypatch.setattr(identity, "_is_mapped", lambda _first, _count: True)
    found = identify()
    assert found.outer is None
    assert found.inner == ((Extent(0, 100000, 65536),),) * 2
    assert (found.root, found.single) == (100000, False)


def test_root_of_a_container_without_such_ids_keeps_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "has_admin_rights", lambda: True)
    monkeypatch.setattr(identity, "_is_mapped", lambda _first, _count: False)
    assert (identify().root, identify().single) == (0, True)


def test_an_ordinary_user_with_a_range(ordinary: pytest.MonkeyPatch, tmp_path: Path) -> None:
    give(ordinary, tmp_path, "other:5:10\n1000:200000:1000\n1000:300000:70000\nbroken\n")
    found = identify()
    assert found.outer is not None
    assert found.outer[0] == (Extent(0, 1000, 1), Extent(1, 300000, 65535))
    assert found.outer[1] == (Extent(0, 1001, 1), Extent(1, 300000, 65535))
    assert found.inner[0] == (Extent(0, 0, 1), Extent(1, 1, 65535))
    assert not found.single


@pytest.mark.parametrize("text", ["", "somebody:100000:65536\n", "1000:100000:0\n"])
def test_an_ordinary_user_without_one(ordinary: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    give(ordinary, tmp_path, text)
    found = identify()
    assert found.outer == ((Extent(0, 1000, 1),), (Extent(0, 1001, 1),))
    assert found.single


def test_a_range_is_of_no_use_without_newuidmap(ordinary: pytest.MonkeyPatch, tmp_path: Path) -> None:
    give(ordinary, tmp_path, "1000:200000:65536\n")
    ordinary.setattr(identity.shutil, "which", lambda _name: None)
    assert identify().single


def test_an_extent_reads_as_the_kernel_wants_it() -> None:
    assert str(Extent(1, 100000, 65535)) == "1 100000 65535"
