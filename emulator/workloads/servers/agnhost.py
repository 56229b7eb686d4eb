"""agnhost: the image of Kubernetes' own end-to-end tests, as far as it serves.

Behaviour as in kubernetes/kubernetes test/images/agnhost (netexec, serve-hostname, porter, liveness,
test-webserver, pause).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from functools import partial

from emulator.workloads.servers import dial
from emulator.workloads.servers.arguments import Flags, seconds
from emulator.workloads.servers.program import (
    Context,
    DatagramListener,
    HttpListener,
    Listener,
    Peer,
    Program,
    ProgramError,
    Request,
    Response,
    StreamListener,
)

_LIVE_SECONDS = 10.0
_PORTER_TCP = ("SERVE_PORT_", "SERVE_TCP_PORT_")
Route = Callable[[Request], Awaitable[Response]]


def agnhost(context: Context) -> Program:
    """agnhost: netexec, serve-hostname, porter, liveness, test-webserver, connect; without a word, pause."""
    subcommand, *arguments = context.arguments or ("pause",)
    makers = {
        "netexec": netexec,
        "serve-hostname": serve_hostname,
        "porter": porter,
        "liveness": liveness,
        "test-webserver": web_server,
    }
    if subcommand == "pause":
        return pause(context)
    if subcommand not in makers:
        raise ProgramError(f'unknown command "{subcommand}" for "app"')
    return makers[subcommand](context, Flags.parse(arguments))


def pause(_context: Context) -> Program:
    """`agnhost pause`, and the pause image: it only waits."""
    return Program(greeting=("Paused",))


def netexec(context: Context, flags: Flags) -> Program:
    """`agnhost netexec`: HTTP, UDP and, when asked, SCTP."""
    http_port, udp_port = flags.number("http-port", 8080), flags.number("udp-port", 8081)
    sctp_port = flags.number("sctp-port", -1)
    listeners: list[Listener] = [HttpListener(http_port, _NetExec(context, flags).answer)]
    greeting = [f"Started HTTP server on port {http_port}"]
    if udp_port != -1:
        for address in flags.text("udp-listen-addresses").split(","):
            listeners.append(DatagramListener(udp_port, partial(_answer_word, context), address))
        greeting.append(f"Started UDP server on port  {udp_port}")
    if sctp_port != -1:
        listeners.append(StreamListener(sctp_port, partial(_converse, context), sctp=True))
        greeting.append("Started SCTP server")
    return Program(listeners, greeting, linger=float(flags.number("delay-shutdown", 0)), exit_status=2)


def serve_hostname(context: Context, flags: Flags) -> Program:
    """`agnhost serve-hostname`: the hostname, over HTTP unless --tcp or --udp ask otherwise."""
    over_tcp, over_udp = flags.switch("tcp", default=False), flags.switch("udp", default=False)
    over_http = flags.switch("http", default=True)
    if over_http and (over_tcp or over_udp):
        raise ProgramError("Can't server TCP/UDP mode and HTTP mode at the same time")
    port, name = flags.number("port", 9376), context.hostname
    closing = {"Connection": "close"} if flags.switch("close", default=False) else {}

    async def over_web(request: Request) -> Response:
        context.log(f"HTTP request from {request.client}")
        return Response(name, headers=closing)

    async def over_stream(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: Peer) -> None:
        context.log(f"TCP request from {peer}")
        writer.write(name.encode())

    def over_datagram(_data: bytes, peer: Peer) -> bytes:
        context.log(f"UDP request from {peer}")
        return name.encode()

    listeners: list[Listener] = [HttpListener(port, over_web)] if over_http else []
    listeners += [StreamListener(port, over_stream)] if over_tcp else []
    listeners += [DatagramListener(port, over_datagram)] if over_udp else []
    return Program(listeners, (f"Serving on port {port}.",))


def porter(context: Context, flags: Flags) -> Program:
    """`agnhost porter`: a fixed answer on every port named by a SERVE_*PORT_* variable."""
    as_json = flags.switch("json-response", default=False)
    listeners: list[Listener] = []
    for name, value in sorted(context.environment.items()):
        prefix, _, number = name.rpartition("_")
        if not number.isdigit():
            continue
        if f"{prefix}_" in _PORTER_TCP:
            listeners.append(HttpListener(int(number), partial(_fixed, value, as_json)))
        elif prefix == "SERVE_UDP_PORT":
            listeners.append(DatagramListener(int(number), partial(_fixed_datagram, value)))
        elif prefix == "SERVE_SCTP_PORT":
            listeners.append(StreamListener(int(number), partial(_fixed_stream, value), sctp=True))
    return Program(listeners, exit_status=2)


def liveness(context: Context, _flags: Flags) -> Program:
    """`agnhost liveness`: healthy for ten seconds, then not."""
    started = time.monotonic()

    async def answer(request: Request) -> Response:
        alive = time.monotonic() - started
        if request.path == "/healthz" and alive > _LIVE_SECONDS:
            return Response(f"error: {alive:.6f}", 500)
        return Response("ok" if request.path == "/healthz" else f"{alive:.6f}")

    context.log("Started HTTP server on port 8080")
    return Program((HttpListener(8080, answer),), exit_status=2)


def web_server(context: Context, flags: Flags) -> Program:
    """`agnhost test-webserver`: files of the container's volumes."""

    async def answer(request: Request) -> Response:
        path = context.locate(request.path)
        if path is None or not path.is_file():
            return Response("404 page not found\n", 404)
        return Response(path.read_bytes())

    return Program((HttpListener(flags.number("port", 80), answer),), exit_status=2)


class _NetExec:
    """The HTTP side of netexec."""

    def __init__(self, context: Context, flags: Flags) -> None:
        self._context = context
        self._override = flags.text("http-override")
        self._routes: dict[str, Route] = {
            "/clientip": self._client_ip,
            "/dial": self._dial,
            "/echo": self._echo,
            "/exit": self._exit,
            "/header": self._header,
            "/healthz": self._healthz,
            "/hostName": self._hostname,
            "/hostname": self._hostname,
            "/redirect": self._redirect,
            "/shell": self._shell,
            "/shutdown": self._shutdown,
        }

    async def answer(self, request: Request) -> Response:
        """Route a request, as Go's ServeMux does: unknown paths are the root's."""
        self._context.log(f"{request.method} {request.target}")
        path = self._override.partition("?")[0] or request.path
        return await self._routes.get(path, self._root)(request)

    async def _root(self, _request: Request) -> Response:
        return Response(f"NOW: {time.strftime('%Y-%m-%d %H:%M:%S %z %Z')}")

    async def _client_ip(self, request: Request) -> Response:
        return Response(str(request.client))

    async def _hostname(self, _request: Request) -> Response:
        return Response(self._context.hostname)

    async def _healthz(self, _request: Request) -> Response:
        return Response()

    async def _header(self, request: Request) -> Response:
        return Response(request.header(request.query.get("key", "")))

    async def _echo(self, request: Request) -> Response:
        code = request.query.get("code", "")
        if code and not code.isdigit():
            return Response(f"argument 'code' must be an integer or empty, got \"{code}\"\n")
        return Response(request.query.get("msg", ""), int(code or 200))

    async def _redirect(self, request: Request) -> Response:
        code = request.query.get("code", "")
        if code and not code.isdigit():
            return Response(f"argument 'code' must be an integer or empty, got \"{code}\"\n")
        return Response("", int(code or 302), headers={"Location": request.query.get("location", "/")})

    async def _shell(self, request: Request) -> Response:
        command = request.query.get("shellCommand") or request.query.get("cmd", "")
        status, output = await self._context.run(("/bin/sh", "-c", command))
        answer = {"output": output.decode(errors="replace")} if output else {}
        if status:
            answer["error"] = f"exit status {status}"
        return Response(json.dumps(answer, separators=(",", ":")))

    async def _exit(self, request: Request) -> Response:
        code = request.query.get("code", "0")
        try:
            wait = seconds(request.query.get("wait", ""))
        except ValueError as error:
            return Response(f"argument 'wait' must be a valid golang duration or empty: {error}\n")
        if not code.isdigit():
            return Response(f"argument 'code' must be an integer [0-127] or empty, got \"{code}\"\n")
        asyncio.get_running_loop().call_later(wait, self._context.exit, int(code))
        return Response()

    async def _shutdown(self, _request: Request) -> Response:
        self._context.exit(0)
        return Response()

    async def _dial(self, request: Request) -> Response:
        query = request.query
        if not query.get("request"):
            return Response("request parameter not specified. <nil>\n", 400)
        tries, protocol = query.get("tries") or "1", (query.get("protocol") or "http").lower()
        if not tries.isdigit() or not query.get("port", "").isdigit():
            return Response("tries or port parameter is invalid.\n", 400)
        if protocol not in ("http", "udp"):
            return Response(f"unsupported protocol. {protocol}\n", 400)
        responses, errors = [], []
        for _ in range(int(tries)):
            try:
                call = dial.http if protocol == "http" else dial.udp
                responses.append(
                    await call(self._context, query["host"], int(query["port"]), query["request"])
                )
            except OSError as error:
                errors.append(str(error))
        found = {"responses": responses, "errors": errors}
        return Response(json.dumps({name: texts for name, texts in found.items() if texts}))


def _answer_word(context: Context, data: bytes, peer: Peer) -> bytes | None:
    """What netexec answers to a word over UDP or SCTP."""
    word = data.decode(errors="replace").strip().lower()
    if word == "hostname":
        return context.hostname.encode()
    if word == "clientip":
        return str(peer).encode()
    if word.startswith("echo "):
        return word.removeprefix("echo ").encode()
    if word:
        context.log(f"Unknown UDP command received from {peer}: {word}")
    return None


async def _converse(
    context: Context, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: Peer
) -> None:
    answer = _answer_word(context, await reader.read(1024), peer)
    if answer is not None:
        writer.write(answer)


async def _fixed(value: str, as_json: bool, request: Request) -> Response:  # noqa: FBT001
    if as_json:
        text = json.dumps({"Method": request.method, "Body": value}, separators=(",", ":"))
        return Response(text, content_type="application/json")
    return Response(value)


def _fixed_datagram(value: str, _data: bytes, _peer: Peer) -> bytes:
    return value.encode()


async def _fixed_stream(
    value: str, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _peer: Peer
) -> None:
    writer.write(value.encode())
