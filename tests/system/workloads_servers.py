"""Cases of `workloads_lab.py`: servers that images and commands stand for."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from pathlib import Path

from workloads_bench import BUSY, NODE, Bench, address, image, shell

from emulator.workloads.servers.serving import inside


async def servers_answer(b: Bench) -> None:
    """Images of the table serve what theirs serve, and see the client's own address."""
    client = await b.up(BUSY, name="client")
    nginx = await b.up(image("nginx:1.25", ports=[{"containerPort": 80}]), name="nginx")
    netexec = await b.up(image("registry.k8s.io/e2e-test-images/agnhost:2.53", "netexec"), name="netexec")
    hostname = await b.up(image("agnhost", "serve-hostname", "--port=9376"), name="hostname")
    over_udp = await b.up(
        image("agnhost", "serve-hostname", "--http=false", "--udp", "--port=53"), name="udp"
    )
    porter = await b.up(
        image("agnhost", "porter", env=[{"name": "SERVE_PORT_81", "value": "eighty-one"}]), name="porter"
    )
    whoami = await b.up(image("traefik/whoami", "--port=8000"), name="whoami")
    redis = await b.up(image("redis:7"), name="redis")
    unknown = await b.up(
        image("corp/shop:v1", ports=[{"containerPort": 9000}, {"containerPort": 9001, "protocol": "UDP"}]),
        name="unknown",
    )
    echo = await b.up(image("hashicorp/http-echo", "-text=hello", "-listen=:5678"), name="echo")
    await b.ready(
        "client", "nginx", "netexec", "hostname", "udp", "porter", "whoami", "redis", "unknown", "echo"
    )
    here = address(client)

    assert "Welcome to nginx!" in (await b.fetch(client, f"http://{address(nginx)}/")).text
    assert "404" in (await b.fetch(client, f"http://{address(nginx)}/x")).text
    web = f"http://{address(netexec)}:8080"
    assert (await b.fetch(client, f"{web}/hostname")).text == "netexec"
    assert (await b.fetch(client, f"{web}/clientip")).text.startswith(f"{here}:")
    assert (await b.fetch(client, f"{web}/echo?msg=hi&code=418", "-w", "%{http_code}")).text == "hi418"
    assert (await b.fetch(client, f"{web}/healthz", "-w", "%{http_code}")).text == "200"
    ran = json.loads((await b.fetch(client, f"{web}/shell?cmd=hostname%3Bexit%207")).text)
    assert ran == {"output": "netexec\n", "error": "exit status 7"}
    dialled = await b.fetch(client, f"{web}/dial?host={address(hostname)}&port=9376&request=x&tries=2")
    assert json.loads(dialled.text) == {"responses": ["hostname", "hostname"]}
    for word, answer in ((b"hostname", "netexec"), (b"echo Hello", "hello"), (b"clientip", f"{here}:")):
        said = await b.near(client, "socat", "-t1", "-", f"udp:{address(netexec)}:8081", given=word)
        assert said.text.startswith(answer), said
    assert (
        await b.near(client, "socat", "-t1", "-", f"udp:{address(over_udp)}:53", given=b"x")
    ).text == "udp"
    assert (await b.fetch(client, f"http://{address(porter)}:81/any")).text == "eighty-one"
    assert f"RemoteAddr: {here}:" in (await b.fetch(client, f"http://{address(whoami)}:8000/")).text
    ping = await b.near(
        client, "socat", "-t1", "-", f"tcp:{address(redis)}:6379", given=b"SET a 1\r\nGET a\r\nPING\r\n"
    )
    assert ping.text == "+OK\r\n$1\r\n1\r\n+PONG\r\n"
    told = json.loads((await b.fetch(client, f"http://{address(unknown)}:9000/p")).text)
    expected = {
        "pod": "unknown",
        "namespace": "shop",
        "node": "worker-1",
        "container": "main",
        "client": here,
    }
    assert expected.items() <= told.items()
    assert (
        await b.near(client, "socat", "-t1", "-", f"udp:{address(unknown)}:9001", given=b"abc")
    ).text == "abc"
    assert (await b.fetch(client, f"http://{address(echo)}:5678/")).text == "hello\n"


async def a_served_container_can_be_entered(b: Bench) -> None:
    """It has processes, files and a name of its own; what is written into the document root is served."""
    web = await b.up(image("nginx"), name="web")
    await b.ready("web")
    assert (await b.inside(web, "hostname; echo new > /usr/share/nginx/html/index.html")).text == "web\n"
    assert (await b.fetch(web, f"http://{address(web)}/")).text == "new\n"
    processes = (await b.inside(web, "ps -e -o args")).text
    assert processes.splitlines()[1].startswith("nginx")
    assert "python" not in processes
    await b.inside(web, "kill 1")
    await b.until(lambda: b.container("web").get("restartCount") == 1)
    await b.ready("web")
    assert (await b.fetch(web, f"http://{address(web)}/")).text == "new\n"


async def shells_start_servers(b: Bench) -> None:
    """`nginx` in a shell's command line is played too, with the files that the shell wrote."""
    script = "echo $HOSTNAME > /usr/share/nginx/html/index.html; exec nginx -g 'daemon off;'"
    pod = await b.up({"name": "main", "image": "nginx", "command": ["sh", "-c", script]})
    answer = {"readinessProbe": {"httpGet": {"port": 80}, "failureThreshold": 9}}
    behind = {"name": "main", "image": "nginx", "command": ["bash", "-c", "nginx; sleep 1000"], **answer}
    await b.up(behind, name="behind")
    names = "/agnhost serve-hostname --tcp --http=false --port 80"
    wrapped = {"name": "main", "image": "agnhost:2.45", "command": ["/bin/bash", "-c", names]}
    named = await b.up({**wrapped, "readinessProbe": {"tcpSocket": {"port": 80}}}, name="named")
    clash = {
        "name": "main",
        "image": "corp/x",
        "command": ["sh", "-c", "redis-server & sleep 0.5; redis-server"],
    }
    clashing = await b.up(clash, name="clash")
    await b.ready("behind")
    await b.ready("named")
    assert (await b.near(pod, "socat", "-u", f"tcp:{address(named)}:80", "-")).text == "named"
    await b.until(lambda: bool(b.container("clash").get("lastState")))
    assert b"redis-server: listen tcp :6379: bind: address already in use" in b.runtime.logs(
        clashing, previous=True
    )
    assert (await b.fetch(pod, f"http://{address(pod)}/")).text == "pod\n"
    await b.inside(pod, "pkill nginx || kill 2")
    await b.until(lambda: bool(b.container()["lastState"]))
    await b.runtime.stop(pod, 5)
    assert (await b.fetch(pod, f"http://{address(pod)}/")).status == 7


async def a_taken_port_is_refused(b: Bench) -> None:
    """The second server of a pod, or of a node's host network, fails as in life."""
    first, second = image("nginx"), {**image("httpd"), "name": "second"}
    pod = await b.up(first, second)
    await b.until(
        lambda: "waiting" in b.container(number=1).get("state", {}) and b.container(number=1)["lastState"]
    )
    ended = b.container(number=1)["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (1, "Error")
    assert "address already in use" in ended["message"]
    assert b.container(number=1)["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert b.container(number=0)["ready"]
    assert not b.is_ready("pod")
    assert b"address already in use" in b.runtime.logs(pod, "second")
    await b.up(image("agnhost", "netexec"), name="host-1", hostNetwork=True)
    await b.ready("host-1")
    await b.up(image("agnhost", "netexec"), name="host-2", hostNetwork=True)
    await b.until(lambda: bool(b.container("host-2").get("lastState")))
    assert "address already in use" in b.container("host-2")["lastState"]["terminated"]["message"]
    assert (await b.fetch(pod, f"http://{NODE}:8080/hostname")).text == "worker-1"


async def ready_means_listening(b: Bench) -> None:
    """A command that declares a port and has no probe is ready when it listens; one that never does, soon."""
    declared = {"ports": [{"containerPort": 8080}]}
    late = await b.up(shell("usleep 300000; exec httpd -f -p 8080 -h /etc", **declared), name="late")
    await b.ready("late")
    assert (await b.fetch(late, f"http://{address(late)}:8080/hostname")).text == "late\n"
    began = time.monotonic()
    await b.up(shell("sleep 1000", **declared), name="never")
    await b.ready("never")
    assert time.monotonic() - began < 5


async def a_server_ends_without_its_clients(b: Bench) -> None:
    """A client that neither asks nor leaves, as one whose own pod is gone, keeps no server from ending."""
    web = await b.up(image("nginx"), name="web")
    await b.up(BUSY, name="client")
    await b.ready("web", "client")
    with inside(Path("/run/netns/client")):
        connection = socket.create_connection((address(web), 80), timeout=5)
    with connection:
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(connection, b"GET / HTTP/1.1\r\nHost: web\r\n\r\n")
        assert (await loop.sock_recv(connection, 4096)).startswith(b"HTTP/1.1 200")
        async with asyncio.timeout(10):
            await b.runtime.stop(web, 0)
