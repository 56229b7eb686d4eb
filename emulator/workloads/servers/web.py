"""Web servers: nginx, httpd, whoami, hello-app, http-echo, echoserver, httpbin, podinfo."""

from __future__ import annotations

import json
import mimetypes
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from emulator.workloads.servers.arguments import Flags
from emulator.workloads.servers.nginx_conf import configured_ports
from emulator.workloads.servers.program import Context, HttpListener, Program, Request, Response

NGINX_ROOT = "/usr/share/nginx/html"
HTTPD_ROOT = "/usr/local/apache2/htdocs"
NGINX_WELCOME = """\
<!DOCTYPE html>
<html>
<head>
<title>Welcome to nginx!</title>
</head>
<body>
<h1>Welcome to nginx!</h1>
<p>A server of the emulator stands in for this image.</p>
</body>
</html>
"""
HTTPD_WELCOME = "<html><body><h1>It works!</h1></body></html>\n"
_HTML = "text/html"
_JSON = "application/json"
_INDEXES = ("index.html", "index.htm")


@dataclass(frozen=True, slots=True)
class _Site:
    """A web server that serves files."""

    root: str
    welcome: str
    """Its front page while nobody has looked into the container, which is when the root is made."""
    server: str


_NGINX = _Site(NGINX_ROOT, NGINX_WELCOME, "nginx/1.27.0")


def nginx(context: Context) -> Program:
    """nginx: files below its document root, on port 80 or those that a mounted configuration listens on."""
    return _files(context, configured_ports(context) or (80,), _NGINX)


def nginx_unprivileged(context: Context) -> Program:
    """nginx as the unprivileged and Bitnami images run it."""
    return _files(context, configured_ports(context) or (8080,), _NGINX)


def httpd(context: Context) -> Program:
    """Apache: files below its document root, on port 80."""
    return _files(context, (80,), _Site(HTTPD_ROOT, HTTPD_WELCOME, "Apache/2.4.62 (Unix)"))


def whoami(context: Context) -> Program:
    """traefik/whoami: what it knows of itself and of the request."""
    flags = Flags.parse(context.arguments, frozenset({"verbose"}))
    port = flags.number("port", int(context.environment.get("WHOAMI_PORT_NUMBER") or 80))
    name = flags.text("name", context.environment.get("WHOAMI_NAME", ""))

    async def answer(request: Request) -> Response:
        if request.path == "/health":
            return Response()
        if request.path == "/api":
            known = {
                "hostname": context.hostname,
                "ip": ["127.0.0.1", "::1", *context.addresses],
                "headers": _grouped(request),
                "url": request.target,
                "host": request.header("Host"),
                "method": request.method,
                "remoteAddr": str(request.client),
            }
            return Response(json.dumps(known), content_type=_JSON)
        lines = [f"Name: {name}"] if name else []
        lines += [f"Hostname: {context.hostname}", "IP: 127.0.0.1", "IP: ::1"]
        lines += [f"IP: {address}" for address in context.addresses]
        lines += [f"RemoteAddr: {request.client}", f"{request.method} {request.target} {request.version}"]
        lines += [f"{key}: {value}" for key, value in request.headers]
        return Response("\n".join(lines) + "\n")

    return Program((HttpListener(port, answer),), (f"Starting up on port {port}",), exit_status=2)


def hello_app(context: Context) -> Program:
    """google-samples/hello-app: version, hostname, on port 8080 or $PORT."""
    port = int(context.environment.get("PORT") or 8080)

    async def answer(request: Request) -> Response:
        context.log(f"Serving request: {request.path}")
        return Response(f"Hello, world!\nVersion: 1.0.0\nHostname: {context.hostname}\n")

    return Program((HttpListener(port, answer),), (f"Server listening on port {port}",), exit_status=2)


def http_echo(context: Context) -> Program:
    """hashicorp/http-echo: one text for every request."""
    flags = Flags.parse(context.arguments)
    port = int(flags.text("listen", ":5678").rpartition(":")[2])
    text = flags.text("text", context.environment.get("ECHO_TEXT", "hello-world"))
    status = flags.number("status-code", 200)

    async def answer(request: Request) -> Response:
        if request.path == "/health":
            return Response('{"status":"ok"}\n', content_type=_JSON)
        context.log(f"{request.client} {request.header('Host')} {request.method} {request.target} {status}")
        return Response(f"{text}\n", status)

    return Program((HttpListener(port, answer),), (f"[INFO] server is listening on :{port}",))


def echoserver(context: Context) -> Program:
    """The echoserver images: the request as it arrived, on port 8080."""

    async def answer(request: Request) -> Response:
        headers = "".join(f"\t{name.lower()}={value}\n" for name, value in sorted(request.headers))
        body = request.body.decode(errors="replace") or "-no body in request-"
        return Response(
            f"\n\nHostname: {context.hostname}\n\nPod Information:\n"
            f"\tnode name:\t{context.node}\n\tpod name:\t{context.pod}\n"
            f"\tpod namespace:\t{context.namespace}\n\tpod IP:\t{next(iter(context.addresses), '')}\n\n"
            f"Request Information:\n\tclient_address={request.client.address}\n\tmethod={request.method}\n"
            f"\treal path={request.target}\n\trequest_version={request.version.partition('/')[2]}\n"
            f"\trequest_uri=http://{request.header('Host')}:{request.server.port}{request.target}\n\n"
            f"Request Headers:\n{headers}\nRequest Body:\n{body}\n\n"
        )

    return Program((HttpListener(int(context.environment.get("PORT") or 8080), answer),))


def httpbin(context: Context) -> Program:
    """httpbin: /get, /post, /anything, /headers, /ip, /status/N, /hostname."""
    arguments = " ".join(context.arguments)
    port = 8080 if "8080" in arguments or any(port.port == 8080 for port in context.ports) else 80

    async def answer(request: Request) -> Response:
        first, _, rest = request.path.removeprefix("/").partition("/")
        if first == "status" and rest.isdigit():
            return Response("", int(rest))
        if first == "ip":
            return Response(json.dumps({"origin": request.client.address}), content_type=_JSON)
        if first == "headers":
            return Response(json.dumps({"headers": dict(request.headers)}), content_type=_JSON)
        if first == "hostname":
            return Response(json.dumps({"hostname": context.hostname}), content_type=_JSON)
        if first not in ("", "get", "post", "put", "delete", "patch", "anything"):
            return Response("", 404)
        return Response(
            json.dumps(
                {
                    "args": dict(request.query),
                    "data": request.body.decode(errors="replace"),
                    "headers": dict(request.headers),
                    "method": request.method,
                    "origin": request.client.address,
                    "url": f"http://{request.header('Host')}{request.target}",
                }
            ),
            content_type=_JSON,
        )

    return Program((HttpListener(port, answer),))


def podinfo(context: Context) -> Program:
    """stefanprodan/podinfo: version and hostname, with its health endpoints, on port 9898."""
    port = Flags.parse(context.arguments, frozenset({"h2c", "random-delay"})).number("port", 9898)

    async def answer(request: Request) -> Response:
        if request.path in ("/healthz", "/readyz"):
            return Response('{"status":"OK"}', content_type=_JSON)
        known = {"hostname": context.hostname, "version": "6.7.0", "message": "greetings", "num_cpu": "2"}
        return Response(json.dumps(known, indent=2), content_type=_JSON)

    return Program((HttpListener(port, answer),))


def _files(context: Context, ports: Sequence[int], site: _Site) -> Program:
    async def answer(request: Request) -> Response:
        response = _file(context, site, request)
        context.log(_access_line(request, response))
        return response

    return Program(tuple(HttpListener(port, answer, site.server) for port in ports))


def _file(context: Context, site: _Site, request: Request) -> Response:
    """The file that a path names below the document root."""
    if request.method not in ("GET", "HEAD"):
        return _error(HTTPStatus.METHOD_NOT_ALLOWED)
    directory = context.locate(site.root)
    if directory is None or not directory.is_dir():
        welcome = request.path in ("/", "/index.html")
        return Response(site.welcome, content_type=_HTML) if welcome else _error(HTTPStatus.NOT_FOUND)
    path = _below(directory, request.path)
    if path is not None and path.is_dir():
        path = next((path / name for name in _INDEXES if (path / name).is_file()), None)
        if path is None:
            return _error(HTTPStatus.FORBIDDEN)
    if path is None or not path.is_file():
        return _error(HTTPStatus.NOT_FOUND)
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return Response(path.read_bytes(), content_type=kind)


def _below(directory: Path, path: str) -> Path | None:
    """`path` inside `directory`; None for one that links or climbs out of it."""
    real, root = os.path.realpath(directory / path.lstrip("/")), os.path.realpath(directory)
    return Path(real) if real == root or real.startswith(root + os.sep) else None


def _error(status: HTTPStatus) -> Response:
    title = f"{status.value} {status.phrase}"
    page = f"<html>\n<head><title>{title}</title></head>\n<body><h1>{title}</h1></body>\n</html>\n"
    return Response(page, status.value, _HTML)


def _access_line(request: Request, response: Response) -> str:
    """The access log's common form."""
    when = time.strftime("%d/%b/%Y:%H:%M:%S %z")
    line = f'"{request.method} {request.target} {request.version}" {response.status} {len(response.content)}'
    return f'{request.client.address} - - [{when}] {line} "-" "{request.header("User-Agent") or "-"}" "-"'


def _grouped(request: Request) -> Mapping[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, value in request.headers:
        grouped.setdefault(name, []).append(value)
    return grouped
