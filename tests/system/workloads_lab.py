"""Containers in a sandbox, one case a process: `python workloads_lab.py CASE`. Failing cases raise."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from workloads_bench import NODE, Bench, Objects, address, bench, ip, run

from emulator.api.objects import JsonObject

DENIED = ("denied", "permitted")
READ_ONLY = ("Read-only", "denied", "nonexistent")
BUSY = {"name": "main", "image": "busybox", "command": ["sleep", "infinity"]}


def shell(script: str, **fields: object) -> JsonObject:
    return {"name": "main", "image": "busybox", "command": ["sh", "-c", script], **fields}


def image(name: str, *args: str, **fields: object) -> JsonObject:
    return {"name": "main", "image": name, "args": list(args), **fields}


def read(path: str) -> str:
    with open(path) as file:
        return file.read()


def exists(path: str) -> bool:
    return os.path.lexists(path)


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
    clash = {
        "name": "main",
        "image": "corp/x",
        "command": ["sh", "-c", "redis-server & sleep 0.5; redis-server"],
    }
    clashing = await b.up(clash, name="clash")
    await b.ready("behind")
    await b.until(lambda: bool(b.container("clash").get("lastState")))
    assert b"redis-server: listen tcp :6379: bind: address already in use" in b.runtime.logs(
        clashing, previous=True
    )
    assert (await b.fetch(pod, f"http://{address(pod)}/")).text == "pod\n"
    await b.inside(pod, "pkill nginx || kill 2")
    await b.until(lambda: bool(b.container()["lastState"]))
    await b.runtime.stop(pod, 5)
    assert (await b.fetch(pod, f"http://{address(pod)}/")).status == 7


async def nothing_of_the_host_can_be_changed(b: Bench) -> None:
    """A container's root has few rights: the host's files, mounts, settings and network are out of reach."""
    pod = await b.up(BUSY)
    await b.ready()
    attempts = {
        "mount -o remount,rw,bind /": DENIED,
        "mount -o remount,rw,bind /usr": DENIED,
        "mount -t tmpfs x /tmp": DENIED,
        "umount /etc/hosts": DENIED,
        "touch /etc/canary": READ_ONLY,
        "echo x >> /etc/passwd": READ_ONLY,
        "touch /usr/bin/canary": READ_ONLY,
        "touch /busybox/canary": READ_ONLY,
        "echo 1 > /proc/sys/net/ipv4/ip_forward": READ_ONLY,
        "echo 1 > /proc/sys/kernel/panic": READ_ONLY,
        "echo b > /proc/sysrq-trigger": READ_ONLY,
        "cat /etc/shadow": DENIED,
        "ls /proc/1/root/": DENIED,
        "cat /proc/1/environ": DENIED,
        "mknod /tmp/disk b 8 0": DENIED,
        "nsenter -t 1 -m true": DENIED,
        "unshare -m true": DENIED,
        "python3 -c 'import ctypes,os;c=ctypes.CDLL(None,use_errno=True);"
        'print(os.strerror((c.mount(b"",b"/usr",None,0x1020,None),ctypes.get_errno())[1]))\'': "permitted",
    }
    for attempt, refusal in attempts.items():
        if attempt == "cat /etc/shadow" and os.stat("/etc/shadow").st_uid == 0:
            continue
        answer = await b.inside(pod, attempt)
        assert any(word in answer.text for word in refusal), (attempt, answer)
    nested = await b.inside(pod, "unshare -Urm mount -o remount,rw,bind /usr; touch /usr/canary")
    assert "Read-only" in nested.text or "ermi" in nested.text, nested
    assert not exists("/usr/canary")
    for path in ("/home", "/root", "/run", "/var/lib", "/tmp"):
        seen = (await b.inside(pod, f"ls -A {path}")).text
        assert seen == "", (path, seen)
    held = (await b.inside(pod, "grep -E 'Cap(Eff|Bnd|Inh|Amb)|NoNewPrivs' /proc/self/status")).text.split()
    rights = "00000000000034eb"
    assert held == [
        "CapInh:",
        "0" * 16,
        "CapEff:",
        rights,
        "CapBnd:",
        rights,
        "CapAmb:",
        "0" * 16,
        "NoNewPrivs:",
        "1",
    ]
    interfaces = (
        await b.inside(pod, "ls /sys/class/net; ip -o link | cut -d: -f2 | cut -d@ -f1")
    ).text.split()
    assert set(interfaces) == {"lo", "eth0"}
    processes = (await b.inside(pod, "ps -o args")).text
    assert "sandbox" not in processes
    assert "pytest" not in processes
    await b.inside(pod, "touch /tmp/mine /canary")
    assert not exists("/tmp/mine")
    assert not exists("/canary")


async def containers_share_the_network_and_nothing_else(b: Bench) -> None:
    """One address and localhost; own files, own processes, own temporary directory."""
    one = {**shell("echo one > /tmp/x; httpd -p 8080 -h /tmp; sleep 1000"), "name": "one"}
    two = {**BUSY, "name": "two"}
    pod = await b.up(one, two)
    await b.ready()
    fetched = (
        "for i in 1 2 3 4 5; do wget -qO- http://127.0.0.1:8080/x && break; usleep 100000; done 2>/dev/null"
    )
    assert (await b.inside(pod, fetched, "two")).text == "one\n"
    assert (await b.inside(pod, "ls /tmp", "two")).text == ""
    assert "httpd" not in (await b.inside(pod, "ps", "two")).text
    assert "httpd" in (await b.inside(pod, "ps", "one")).text
    addresses = [(await b.inside(pod, "ip -o -4 address show eth0", name)).text for name in ("one", "two")]
    assert addresses[0] == addresses[1]


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


async def containers_are_restarted(b: Bench) -> None:
    """At once the first time, then with doubling back-off; what ended before is remembered."""
    pod = await b.up(shell("echo run; exit 3"))
    await b.until(lambda: b.container().get("restartCount") == 3)
    waits = [s["containerStatuses"][0]["state"].get("waiting", {}) for _, s in b.reports]
    messages = [w["message"] for w in waits if w.get("reason") == "CrashLoopBackOff"]
    assert [message.split()[1] for message in messages] == ["0.2s", "0.4s"]
    assert "restarting failed container=main pod=pod_shop(uid-pod)" in messages[0]
    assert b.container()["lastState"]["terminated"]["exitCode"] == 3
    assert b.runtime.logs(pod, previous=True) == b"run\n"
    assert ("Warning", "BackOff", "Back-off restarting failed container main") in b.events

    await b.up(shell("exit 0"), name="done", restartPolicy="OnFailure")
    await b.until(lambda: b.status("done").get("phase") == "Succeeded")
    await b.up(shell("exit 4"), name="failed", restartPolicy="Never")
    await b.until(lambda: b.status("failed").get("phase") == "Failed")
    assert b.container("failed")["state"]["terminated"]["exitCode"] == 4

    missing = await b.up(shell("", command=["/nosuch"]), name="missing")
    await b.until(lambda: bool(b.container("missing").get("lastState")))
    ended = b.container("missing")["lastState"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("StartError", 128)
    assert "/nosuch" in ended["message"]
    assert b"no such file" in b.runtime.logs(missing)

    exits = await b.up(image("agnhost", "netexec"), name="exits")
    await b.ready("exits")
    await b.fetch(exits, f"http://{address(exits)}:8080/exit?code=9")
    await b.until(lambda: b.container("exits")["restartCount"] == 1)
    assert b.container("exits")["lastState"]["terminated"]["exitCode"] == 9
    told = await b.up(
        shell("echo gone wrong > /dev/termination-log; exit 1"), name="told", restartPolicy="Never"
    )
    await b.until(lambda: b.status("told").get("phase") == "Failed")
    assert b.container("told")["state"]["terminated"]["message"] == "gone wrong\n"
    assert b.runtime.logs(told) == b""


async def init_containers_run_in_order(b: Bench) -> None:
    """Each to its end before the next; a failing one holds the pod back; sidecars stay."""
    share = {"volumes": [{"name": "v", "emptyDir": {}}]}
    mounted = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    pod = await b.up(
        shell("cat /v/log; sleep 1000", **mounted),
        initContainers=[
            {**shell("echo one >> /v/log", **mounted), "name": "first"},
            {**image("nginx", **mounted), "name": "sidecar", "restartPolicy": "Always"},
            {**shell("wget -qO- http://127.0.0.1 | grep -c title >> /v/log", **mounted), "name": "second"},
        ],
        **share,
    )
    await b.ready()
    written = await anext(b.runtime.follow(pod))
    assert written == b"one\n1\n"
    states = [entry["state"] for entry in b.status()["initContainerStatuses"]]
    assert [next(iter(state)) for state in states] == ["terminated", "running", "terminated"]

    await b.up(BUSY, name="held", initContainers=[{**shell("exit 1"), "name": "first"}])
    await b.until(
        lambda: (b.status("held").get("initContainerStatuses") or [{}])[0].get("restartCount", 0) >= 1
    )
    assert b.status("held")["phase"] == "Pending"
    assert b.container("held")["state"]["waiting"]["reason"] == "PodInitializing"

    job = await b.up(
        shell("exit 0"),
        name="job",
        restartPolicy="Never",
        initContainers=[{**image("nginx"), "name": "sidecar", "restartPolicy": "Always"}],
    )
    await b.until(lambda: b.status("job").get("phase") == "Succeeded")
    assert (await b.fetch(job, f"http://{address(job)}/")).status == 7, "the sidecar has ended"


async def probes_decide(b: Bench) -> None:
    """Readiness follows the probe, liveness restarts, startup comes first; all from the node."""
    ready = {"exec": {"command": ["test", "-f", "/tmp/ready"]}, "periodSeconds": 1, "failureThreshold": 1}
    pod = await b.up(shell("sleep 1000", readinessProbe=ready))
    await b.until(lambda: "running" in b.container().get("state", {}))
    assert not b.is_ready("pod")
    await b.inside(pod, "touch /tmp/ready")
    await b.ready()
    await b.inside(pod, "rm /tmp/ready")
    await b.until(lambda: not b.is_ready("pod"))
    assert b.container()["restartCount"] == 0

    seen = await b.up(
        image(
            "nginx", ports=[{"containerPort": 80, "name": "web"}], readinessProbe={"httpGet": {"port": "web"}}
        ),
        name="seen",
    )
    await b.ready("seen")
    assert b.runtime.logs(seen).startswith(f"{NODE} - - ".encode())
    assert b'"kube-probe/' in b.runtime.logs(seen)

    live = {"httpGet": {"path": "/nosuch", "port": 80}, "periodSeconds": 1, "failureThreshold": 1}
    await b.up(image("nginx", livenessProbe=live), name="dying")
    await b.until(lambda: b.container("dying").get("restartCount", 0) >= 1)
    assert any("statuscode: 404" in message for _, reason, message in b.events if reason == "Unhealthy")

    startup = {"tcpSocket": {"port": 8080}, "periodSeconds": 1, "failureThreshold": 30}
    slow = shell(
        "usleep 300000; httpd -f -p 8080", startupProbe=startup, livenessProbe={"tcpSocket": {"port": 8080}}
    )
    await b.up(slow, name="slow")
    await b.until(lambda: "running" in b.container("slow").get("state", {}))
    assert not b.container("slow")["started"]
    await b.ready("slow")
    assert b.container("slow")["started"]
    assert b.container("slow")["restartCount"] == 0


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


async def pods_stop_within_their_grace(b: Bench) -> None:
    """preStop, then SIGTERM, then SIGKILL; a lingering server serves on."""
    polite = await b.up(
        shell("trap 'echo bye; exit 0' TERM; while true; do usleep 10000; done"), name="polite"
    )
    await b.until(lambda: "running" in b.container("polite").get("state", {}))
    began = time.monotonic()
    await b.inside(polite, "true")
    await b.runtime.stop(polite, 30)
    assert b.container("polite")["state"]["terminated"]["exitCode"] == 0
    deaf = await b.up(shell("trap '' TERM; while true; do usleep 10000; done"), name="deaf")
    await b.until(lambda: "running" in b.container("deaf").get("state", {}))
    await b.inside(deaf, "true")
    await b.runtime.stop(deaf, 0.5)
    assert b.container("deaf")["state"]["terminated"]["exitCode"] == 137
    assert time.monotonic() - began < 10
    assert b.status("deaf")["phase"] == "Failed"

    hook = {"preStop": {"exec": {"command": ["sh", "-c", "echo hook > /v/said"]}}}
    mounted = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    hooked = await b.up(
        image("nginx", lifecycle=hook, **mounted), name="hooked", volumes=[{"name": "v", "emptyDir": {}}]
    )
    await b.ready("hooked")
    said = b.directory / "pods/uid-hooked/volumes/v/said"
    ending = asyncio.create_task(b.runtime.stop(hooked, 5))
    await ending
    assert not said.exists(), "its files are gone with it"
    assert not any(reason == "FailedPreStopHook" for _, reason, _ in b.events)

    lingering = await b.up(image("agnhost", "netexec", "--delay-shutdown=1"), name="lingering")
    await b.ready("lingering")
    ending = asyncio.create_task(b.runtime.stop(lingering, 30))
    assert (await b.fetch(lingering, f"http://{address(lingering)}:8080/hostname")).text == "lingering"
    await ending
    assert (await b.fetch(lingering, f"http://{address(lingering)}:8080/hostname")).status == 7


async def volumes_are_files(b: Bench) -> None:
    """ConfigMaps, Secrets, the downward API and shared directories, wherever they are mounted."""
    config = {
        "kind": "ConfigMap",
        "metadata": {"name": "site", "namespace": "shop"},
        "data": {"index.html": "hi\n"},
    }
    b.objects.put(config)
    b.objects.put(
        {"kind": "Secret", "metadata": {"name": "s", "namespace": "shop"}, "data": {"key": "dmFsdWU="}}
    )
    labels = {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}
    mounts = [
        {"name": "site", "mountPath": "/usr/share/nginx/html"},
        {"name": "site", "mountPath": "/etc/nginx/deep/index.html", "subPath": "index.html"},
        {"name": "secret", "mountPath": "/opt/none/secret", "readOnly": True},
        {"name": "scratch", "mountPath": "/data"},
        {"name": "scratch", "mountPath": "/data/nested/again"},
        {"name": "labels", "mountPath": "/etc/podinfo"},
    ]
    pod = await b.up(
        image("nginx", volumeMounts=mounts),
        {**BUSY, "name": "other", "volumeMounts": [{"name": "scratch", "mountPath": "/mine"}]},
        volumes=[
            {"name": "site", "configMap": {"name": "site"}},
            {"name": "secret", "secret": {"secretName": "s", "defaultMode": 0o400}},
            {"name": "scratch", "emptyDir": {}},
            {"name": "labels", "downwardAPI": labels},
        ],
    )
    await b.ready()
    assert (await b.fetch(pod, f"http://{address(pod)}/")).text == "hi\n"
    shown = "/etc/nginx/deep/index.html /opt/none/secret/key /etc/podinfo/labels"
    assert (
        await b.inside(pod, f"cat {shown}; echo x > /data/x; ls /usr/bin/env")
    ).text == 'hi\nvalueapp="pod"/usr/bin/env\n'
    assert (await b.inside(pod, "cat /mine/x", "other")).text == "x\n"
    assert "Read-only" in (await b.inside(pod, "touch /usr/share/nginx/html/y")).text
    b.runtime.object_changed(b.objects.put({**config, "data": {"index.html": "new\n"}}))
    assert (await b.fetch(pod, f"http://{address(pod)}/")).text == "new\n"
    assert (await b.inside(pod, "cat /usr/share/nginx/html/index.html")).text == "new\n"


async def missing_objects_are_waited_for(b: Bench) -> None:
    """A pod starts once what it refers to is there, and says until then what is missing."""
    refers = {"env": [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}]}
    pod = await b.up(shell("echo $X; sleep 1000", **refers))
    await b.until(
        lambda: (
            b.container().get("state", {}).get("waiting", {}).get("reason") == "CreateContainerConfigError"
        )
    )
    assert b.container()["state"]["waiting"]["message"] == 'configmap "c" not found'
    await b.up(BUSY, name="mounts", volumes=[{"name": "v", "secret": {"secretName": "s"}}])
    await b.until(lambda: any(reason == "FailedMount" for _, reason, _ in b.events))
    assert b.container("mounts")["state"]["waiting"]["reason"] == "ContainerCreating"
    found = {"kind": "ConfigMap", "metadata": {"name": "c", "namespace": "shop"}, "data": {"k": "v"}}
    b.runtime.object_changed(b.objects.put(found))
    b.runtime.object_changed(
        b.objects.put({"kind": "Secret", "metadata": {"name": "s", "namespace": "shop"}})
    )
    await b.ready("pod", "mounts")
    assert (await b.inside(pod, "echo $X")).text == "v\n"


async def commands_run_inside(b: Bench) -> None:
    """`exec`: status, input, environment, directory, user; a container's own command has the same."""
    b.objects.put(
        {
            "kind": "Service",
            "metadata": {"name": "db", "namespace": "shop"},
            "spec": {"clusterIP": "10.96.0.5", "ports": [{"port": 5432}]},
        }
    )
    pod = await b.up(
        shell(
            "echo $GREETING; pwd; exec sleep 1000",
            env=[{"name": "GREETING", "value": "hi"}],
            workingDir="/srv/x",
        ),
        hostname="front",
        subdomain="sites",
    )
    await b.ready()
    assert await b.exec(pod, "sh", "-c", "exit 7") == await run("sh", "-c", "exit 7")
    assert (await b.exec(pod, "nosuch")).status == 127
    assert (
        await b.inside(pod, "cat; pwd; echo $GREETING $DB_SERVICE_HOST $DB_PORT_5432_TCP_PORT", given=b"in\n")
    ).text == ("in\n/srv/x\nhi 10.96.0.5 5432\n")
    assert (await b.inside(pod, "hostname; hostname -f; getent hosts front")).text.startswith("front\n")
    assert "front.sites.shop.svc.cluster.local" in (await b.inside(pod, "cat /etc/hosts")).text
    assert b.runtime.logs(pod) == b"hi\n/srv/x\n"
    refused = await b.exec(pod, "/agnhost", "connect", f"{address(pod)}:81")
    assert (refused.status, refused.text) == (1, "REFUSED\n")
    timeout = await b.exec(pod, "/agnhost", "connect", "10.9.200.1:81", "--timeout=100ms")
    assert timeout.text in ("TIMEOUT\n", "OTHER: [Errno 113] No route to host\n")
    for command in ("wget -T1 -qO- http://10.9.0.250:1", "nc -zvw1 127.0.0.1 1"):
        assert (await b.inside(pod, command)).status == 1


async def users_and_rights(b: Bench) -> None:
    """securityContext: what the map of user IDs and the sandbox allow."""
    ids = sum(int(line.split()[2]) for line in read("/proc/self/uid_map").splitlines())
    nothing = {"securityContext": {"capabilities": {"drop": ["ALL"]}}}
    context = {"runAsUser": 1000, "runAsGroup": 3000, "fsGroup": 2000}
    pod = await b.up(shell("id -u; id -g; sleep 1000", **nothing), securityContext=context)
    await b.ready()
    who = (await b.inside(pod, "id -u; id -g; echo x > /dev/stdout")).text
    assert who == ("1000\n3000\nx\n" if ids > 3000 else "0\n0\nx\n")
    if ids == 1:
        assert any(reason == "NotAvailable" for _, reason, _ in b.events)
    assert "0000000000000000" in (await b.inside(pod, "grep CapEff /proc/self/status")).text
    wish = {"securityContext": {"privileged": True, "capabilities": {"add": ["SYS_ADMIN"]}}}
    greedy = await b.up(shell("sleep 1000", **wish), name="greedy")
    await b.ready("greedy")
    assert "denied" in (await b.inside(greedy, "mount -t tmpfs x /mnt")).text
    assert any("SYS_ADMIN" in message for _, _, message in b.events)
    sealed = await b.up(shell("sleep 1000", securityContext={"readOnlyRootFilesystem": True}), name="sealed")
    await b.ready("sealed")
    assert "Read-only" in (await b.inside(sealed, "touch /x")).text


async def containers_die_with_the_runtime(b: Bench) -> None:
    """kill -9 of the process that holds the runtime leaves no container behind."""
    report, sink = os.pipe()
    child = os.fork()
    if child == 0:
        os.set_inheritable(sink, True)
        os.execv(sys.executable, [sys.executable, __file__, "hold", str(sink)])
    os.close(sink)
    pids = [int(word) for word in (await asyncio.to_thread(os.read, report, 100)).split()]
    assert len(pids) == 2
    handles = [os.pidfd_open(pid) for pid in pids]
    os.kill(child, signal.SIGKILL)
    await asyncio.to_thread(os.waitpid, child, 0)
    loop = asyncio.get_running_loop()
    for handle in handles:
        gone = loop.create_future()
        loop.add_reader(handle, gone.set_result, None)
        await asyncio.wait_for(gone, 5)
        loop.remove_reader(handle)


async def hold(descriptor: str) -> None:
    """Two containers, for ever."""
    made = Bench.__new__(Bench)
    made.objects, directory = Objects(), Path(tempfile.mkdtemp(prefix="workloads-"))
    from emulator.workloads.containers import Containers
    from emulator.workloads.spec import Command, ContainerSpec

    (directory / "tools").mkdir()
    containers = await Containers.open(directory, directory / "tools", directory)
    netns, command = Path("/proc/self/ns/net"), Command(("sleep", "1000"), {"PATH": "/usr/bin:/bin"})
    one = await containers.run(ContainerSpec("a", command), netns, ("/pause",))
    two = await containers.run(ContainerSpec("b"), netns, ("/pause",))
    os.write(int(descriptor), f"{one.pid} {two.pid}".encode())
    await asyncio.get_running_loop().create_future()


async def two_hundred_pods(b: Bench) -> None:
    """Served pods are ready in a fraction of a second, real processes in a few."""
    for kind, limit in ((image("nginx"), 3.0), (BUSY, 15.0)):
        made = []
        for number in range(200):
            name = f"{kind['image']}-{number}"
            pod, netns = b.wired({**kind}, name=name, hostNetwork=True)
            ip("netns", "add", name)
            made.append((pod, Path("/run/netns", name)))
        began = time.monotonic()
        for pod, netns in made:
            await b.runtime.start(pod, netns, b.node)
        names = [pod["metadata"]["name"] for pod, _ in made]
        await b.ready(*names)
        took = time.monotonic() - began
        print(f"200 pods of {kind['image']} ready in {took:.2f} s")
        assert took < limit
        began = time.monotonic()
        await asyncio.gather(*(b.runtime.stop(pod, 30) for pod, _ in made))
        assert time.monotonic() - began < limit
        for name in names:
            ip("netns", "delete", name)


CASES: Mapping[str, Callable[[Bench], Awaitable[None]]] = {
    case.__name__: case
    for case in (
        servers_answer,
        a_served_container_can_be_entered,
        shells_start_servers,
        nothing_of_the_host_can_be_changed,
        containers_share_the_network_and_nothing_else,
        a_taken_port_is_refused,
        containers_are_restarted,
        init_containers_run_in_order,
        probes_decide,
        ready_means_listening,
        pods_stop_within_their_grace,
        volumes_are_files,
        missing_objects_are_waited_for,
        commands_run_inside,
        users_and_rights,
        containers_die_with_the_runtime,
        two_hundred_pods,
    )
}


async def main(case: str) -> None:
    async with bench() as made:
        await CASES[case](made)


if __name__ == "__main__":
    asyncio.run(hold(sys.argv[2]) if sys.argv[1] == "hold" else main(sys.argv[1]))
