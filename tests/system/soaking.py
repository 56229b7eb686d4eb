"""Traffic to twenty Services while pods are scaled, deleted, drained and rolled out at random.

Every answer is held against the oracle's word on the moment in which it was given. The oracle reads the
objects alone; the moments are those that a watch told of.
"""

from __future__ import annotations

import random
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Lock, Thread
from typing import Any

from emulator import Cluster
from emulator.api.errors import ApiError
from emulator.api.objects import JsonObject
from emulator.cluster.drain import DrainOptions
from emulator.oracle.services import Expected, Frontend, Question, expected
from emulator.oracle.world import World
from emulator.scenario import changes
from tests.system.hygiene import inside

AGNHOST = "registry.k8s.io/e2e-test-images/agnhost:2.47"
SPACE = "soak"
WORKLOADS = 10
SERVICES = 20
NODES = ("worker-1", "worker-2", "worker-3")
REPLICAS = 2
SLACK = 2.5
"""Seconds around a request in which the oracle's word may have been another: news travel."""
PATIENCE = 5.0
"""Seconds after which a request counts as dropped."""
WATCHED = ("Pod", "Service", "Node")


# -- what there is ---------------------------------------------------------------------------------


def objects() -> Iterator[JsonObject]:
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}}
    for number in range(WORKLOADS):
        yield _deployment(f"app-{number}")
    for number in range(SERVICES):
        yield _service(number)
    yield _clients()


def _deployment(name: str) -> JsonObject:
    container = {
        "name": "main",
        "image": AGNHOST,
        "args": ["netexec", "--http-port=8080", "--udp-port=8081"],
        "lifecycle": {"preStop": {"sleep": {"seconds": 1}}},
    }
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
    strategy = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    spec = {"replicas": REPLICAS, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": SPACE},
        "spec": {**spec, "strategy": strategy},
    }


def _service(number: int) -> JsonObject:
    """Two over each workload: a clusterIP, and a NodePort whose policy is Local for every fourth."""
    exposed = number >= WORKLOADS
    spec: JsonObject = {
        "selector": {"app": f"app-{number % WORKLOADS}"},
        "type": "NodePort" if exposed else "ClusterIP",
        "ipFamilyPolicy": "RequireDualStack",
        "ports": [
            {"name": "http", "port": 80, "targetPort": 8080},
            {"name": "udp", "port": 81, "protocol": "UDP", "targetPort": 8081},
        ],
    }
    if exposed:
        for offset, port in enumerate(spec["ports"]):
            port["nodePort"] = 30000 + 2 * number + offset
        if number % 4 == 0:
            spec["externalTrafficPolicy"] = "Local"
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"svc-{number}", "namespace": SPACE},
        "spec": spec,
    }


def _clients() -> JsonObject:
    """A pod on every node that no drain takes away."""
    container = {"name": "main", "image": "busybox", "command": ["sleep", "infinity"]}
    spec = {"terminationGracePeriodSeconds": 0, "containers": [container]}
    template = {"metadata": {"labels": {"app": "client"}}, "spec": spec}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "client", "namespace": SPACE},
        "spec": {"selector": {"matchLabels": {"app": "client"}}, "template": template},
    }


# -- traffic ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """A stream of requests, and the question that each of them is."""

    stream: JsonObject
    question: Question


def traffic(cluster: Cluster, rate: float) -> list[Asked]:
    """Each Service by both protocols and in both families: pods at clusterIPs, the internet at node ports."""
    clients = {pod["spec"]["nodeName"]: pod["metadata"]["name"] for pod in clients_of(cluster)}
    found = []
    for number in range(SERVICES):
        for turn, (port, protocol, family) in enumerate(
            ((80, "TCP", 4), (81, "UDP", 6), (80, "TCP", 6), (81, "UDP", 4))
        ):
            node = NODES[(number + turn) % len(NODES)]
            common = {
                "family": family,
                "rate": rate,
                "timeout": PATIENCE,
                **({"http": "/hostname"} if protocol == "TCP" else {}),
            }
            if number < WORKLOADS:
                places = {"from": f"{SPACE}/{clients[node]}", "to": f"svc/{SPACE}/svc-{number}"}
                stream = {**places, "port": f"{port}/{protocol.lower()}", **common}
                frontend = Frontend.CLUSTER_IP
            else:
                exposed = 30000 + 2 * number + (protocol == "UDP")
                stream = {
                    "from": "ext/client",
                    "to": f"node/{node}",
                    "port": f"{exposed}/{protocol.lower()}",
                    **common,
                }
                frontend = Frontend.NODE_PORT
            question = Question(SPACE, f"svc-{number}", port, protocol, family, frontend, node)
            found.append(Asked(stream, question))
    return found


def clients_of(cluster: Cluster) -> list[JsonObject]:
    found: list[JsonObject] = cluster.get("Pod", None, SPACE, "app=client")
    return found


# -- the moments -----------------------------------------------------------------------------------


@dataclass
class History:
    """Every state of every object, as a watch told of it."""

    events: list[tuple[float, JsonObject, bool]] = field(default_factory=list)
    """(when it was heard, the object, whether it is gone)."""
    _lock: Lock = field(default_factory=Lock)

    def follow(self, cluster: Cluster) -> None:
        for kind in WATCHED:
            Thread(target=self._follow, args=(cluster, kind), daemon=True).start()

    def _follow(self, cluster: Cluster, kind: str) -> None:
        try:
            for event in cluster.watch(kind, SPACE if kind != "Node" else None):
                with self._lock:
                    self.events.append((time.time(), event["object"], event["type"] == "DELETED"))
        except (ApiError, OSError, ValueError):
            return  # the cluster has ended

    def words(self, questions: set[Question]) -> dict[Question, Timeline]:
        """What the oracle says to each question, from one moment to the next."""
        with self._lock:
            events = sorted(self.events, key=lambda event: event[0])
        now: dict[tuple[str, str], JsonObject] = {}
        found = {question: Timeline() for question in questions}
        by_app: dict[str, list[Question]] = {}
        for question in questions:
            number = int(question.service.removeprefix("svc-"))
            by_app.setdefault(f"app-{number % WORKLOADS}", []).append(question)
        for when, obj, is_gone in events:
            key = (obj["kind"], obj["metadata"]["name"])
            if is_gone:
                now.pop(key, None)
            else:
                now[key] = obj
            app = _app_of(obj)
            world = World.of(
                one for one in now.values() if one["kind"] != "Pod" or _app_of(one) == app or app is None
            )
            for question in by_app.get(app, ()) if app else questions:
                found[question].add(when, expected(world, question))
        return found


def _app_of(obj: JsonObject) -> str | None:
    if obj["kind"] == "Pod":
        return str((obj["metadata"].get("labels") or {}).get("app", ""))
    return str(obj["spec"]["selector"]["app"]) if obj["kind"] == "Service" else None


@dataclass
class Timeline:
    """The oracle's words on one question, each good until the next."""

    times: list[float] = field(default_factory=list)
    words: list[Expected] = field(default_factory=list)

    def add(self, when: float, word: Expected) -> None:
        if not self.words or self.words[-1] != word:
            self.times.append(when)
            self.words.append(word)

    def around(self, began: float, ended: float) -> list[Expected]:
        """All words that were good at some time from `SLACK` before to `SLACK` after."""
        first = max(0, bisect_right(self.times, began - SLACK) - 1)
        return self.words[first : bisect_right(self.times, ended + SLACK)]

    def since(self, began: float, ended: float) -> str:
        """What changed in that time, for somebody who asks why."""
        return "; ".join(
            f"{when:.3f} {word.outcome} {sorted(word.pods)}"
            for when, word in zip(self.times, self.words, strict=True)
            if began <= when <= ended
        )


@dataclass
class Judgement:
    """How many answers agreed, and those that did not."""

    agreed: Counter[str] = field(default_factory=Counter)
    disagreed: list[str] = field(default_factory=list)
    _before: dict[tuple[int, int], str] = field(default_factory=dict)
    """(stream, source port) → its latest use: switches remember the connections of a port."""

    def take(self, asked: list[Asked], report: JsonObject, history: History, tracked: str) -> None:
        """Hold every request of a load against the words on its time.

        `tracked` is what the switch remembers of connections right after the load.
        """
        words = history.words({one.question for one in asked})
        for index, began, ended, outcome, said, port in report["requests"]:
            one = asked[index]
            around = words[one.question].around(began, ended)
            if _agrees(one.question, around, outcome, said):
                self.agreed[outcome] += 1
            else:
                source, target = one.stream["from"], f"{one.stream['to']}:{one.stream['port']}"
                told = "; ".join(f"{w.outcome} {sorted(w.pods)} ({w.reason})" for w in around)
                earlier = words[one.question].since(began - 30, began)
                self.disagreed.append(
                    f"{source} ({port}) → {target} IPv{one.question.family} at {began:.3f} for "
                    f"{ended - began:.3f} s: {outcome} {said!r}; the oracle: {told}; the port's use before: "
                    f"{self._before.get((index, port), 'none')}; half a minute before: {earlier}; "
                    f"tracked: {[line for line in tracked.splitlines() if f'sport={port},' in line]}"
                )
            self._before[index, port] = f"{outcome} {said!r} at {began:.3f}"


def _agrees(question: Question, around: list[Expected], outcome: str, said: str) -> bool:
    if outcome == "connected":
        return any(f"{SPACE}/{said}" in word.pods for word in around)
    # Pods that serve while they terminate may be gone before they answer.
    if any(word.outcome == outcome or word.draining for word in around):
        return True
    # A datagram whose pod leaves while it is under way may be lost: proxies forget such connections.
    leaving = frozenset[str]().union(*(word.pods for word in around)) - around[-1].pods if around else ()
    return bool(question.protocol == "UDP" and outcome == "dropped" and leaving)


# -- chaos -----------------------------------------------------------------------------------------


@dataclass
class Chaos:
    """One random change after the other, each waited for."""

    cluster: Cluster
    dice: random.Random
    done: Counter[str] = field(default_factory=Counter)

    def step(self) -> None:
        work: Callable[[], None] = self.dice.choices(
            [self._scale, self._delete, self._drain, self._restart], weights=[4, 4, 1, 3]
        )[0]
        work()
        self.done[work.__name__.strip("_")] += 1

    def _app(self) -> str:
        return f"app-{self.dice.randrange(WORKLOADS)}"

    def _scale(self) -> None:
        changes.scale(self.cluster, "Deployment", self._app(), SPACE, self.dice.choice([0, 1, 1, 2, 2, 3, 4]))
        self._settle()

    def _delete(self) -> None:
        pods = self.cluster.get("Pod", None, SPACE, f"app={self._app()}")
        if pods:
            name = self.dice.choice(pods)["metadata"]["name"]
            done = self.cluster.delete(
                [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}}], SPACE
            )
            assert done.ready.ready, done.ready.missing

    def _drain(self) -> None:
        node = self.dice.choice(NODES)
        changes.cordon(self.cluster, node)
        options = DrainOptions(ignore_daemonsets=True, force=True, delete_emptydir_data=True)
        done = changes.evict(self.cluster, changes.plan_of_drain(self.cluster, node, options), 60)
        assert done.ready.ready, done.ready.missing
        changes.uncordon(self.cluster, node)
        self._settle()

    def _restart(self) -> None:
        name = self._app()
        changes.restart(self.cluster, "Deployment", name, SPACE)
        changes.wait_rolled_out(self.cluster, "Deployment", name, SPACE, 60)
        self._settle()

    def restore(self) -> None:
        """Everything as it was in the beginning, but for names and addresses."""
        for number in range(WORKLOADS):
            changes.scale(self.cluster, "Deployment", f"app-{number}", SPACE, REPLICAS)
        self._settle()

    def _settle(self) -> None:
        ready = self.cluster.wait_ready()
        assert ready.ready, ready.missing


def play(cluster: Cluster, seed: int, seconds: float, rate: float) -> tuple[Judgement, Chaos]:
    """Chaos under traffic for so many seconds."""
    history, judgement, chaos = History(), Judgement(), Chaos(cluster, random.Random(seed))
    history.follow(cluster)
    asked = traffic(cluster, rate)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        load = cluster.start_load([one.stream for one in asked])
        pause = min(end, time.monotonic() + 60)
        while time.monotonic() < pause:
            chaos.step()
        report = cluster.stop_load(load, records=True)
        cluster.wait_ready()
        judgement.take(asked, report, history, inside(cluster, "ovs-appctl", "dpctl/dump-conntrack", "-s"))
    return judgement, chaos


def summary(judgement: Judgement, chaos: Chaos) -> dict[str, Any]:
    return {
        "answers": dict(judgement.agreed),
        "disagreed": len(judgement.disagreed),
        "changes": dict(chaos.done),
    }
