"""Containers in a sandbox, one case a process: `python workloads_lab.py CASE`. Failing cases raise."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from workloads_bench import BUSY, NODE, Bench, Objects, address, bench, image, ip, shell
from workloads_confinement import (
    commands_run_inside,
    containers_share_the_network_and_nothing_else,
    nothing_of_the_host_can_be_changed,
    users_and_rights,
    volumes_are_files,
)
from workloads_proxy import the_proxy_keeps_its_last_good_configuration
from workloads_servers import (
    a_served_container_can_be_entered,
    a_server_ends_without_its_clients,
    a_taken_port_is_refused,
    ready_means_listening,
    servers_answer,
    shells_start_servers,
)


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
    assert len(list(b.directory.rglob("*.log"))) <= 2
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
    live["timeoutSeconds"] = 30  # on a busy machine an answer may take longer than the usual second
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
        the_proxy_keeps_its_last_good_configuration,
        nothing_of_the_host_can_be_changed,
        containers_share_the_network_and_nothing_else,
        a_taken_port_is_refused,
        containers_are_restarted,
        init_containers_run_in_order,
        probes_decide,
        ready_means_listening,
        a_server_ends_without_its_clients,
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
