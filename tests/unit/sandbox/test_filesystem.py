"""Which directories of the host are hidden and which shown, and in what order."""

from __future__ import annotations

from pathlib import Path

from emulator.sandbox.filesystem import RUN, Expose, Hide, Step, plan


def position(steps: tuple[Step, ...], wanted: Step) -> int:
    return next(number for number, step in enumerate(steps) if step == wanted)


def test_homes_and_temporary_directories_are_hidden() -> None:
    steps = plan([], "/var/lib/run/var", ["/srv/people/ada"])
    hidden = {step.path for step in steps if isinstance(step, Hide)}
    assert {"/tmp", "/var/tmp", "/run", "/root", "/home", "/srv/people/ada"} <= hidden
    assert Hide("/tmp", 0o1777) in steps
    assert Expose("/var/lib/run/var", RUN, writable=True) in steps


def test_code_below_a_hidden_directory_is_shown_after_it_was_hidden(tmp_path: Path) -> None:
    code = tmp_path / "project"
    code.mkdir()
    steps = plan([str(code)], "/r", [str(tmp_path)])
    shown = position(steps, Expose(str(code), str(code)))
    assert position(steps, Hide(str(tmp_path))) < shown
    assert position(steps, Hide("/tmp", 0o1777)) < shown


def test_a_directory_that_is_itself_hidden_is_hidden_first(tmp_path: Path) -> None:
    steps = plan([str(tmp_path)], "/r", [str(tmp_path)])
    assert position(steps, Hide(str(tmp_path))) < position(steps, Expose(str(tmp_path), str(tmp_path)))


def test_what_only_the_owner_may_enter_is_replaced_by_what_all_may(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    code = closed / "deep" / "project"
    code.mkdir(parents=True)
    closed.chmod(0o700)
    assert Hide(str(closed)) in plan([str(code)], "/r", [])


def test_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    real = str(tmp_path / "real")
    assert Expose(real, real) in plan([str(tmp_path / "link")], "/r", [])


def test_the_root_directory_is_never_hidden() -> None:
    assert Hide("/") not in plan([], "/r", ["/"])
