"""Programs by themselves, served in the network namespace that the tests run in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from emulator.workloads.servers import agnhost, databases, web
from emulator.workloads.servers.arguments import Flags, seconds
from emulator.workloads.servers.program import (
    ClusterAccess,
    Context,
    Declared,
    HttpListener,
    Peer,
    Program,
    ProgramError,
    Request,
)
from emulator.workloads.servers.stand_in import stand_in
from tests.unit.workloads.manifests import Objects

HERE = Path("/proc/self/ns/net")


async def no_command(_argv: object) -> tuple[int, bytes]:
    return 127, b""


def no_file(path: str) -> bytes:
    raise FileNotFoundError(2, "No such file or directory", path)


def context(*arguments: str, **fields: object) -> Context:
    return replace(
        Context(
            pod="web-1",
            namespace="shop",
            node="worker-1",
            container="main",
            hostname="web-1",
            addresses=("10.244.1.2", "fd00::2"),
            arguments=arguments,
            environment={},
            ports=(),
            netns=HERE,
            log=lambda _line: None,
            exit=lambda _status: None,
            locate=lambda _path: None,
            read=no_file,
            run=no_command,
            cluster=ClusterAccess(Objects(), lambda: 1, lambda: True),
        ),
        **fields,
    )


def request(target: str = "/", *, method: str = "GET", **headers: str) -> Request:
    path, _, query = target.partition("?")
    pairs = dict(pair.split("=", 1) for pair in query.split("&") if pair)
    return Request(
        method,
        target,
        path,
        pairs,
        [("Host", "web"), *headers.items()],
        b"",
        Peer("10.1.1.1", 4000),
        Peer("x", 80),
    )


def answer(program: Program, target: str, **headers: str) -> tuple[int, str]:
    listener = next(listener for listener in program.listeners if isinstance(listener, HttpListener))
    response = asyncio.run(listener.handler(request(target, **headers)))  # type: ignore[arg-type]
    return response.status, response.content.decode()


@pytest.mark.parametrize(
    ("words", "values", "rest"),
    [
        (["--http-port=80", "--udp-port", "81"], {"http-port": "80", "udp-port": "81"}, ()),
        (["-text", "hello world", "-listen=:80"], {"text": "hello world", "listen": ":80"}, ()),
        (["a", "--x", "--y=1", "b"], {"x": "", "y": "1"}, ("a", "b")),
        (["--udp-port", "-1"], {"udp-port": "-1"}, ()),
    ],
)
def test_flags(words: list[str], values: dict[str, str], rest: tuple[str, ...]) -> None:
    flags = Flags.parse(words)
    assert (flags.values, flags.words) == (values, rest)


@pytest.mark.parametrize(
    ("text", "expected"), [("1s", 1), ("1m30s", 90), ("250ms", 0.25), ("", 0), ("1.5h", 5400)]
)
def test_durations(text: str, expected: float) -> None:
    assert seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["1", "s", "1x", "1s2"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="invalid duration"):
        seconds(text)


def test_netexec_listens_where_it_is_told() -> None:
    program = agnhost.agnhost(context("netexec", "--http-port=80", "--udp-port=81", "--sctp-port=82"))
    assert [listener.port for listener in program.listeners] == [80, 81, 82]
    silent = agnhost.agnhost(context("netexec", "--udp-port=-1"))
    assert [listener.port for listener in silent.listeners] == [8080]
    addressed = agnhost.agnhost(context("netexec", "--udp-listen-addresses=10.0.0.1,fd00::1"))
    assert [getattr(listener, "address", "") for listener in addressed.listeners] == [
        "",
        "10.0.0.1",
        "fd00::1",
    ]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/hostname", (200, "web-1")),
        ("/hostName", (200, "web-1")),
        ("/clientip", (200, "10.1.1.1:4000")),
        ("/echo?msg=hi", (200, "hi")),
        ("/echo?msg=hi&code=404", (404, "hi")),
        ("/echo?code=x", (200, "argument 'code' must be an integer or empty, got \"x\"\n")),
        ("/healthz", (200, "")),
        ("/header?key=X-Test", (200, "yes")),
        ("/redirect?location=/echo&code=307", (307, "")),
        ("/dial?host=x&port=1", (400, "request parameter not specified. <nil>\n")),
        ("/dial?host=x&port=1&request=y&protocol=carrier", (400, "unsupported protocol. carrier\n")),
    ],
)
def test_netexec(target: str, expected: tuple[int, str]) -> None:
    assert answer(agnhost.agnhost(context("netexec")), target, **{"X-Test": "yes"}) == expected


def test_an_unknown_subcommand_ends_at_once() -> None:
    with pytest.raises(ProgramError, match="unknown command"):
        agnhost.agnhost(context("fly"))


def test_the_stand_in_tells_where_it_was_reached() -> None:
    program = stand_in(context(ports=(Declared(80, "TCP"), Declared(53, "UDP"), Declared(80, "TCP"))))
    assert len(program.listeners) == 2
    told = json.loads(answer(program, "/a?b=c")[1])
    assert told["pod"] == "web-1"
    assert told["client"] == "10.1.1.1"
    assert told["path"] == "/a?b=c"


def test_whoami() -> None:
    status, text = answer(web.whoami(context("--name=front")), "/x", Accept="*/*")
    assert status == 200
    assert text.splitlines() == [
        "Name: front",
        "Hostname: web-1",
        "IP: 127.0.0.1",
        "IP: ::1",
        "IP: 10.244.1.2",
        "IP: fd00::2",
        "RemoteAddr: 10.1.1.1:4000",
        "GET /x HTTP/1.1",
        "Host: web",
        "Accept: */*",
    ]


def test_http_echo() -> None:
    program = web.http_echo(context("-text", "apple", "-listen=:8080"))
    assert program.listeners[0].port == 8080
    assert answer(program, "/") == (200, "apple\n")


def test_files_are_served_and_nothing_beside_them(tmp_path: Path) -> None:
    root = tmp_path / "html"
    (root / "deep").mkdir(parents=True)
    (root / "index.html").write_text("front")
    (root / "deep/a.txt").write_text("a")
    (root / "out").symlink_to("/etc")
    (tmp_path / "secret").write_text("no")
    program = web.nginx(context(locate=lambda _path: root))
    assert answer(program, "/") == (200, "front")
    assert answer(program, "/deep/a.txt") == (200, "a")
    assert answer(program, "/deep")[0] == 403
    for path in ("/nosuch", "/../secret", "/out/passwd"):
        assert answer(program, path)[0] == 404


def converse(program: Program, said: bytes) -> bytes:
    """What a TCP server answers to `said`."""

    async def scenario() -> bytes:
        handler: Callable[..., Awaitable[None]] = program.listeners[0].handler  # type: ignore[assignment]

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await handler(reader, writer, Peer("10.1.1.1", 4000))
            except EOFError:
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(said)
            writer.write_eof()
            return await reader.read()

    return asyncio.run(scenario())


def test_redis() -> None:
    set_k = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\nab\r\n"
    said = b"PING\r\n" + set_k + b"GET k\r\nGET x\r\nINCR n\r\nINCR k\r\nDEL k x\r\nKEYS *\r\nGET\r\nFLY\r\n"
    assert converse(databases.redis(context()), said).split(b"\r\n") == [
        b"+PONG", b"+OK", b"$2", b"ab", b"$-1", b":1",
        b"-ERR value is not an integer or out of range",
        b":1", b"*1", b"$1", b"n", b"-ERR wrong number of arguments for 'get' command",
        b"-ERR unknown command 'FLY'", b"",
    ]  # fmt: skip


def test_postgres_takes_a_client_in() -> None:
    start = b"\0\0\0\x08\x04\xd2\x16\x2f" + b"\0\0\0\x0d\0\3\0\0user\0"
    answer = converse(databases.postgres(context()), start + b"Q\0\0\0\x0dSELECT 1" + b"X\0\0\0\x04")
    assert answer.startswith(b"NR\0\0\0\x08\0\0\0\0S")
    assert answer.count(b"Z\0\0\0\x05I") == 2


def test_mysql_greets_first() -> None:
    greeting = converse(databases.mysql(context()), b"")
    assert greeting[4:].startswith(b"\x0a8.4.2\0")


@pytest.mark.parametrize(
    ("files", "ports"),
    [
        ({}, [80]),
        ({"nginx.conf": "server { listen 8080; listen [::]:8080 default_server; }"}, [8080]),
        ({"nginx.conf": "# listen 1;\nlisten 0.0.0.0:81;\nlisten unix:/run/x.sock;"}, [81]),
        (
            {"conf.d/a.conf": "listen 82;", "conf.d/b.conf": "listen\t83 ssl;", "conf.d/c": "listen 84;"},
            [82, 83],
        ),
    ],
)
def test_nginx_listens_where_its_configuration_says(
    files: dict[str, str], ports: list[int], tmp_path: Path
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    program = web.nginx(context(locate=lambda path: tmp_path / path.removeprefix("/etc/nginx/")))
    assert [listener.port for listener in program.listeners] == ports
