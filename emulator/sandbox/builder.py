"""From the host into fresh namespaces: the short-lived process between the janitor and the first process.

`build` runs in a child of the janitor, which has the right to prepare mounts. It ends as soon as the first
process is there, which then belongs to the janitor.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from emulator.linux import namespaces, processes
from emulator.linux.namespaces import Namespace
from emulator.sandbox.filesystem import Step, finish, prepare
from emulator.sandbox.identity import Identity, IdMap, become_root, write_maps
from emulator.sandbox.openvswitch import DIRECTORY
from emulator.sandbox.pipes import Rendezvous

SANDBOX = Namespace.USER | Namespace.MOUNT | Namespace.PID | Namespace.NET | Namespace.UTS | Namespace.IPC


def build(
    steps: Sequence[Step], identity: Identity, janitor: Rendezvous, argv: Sequence[str], env: dict[str, str]
) -> None:
    """Make the namespaces and start `argv` with `env` in them as the first process.

    Returns in the short-lived process. The other side of `janitor` must answer with `serve`.
    """
    namespaces.unshare(Namespace.MOUNT)
    prepare(steps, root=identity.root, users=_user_namespace(identity))
    namespaces.unshare(SANDBOX)
    processes.allow_inspection()
    janitor.say(b"m")
    janitor.hear()
    become_root()
    pid = os.fork()
    if pid:
        janitor.say(str(pid).encode())
        return
    # Only when the janitor is the parent does its death count as this process's parent's.
    janitor.hear()
    processes.allow_inspection()
    processes.die_with_parent()
    finish(DIRECTORY)
    os.execve(argv[0], list(argv), env)


def serve(builder: int, rendezvous: Rendezvous, maps: tuple[IdMap, IdMap]) -> int:
    """The janitor's side: give the builder its maps, see it end, and return the first process's id.

    Raises EOFError when the builder dies early, and ChildProcessError when it dies with its work done: what
    it has started is not told to go on, and ends with this process.
    """
    # That its end of the rendezvous closes does not tell its death: the first process has that end as well.
    alive = os.pidfd_open(builder)
    try:
        rendezvous.hear_from(alive)
        write_maps(builder, maps)
        rendezvous.say(b"g")
        pid = int(rendezvous.hear_from(alive))
    finally:
        os.close(alive)
    _, status = os.waitpid(builder, 0)
    if status:
        raise ChildProcessError("the process that makes the namespaces was killed")
    rendezvous.say(b"g")
    return pid


def _user_namespace(identity: Identity) -> int | None:
    """A descriptor of a user namespace with the sandbox's map; None where the map changes nothing."""
    if identity.root == 0:
        return None
    ours, theirs = Rendezvous.pair()
    child = os.fork()
    if child == 0:
        try:
            namespaces.unshare(Namespace.USER)
            theirs.say(b"m")
            ours.close()
            theirs.hear()
        finally:
            os._exit(0)
    theirs.close()
    ours.hear()
    write_maps(child, identity.inner)
    fd = os.open(f"/proc/{child}/ns/user", os.O_RDONLY)
    ours.close()
    os.waitpid(child, 0)
    return fd
