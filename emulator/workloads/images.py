"""What runs for an image: the table of images, and how a container's command line is read.

No image is ever pulled. A server of the table is played by a program of this process; an image of
tools runs its command with the host's programs; anything else gets a stand-in on its declared ports.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from emulator.cluster.images import image_names
from emulator.cluster.ingress.controllers import FLAVOURS
from emulator.workloads.servers import agnhost, databases, web
from emulator.workloads.servers.names import coredns
from emulator.workloads.servers.program import ProgramFactory
from emulator.workloads.servers.stand_in import stand_in


@dataclass(frozen=True, slots=True)
class Server:
    """An image whose program this process plays."""

    program: ProgramFactory
    executables: frozenset[str]
    """Names under which a command line asks for that program."""
    writable: Mapping[str, str]
    """Directories that the container may write, each with the text of its first index.html."""


@dataclass(frozen=True, slots=True)
class Tools:
    """An image of programs, for which the host's stand in."""

    entrypoint: tuple[str, ...] = ()
    default: tuple[str, ...] = ("sh",)
    busybox: bool = False


@dataclass(frozen=True, slots=True)
class Proxy:
    """HAProxy, configured from Ingresses: see `emulator.workloads.proxy`."""

    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Serve:
    """Play a program in this process."""

    program: ProgramFactory
    title: tuple[str, ...]
    arguments: tuple[str, ...]
    writable: Mapping[str, str]
    notice: str = ""
    """What the user should know about the choice."""


@dataclass(frozen=True, slots=True)
class Run:
    """Run a real process."""

    argv: tuple[str, ...]
    busybox: bool
    writable: Mapping[str, str]
    has_servers: bool = False
    """Server programs of the table can be started by their names."""
    configured: bool = False
    """It is the ingress proxy, whose configuration comes from outside the container."""


Plan = Serve | Run

_INTERPRETERS = frozenset(
    [
        "bash",
        "bundle",
        "dotnet",
        "java",
        "node",
        "nodejs",
        "npm",
        "perl",
        "php",
        "python",
        "python3",
        "ruby",
        "sh",
        "yarn",
    ]
)
"""Programs of which this machine may have its own, but not what they are told to run."""
_INLINE = re.compile(r"--eval|-[a-z]*[cem]")


def _server(program: ProgramFactory, *executables: str, writable: Mapping[str, str] | None = None) -> Server:
    return Server(program, frozenset(executables), writable or {})


_NGINX_FILES = {web.NGINX_ROOT: web.NGINX_WELCOME}
_NGINX = _server(web.nginx, "nginx", "nginx-debug", writable=_NGINX_FILES)
_HTTPD = _server(
    web.httpd, "httpd-foreground", "apache2ctl", "apachectl", writable={web.HTTPD_ROOT: web.HTTPD_WELCOME}
)
_AGNHOST = _server(agnhost.agnhost, "agnhost")
_PAUSE = _server(agnhost.pause, "pause")
_WHOAMI = _server(web.whoami, "whoami")
_REDIS = _server(databases.redis, "redis-server", "valkey-server")
_POSTGRES = _server(databases.postgres, "postgres")
_MYSQL = _server(databases.mysql, "mysqld", "mariadbd")
_MONGO = _server(databases.silent(27017), "mongod")
_PROXY = Proxy(("haproxy", "-Ws", "-f", "/etc/haproxy/current/haproxy.cfg", "-S", "/run/haproxy/master.sock"))
_BUSYBOX = Tools(busybox=True)
_SHELL = Tools(default=("bash",))

IMAGES: Mapping[str, Server | Tools | Proxy] = {
    **dict.fromkeys(FLAVOURS, _PROXY),
    "agnhost": _AGNHOST,
    "pause": _PAUSE,
    "nginx": _NGINX,
    "nginx-slim": _NGINX,
    "nginx-unprivileged": _server(web.nginx_unprivileged, "nginx", writable=_NGINX_FILES),
    "bitnami/nginx": _server(web.nginx_unprivileged, "nginx", writable=_NGINX_FILES),
    "httpd": _HTTPD,
    "apache": _HTTPD,
    "whoami": _WHOAMI,
    "hello-app": _server(web.hello_app, "hello-app"),
    "http-echo": _server(web.http_echo, "http-echo"),
    "echoserver": _server(web.echoserver, "echoserver"),
    "httpbin": _server(web.httpbin, "gunicorn", "go-httpbin"),
    "go-httpbin": _server(web.httpbin, "go-httpbin"),
    "podinfo": _server(web.podinfo, "podinfo"),
    "redis": _REDIS,
    "valkey": _REDIS,
    "postgres": _POSTGRES,
    "postgresql": _POSTGRES,
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
    "mongo": _MONGO,
    "mongodb": _MONGO,
    "memcached": _server(databases.memcached, "memcached"),
    "rabbitmq": _server(databases.silent(5672), "rabbitmq-server"),
    "coredns": _server(coredns, "coredns"),
    "busybox": _BUSYBOX,
    "busyboxplus": _BUSYBOX,
    "alpine": _BUSYBOX,
    "curl": Tools(entrypoint=("curl",), default=()),
    "netshoot": _SHELL,
    "network-multitool": _server(web.nginx, "nginx", writable=_NGINX_FILES),
    "dnsutils": Tools(default=("sleep", "infinity")),
    "jessie-dnsutils": Tools(default=("sleep", "infinity")),
    "dnstools": _SHELL,
    "ubuntu": _SHELL,
    "debian": _SHELL,
    "centos": _SHELL,
    "fedora": _SHELL,
    "rockylinux": _SHELL,
    "almalinux": _SHELL,
    "amazonlinux": _SHELL,
    "bash": _SHELL,
    "python": Tools(default=("python3",)),
    "perl": Tools(default=("perl", "-de0")),
    "iperf": Tools(entrypoint=("iperf",), default=("-s",)),
    "iperf3": Tools(entrypoint=("iperf3",), default=("-s",)),
    "socat": Tools(entrypoint=("socat",), default=()),
    "haproxy": Tools(entrypoint=("haproxy", "-db", "-f"), default=("/usr/local/etc/haproxy/haproxy.cfg",)),
    "kube-webhook-certgen": Tools(entrypoint=("true",), default=()),
    "hello-world": Tools(default=("echo", "Hello from the emulator!")),
}
"""By repository name, or by organisation and name where the name alone would mislead."""

_BY_EXECUTABLE: Mapping[str, Server] = {
    executable: image
    for image in IMAGES.values()
    if isinstance(image, Server)
    for executable in image.executables
}


def image_named(reference: str) -> Server | Tools | Proxy | None:
    """The table's entry for an image reference, whatever its registry, tag or digest."""
    return next((IMAGES[name] for name in image_names(reference) if name in IMAGES), None)


def server_named(executable: str) -> Server | None:
    """The server whose program has this name."""
    return _BY_EXECUTABLE.get(executable)


def server_executables() -> tuple[str, ...]:
    """The names of all servers' programs."""
    return tuple(sorted(_BY_EXECUTABLE))


def plan(
    reference: str,
    command: Sequence[str],
    arguments: Sequence[str],
    *,
    interactive: bool,
    available: Callable[[str], bool],
) -> Plan:
    """Decide what runs.

    `interactive` says that a shell would find a terminal or an open input to wait on, `available`
    whether the container finds a program of that name.
    """
    image = image_named(reference)
    writable = image.writable if isinstance(image, Server) else {}
    if isinstance(image, Proxy) and not (command and available(command[0])):
        return Run(image.argv, busybox=False, writable={}, configured=True)
    if command:
        return _of_command(image, (*command, *arguments), writable, available)
    if isinstance(image, Server):
        return _of_server(image, tuple(arguments), writable, available)
    if isinstance(image, Tools):
        argv = (*image.entrypoint, *(arguments or image.default))
        if interactive and not arguments:
            return Serve(_PAUSE.program, argv, (), {})
        return Run(argv, image.busybox, {})
    return Serve(stand_in, (reference, *arguments), tuple(arguments), {})


def _of_command(
    image: Server | Tools | Proxy | None,
    argv: tuple[str, ...],
    writable: Mapping[str, str],
    available: Callable[[str], bool],
) -> Plan:
    name = _basename(argv[0])
    server = image if isinstance(image, Server) and name in image.executables else None
    if server is None and not isinstance(image, Tools):
        server = _BY_EXECUTABLE.get(name)
    if server is not None and not _is_one_shot(server, argv):
        return Serve(server.program, argv, argv[1:], {**server.writable, **writable})
    missing = _missing(argv, available) if image is None else ""
    if missing:
        notice = f"there is no {missing} on this machine: a stand-in answers in its place"
        return Serve(stand_in, argv, argv[1:], writable, notice)
    if isinstance(image, Tools):
        return Run(argv, image.busybox, writable)
    return Run(argv, busybox=False, writable=writable, has_servers=True)


def _missing(argv: tuple[str, ...], available: Callable[[str], bool]) -> str:
    """What of a command line would have come with its image: the program or the script; empty if nothing."""
    if not available(argv[0]):
        return argv[0]
    script = _script(argv) if _basename(argv[0]) in _INTERPRETERS else ""
    return script if script and not available(script if "/" in script else f"./{script}") else ""


def _script(argv: tuple[str, ...]) -> str:
    """The file that an interpreter is to run; empty for one that is told what to do in its options."""
    for word in argv[1:]:
        if _INLINE.fullmatch(word):
            return ""
        if not word.startswith("-"):
            return word
    return ""


def _of_server(
    image: Server, arguments: tuple[str, ...], writable: Mapping[str, str], available: Callable[[str], bool]
) -> Plan:
    """The image's own entrypoint with `arguments`. Many entrypoints run a first word that is a program."""
    executable = next(iter(sorted(image.executables)))
    if arguments and _basename(arguments[0]) in image.executables:
        return _of_command(image, arguments, writable, available)
    if arguments and not arguments[0].startswith("-") and image is not _AGNHOST and available(arguments[0]):
        return Run(arguments, busybox=False, writable=writable, has_servers=True)
    argv = (executable, *arguments)
    if _is_one_shot(image, argv):
        return Run((f"/{executable}", *arguments), busybox=False, writable=writable)
    return Serve(image.program, argv, arguments, writable)


def _is_one_shot(image: Server, argv: Sequence[str]) -> bool:
    """`agnhost connect` runs once, as a real program."""
    return image is _AGNHOST and len(argv) > 1 and argv[1] == "connect"


def _basename(program: str) -> str:
    return program.rpartition("/")[2]
