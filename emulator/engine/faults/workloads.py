"""Faults of what runs in pods and beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from emulator.api.objects import JsonObject, Key, key_of
from emulator.cluster.dns import addon
from emulator.cluster.faults.fault import Fault
from emulator.cluster.faults.kind import FaultMistake, Value, nearest
from emulator.cluster.places import PlaceError, PlaceKind, parse_place
from emulator.cluster.pods import is_true
from emulator.engine.birds import birds
from emulator.engine.faults.handler import Handler, Plan
from emulator.engine.faults.processes import Down, Killed, ask, service
from emulator.engine.faults.waiting import until
from emulator.workloads.mishaps import Victim

if TYPE_CHECKING:
    from emulator.engine.daemon import Engine

_SETTLING = 10.0
"""Seconds that the rest of the cluster is given to take it in."""
Choice = Callable[[Victim], bool]


class Crashing(Handler):
    """Containers that crash until it is cleared; which ones, subclasses say."""

    def choice(self, fault: Fault) -> Choice:
        """Whom it is about."""
        raise NotImplementedError

    async def impose(self, fault: Fault) -> None:
        """They die now, and whenever they start; returns when Services have left them out."""
        kubelets = self.engine.kubelets
        kubelets.mishaps.crashing[fault.name] = self.choice(fault)
        kubelets.reconsider()
        pods = [Key(*words) for words in fault.memo["pods"]]
        await until(self.engine, lambda: not any(map(self._is_ready, pods)))
        await self.engine.wait_ready(_SETTLING)

    async def clear(self, fault: Fault) -> None:
        """They may start again, and do so at once."""
        kubelets = self.engine.kubelets
        kubelets.mishaps.crashing.pop(fault.name, None)
        kubelets.reconsider()
        pods = [Key(*words) for words in fault.memo["pods"]]
        await until(self.engine, lambda: all(self._is_gone(key) or self._is_ready(key) for key in pods))

    async def resume(self, fault: Fault) -> None:
        """An engine that came anew starts its containers later, and they crash then."""
        self.engine.kubelets.mishaps.crashing[fault.name] = self.choice(fault)
        self.engine.kubelets.reconsider()

    def _is_ready(self, key: Key) -> bool:
        pod = self.engine.store.find(key)
        return pod is not None and is_true(pod, "Ready")

    def _is_gone(self, key: Key) -> bool:
        return self.engine.store.find(key) is None


class ContainerCrash(Crashing):
    """One container of one pod."""

    async def plan(self, arguments: Mapping[str, Value]) -> Plan:
        """It must be there."""
        pod, container = container_named(self.engine, arguments)
        did = f"killed container {container} of {_words(pod)}, and each that takes its place"
        return Plan((did,), {"pods": [_listed(pod)], "container": container})

    def choice(self, fault: Fault) -> Choice:
        """By names, so that a pod of a StatefulSet crashes again."""
        (key,), container = fault.memo["pods"], fault.memo["container"]
        return lambda victim: _listed(victim.pod) == key and victim.container == container


class DnsDown(Crashing):
    """The servers behind the Service kube-dns."""

    async def plan(self, arguments: Mapping[str, Value]) -> Plan:  # noqa: ARG002
        """They must be there."""
        return _plan_of_all(self.engine, "DNS servers", _is_dns)

    def choice(self, fault: Fault) -> Choice:  # noqa: ARG002
        """Also those that a rollout brings."""
        return lambda victim: _is_dns(victim.pod)


class ProxyDown(Crashing):
    """All ingress proxies."""

    async def plan(self, arguments: Mapping[str, Value]) -> Plan:  # noqa: ARG002
        """They must be there."""
        return _plan_of_all(self.engine, "ingress proxies", self.engine.kubelets.has_proxy)

    def choice(self, fault: Fault) -> Choice:  # noqa: ARG002
        """Also those that a rollout brings."""
        return lambda victim: victim.is_proxy


class Struck(Handler):
    """Containers that are killed once."""

    async def plan(self, arguments: Mapping[str, Value]) -> Plan:
        """The one that is meant."""
        pod, container = container_named(self.engine, arguments)
        did = f"killed container {container} of {_words(pod)}"
        return Plan((did,), {"victims": [[*_listed(pod), container]]})

    async def impose(self, fault: Fault) -> None:
        """Returns when they have died; what comes back comes by itself."""
        for *words, container in fault.memo["victims"]:
            pod = self.engine.store.find(Key(*words))
            if pod is not None:
                await self.engine.kubelets.strike(pod, container)


class ProxyStruck(Struck):
    """All ingress proxies, once."""

    async def plan(self, arguments: Mapping[str, Value]) -> Plan:  # noqa: ARG002
        """They must be there."""
        pods = [pod for pod in self.engine.store.list("Pod") if self.engine.kubelets.has_proxy(pod)]
        if not pods:
            raise FaultMistake("", "no ingress proxies run in this cluster")
        victims = [[*_listed(pod), name] for pod in pods for name in self.engine.kubelets.proxies_of(pod)]
        return Plan(tuple(f"killed the proxy in {_words(pod)}" for pod in pods), {"victims": victims})


class ReadinessFailing(Handler):
    """A pod that counts as not ready."""

    async def plan(self, arguments: Mapping[str, Value]) -> Plan:
        """It must be there."""
        pod, _ = container_named(self.engine, arguments)
        return Plan((f"{_words(pod)} counts as not ready",), {"pod": _listed(pod)})

    async def impose(self, fault: Fault) -> None:
        """Returns when Services have left it out."""
        await self.resume(fault)
        key = Key(*fault.memo["pod"])
        await until(self.engine, lambda: not _ready(self.engine, key))
        await self.engine.wait_ready(_SETTLING)

    async def clear(self, fault: Fault) -> None:
        """Its own probe decides again."""
        self.engine.kubelets.mishaps.unready.pop(fault.name, None)
        self.engine.kubelets.reconsider()

    async def resume(self, fault: Fault) -> None:
        """Of an engine that came anew, too."""
        key = fault.memo["pod"]
        self.engine.kubelets.mishaps.unready[fault.name] = lambda pod: _listed(pod) == key
        self.engine.kubelets.reconsider()


class BirdDown(Handler):
    """A BIRD that is kept down."""

    async def plan(self, arguments: Mapping[str, Value]) -> Plan:
        """Whose it is."""
        place, unit = _bird(self.engine, arguments)
        return Plan((f"killed BIRD of {place}, and keeps it down",), {"unit": unit})

    async def impose(self, fault: Fault) -> None:
        """As any service of the sandbox."""
        await Down(self.engine, fault.memo["unit"]).impose(fault)

    async def clear(self, fault: Fault) -> None:
        """Start it; sessions come back by themselves."""
        await ask(self.engine, {"do": "release", "service": fault.memo["unit"]})


class BirdKilled(Handler):
    """A BIRD that is killed once."""

    async def plan(self, arguments: Mapping[str, Value]) -> Plan:
        """Whose it is."""
        place, unit = _bird(self.engine, arguments)
        life = await service(self.engine, unit)
        return Plan((f"killed BIRD of {place} (process {life['pid']})",), {"unit": unit, "pid": life["pid"]})

    async def impose(self, fault: Fault) -> None:
        """As any service of the sandbox."""
        await Killed(self.engine, fault.memo["unit"]).impose(fault)


def container_named(engine: Engine, arguments: Mapping[str, Value]) -> tuple[JsonObject, str]:
    """The pod and container that arguments name. Raises FaultMistake with the nearest one."""
    try:
        place = parse_place(str(arguments["pod"]))
    except PlaceError as wrong:
        raise FaultMistake("pod", str(wrong)) from None
    pod = engine.store.find(Key("Pod", place.namespace, place.name)) if place.kind is PlaceKind.POD else None
    if pod is None:
        known = [_words(one) for one in engine.store.list("Pod")]
        hint = nearest(str(place), known) or "list them with: mininetes get pods -A"
        raise FaultMistake("pod", f"there is no pod {str(arguments['pod'])!r}", hint)
    names = [container["name"] for container in pod["spec"]["containers"]]
    container = str(arguments.get("container", names[0]))
    if container not in names:
        hint = nearest(container, names) or f"it has {', '.join(names)}"
        raise FaultMistake("container", f"{_words(pod)} has no container {container!r}", hint)
    return pod, container


def _plan_of_all(engine: Engine, what: str, are_meant: Callable[[JsonObject], bool]) -> Plan:
    pods = [pod for pod in engine.store.list("Pod") if are_meant(pod)]
    if not pods:
        raise FaultMistake("", f"no {what} run in this cluster")
    names = ", ".join(map(_words, pods))
    return Plan((f"killed the {what} and keeps them down: {names}",), {"pods": list(map(_listed, pods))})


def _bird(engine: Engine, arguments: Mapping[str, Value]) -> tuple[str, str]:
    known = birds(engine.wiring, engine.run_dir)
    word = str(arguments["place"])
    place = next((p for p in (word, f"node/{word}", f"router/{word}") if p in known), None)
    if place is None:
        there = nearest(word, list(known)) or f"there are {', '.join(known) or 'none in this topology'}"
        raise FaultMistake("place", f"{word!r} has no BGP speaker", there)
    return place, known[place].unit


def _ready(engine: Engine, key: Key) -> bool:
    pod = engine.store.find(key)
    return pod is not None and is_true(pod, "Ready")


def _is_dns(pod: JsonObject) -> bool:
    labels = pod["metadata"].get("labels") or {}
    return bool(pod["metadata"]["namespace"] == addon.NAMESPACE and addon.LABELS.items() <= labels.items())


def _listed(pod: JsonObject) -> list[str]:
    key = key_of(pod)
    return [key.kind, key.namespace, key.name]


def _words(pod: JsonObject) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


WORKLOADS: Mapping[str, Callable[[Engine], Handler]] = {
    "container-crash": ContainerCrash,
    "container-killed": Struck,
    "readiness-failing": ReadinessFailing,
    "dns-down": DnsDown,
    "proxy-down": ProxyDown,
    "proxy-killed": ProxyStruck,
    "bird-down": BirdDown,
    "bird-killed": BirdKilled,
}
