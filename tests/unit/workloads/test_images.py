from __future__ import annotations

import pytest

from emulator.workloads.images import IMAGES, Plan, Run, Serve, image_named, plan
from emulator.workloads.servers import agnhost, databases, web
from emulator.workloads.servers.stand_in import stand_in


def chosen(image: str, *, command: str = "", args: str = "", interactive: bool = False) -> Plan:
    there = {"sh", "sleep", "python3", "echo", "/bin/sh"}
    return plan(
        image,
        command.split(),
        args.split(),
        interactive=interactive,
        available=lambda program: program in there,
    )


@pytest.mark.parametrize(
    "reference",
    [
        "nginx",
        "nginx:1.25-alpine",
        "library/nginx",
        "docker.io/library/nginx:latest",
        "registry.example.com:5000/mirror/nginx@sha256:0123",
    ],
)
def test_an_image_is_known_by_its_name_whatever_is_around_it(reference: str) -> None:
    assert image_named(reference) is IMAGES["nginx"]


def test_an_organisation_may_make_a_difference() -> None:
    assert image_named("bitnami/nginx:1") is IMAGES["bitnami/nginx"]
    assert image_named("corp/shop:v1") is None


@pytest.mark.parametrize(
    ("image", "words", "program", "arguments"),
    [
        ("nginx", {}, web.nginx, ()),
        ("nginx", {"command": "nginx -g daemon-off;"}, web.nginx, ("-g", "daemon-off;")),
        ("nginx", {"args": "nginx -g daemon-off;"}, web.nginx, ("-g", "daemon-off;")),
        ("agnhost", {"args": "netexec --http-port=80"}, agnhost.agnhost, ("netexec", "--http-port=80")),
        ("agnhost", {"command": "/agnhost netexec"}, agnhost.agnhost, ("netexec",)),
        ("agnhost", {}, agnhost.agnhost, ()),
        ("redis:7", {"args": "--port 6380"}, databases.redis, ("--port", "6380")),
        ("redis:7", {"command": "redis-server --port 6380"}, databases.redis, ("--port", "6380")),
        ("corp/cache", {"command": "/usr/bin/redis-server"}, databases.redis, ()),
        ("hashicorp/http-echo", {"args": "-text=hi"}, web.http_echo, ("-text=hi",)),
        ("corp/shop", {}, stand_in, ()),
        ("corp/shop", {"args": "--serve"}, stand_in, ("--serve",)),
        ("corp/shop", {"command": "/app/server --port 1"}, stand_in, ("--port", "1")),
        ("corp/shop", {"command": "python3 -u app.py"}, stand_in, ("-u", "app.py")),
        ("corp/shop", {"command": "sh /entrypoint.sh"}, stand_in, ("/entrypoint.sh",)),
    ],
)
def test_servers_are_played(
    image: str, words: dict[str, str], program: object, arguments: tuple[str, ...]
) -> None:
    what = chosen(image, **words)
    assert isinstance(what, Serve)
    assert (what.program, what.arguments) == (program, arguments)


@pytest.mark.parametrize(
    ("image", "words", "argv", "busybox"),
    [
        ("busybox", {}, "sh", True),
        ("busybox", {"command": "sleep 3600"}, "sleep 3600", True),
        ("busybox", {"args": "sleep 3600"}, "sleep 3600", True),
        ("alpine:3", {"command": "sh -c", "args": "date"}, "sh -c date", True),
        ("busybox", {"command": "httpd -f -p 80"}, "httpd -f -p 80", True),
        ("curlimages/curl", {"args": "-s http://web"}, "curl -s http://web", False),
        ("python:3.12", {"command": "python3 -m http.server"}, "python3 -m http.server", False),
        ("nginx", {"command": "sh -c true"}, "sh -c true", False),
        ("nginx", {"args": "sleep 1"}, "sleep 1", False),
        ("corp/shop", {"command": "sh -c true"}, "sh -c true", False),
        ("agnhost", {"args": "connect db:5432"}, "/agnhost connect db:5432", False),
        ("busybox", {"command": "nosuch"}, "nosuch", True),
    ],
)
def test_commands_are_real(image: str, words: dict[str, str], argv: str, busybox: bool) -> None:
    what = chosen(image, **words)
    assert isinstance(what, Run)
    assert (" ".join(what.argv), what.busybox) == (argv, busybox)


def test_a_stand_in_says_why() -> None:
    what = chosen("corp/shop", command="/app/server")
    assert isinstance(what, Serve)
    assert "/app/server" in what.notice


def test_a_shell_with_an_open_input_waits() -> None:
    assert isinstance(chosen("busybox", interactive=True), Serve)


def test_document_roots_are_writable() -> None:
    assert list(chosen("nginx").writable) == [web.NGINX_ROOT]
    assert list(chosen("nginx", command="sh -c true").writable) == [web.NGINX_ROOT]
