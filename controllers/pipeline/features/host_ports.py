"""hostPort: a port of the node that is a pod's, translated on the node that the pod runs on.

As the portmap CNI plugin does: the client's address is kept, but for a pod that reaches itself and for a
client at the loopback address, which nobody could answer. A Service's frontends come first, as
kube-proxy's chains do.
"""

from __future__ import annotations

from collections.abc import Iterator

from controllers.pipeline.actions import Action, Ct, Goto, Nat, load
from controllers.pipeline.features.conntrack import MARKS, main_zone
from controllers.pipeline.fields import Bits
from controllers.pipeline.flow import Flow
from controllers.pipeline.match import dst, match, src, to_port, transport
from controllers.pipeline.registers import (
    ENDPOINT_IPV4,
    ENDPOINT_IPV6,
    ENDPOINT_PORT,
    HAIRPIN,
    MARK_SERVICE,
    MASQUERADE,
    SERVICE,
    TO_NODE_ADDRESS,
)
from controllers.pipeline.tables import ADMIN_EGRESS, ENDPOINT_DNAT, SERVICE_FRONTEND
from controllers.pipeline.view import LOOPBACK, NodeView
from emulator.cluster.host_ports import HostPort, host_ports
from emulator.cluster.model import Pod, Protocol
from emulator.cluster.wiring import IPAddress, PodPort

_NO_SERVICE = SERVICE(0)


def pod_flows(view: NodeView, pod: Pod, _port: PodPort) -> Iterator[Flow]:
    """ServiceFrontend and EndpointDNAT of one pod's hostPorts."""
    found = tuple(host_ports(pod.container_ports, pod.addresses))
    for host_port in found:
        yield _frontend(pod, host_port)
    for protocol, address, port in dict.fromkeys((one.protocol, one.to, one.to_port) for one in found):
        yield from _translation(view, pod, protocol, address, port)


def _frontend(pod: Pod, host_port: HostPort) -> Flow:
    family = host_port.to.version
    knock = match(TO_NODE_ADDRESS(1), to_port(family, host_port.protocol, host_port.port))
    to_pod = (
        load(_address_bits(family), int(host_port.to)),
        load(ENDPOINT_PORT, host_port.to_port),
        Goto(ENDPOINT_DNAT),
    )
    if host_port.at is None:
        return Flow(SERVICE_FRONTEND, 100, knock, to_pod, pod.ref, "host-port")
    at_address = match(*knock, dst(host_port.at))
    return Flow(SERVICE_FRONTEND, 110, at_address, to_pod, pod.ref, "host-port-at-address")


def _translation(
    view: NodeView, pod: Pod, protocol: Protocol, address: IPAddress, port: int
) -> Iterator[Flow]:
    family = address.version
    chosen = (
        *transport(family, protocol),
        _NO_SERVICE,
        _address_bits(family)(int(address)),
        ENDPOINT_PORT(port),
    )
    commit = Ct(
        main_zone(view),
        ADMIN_EGRESS,
        nat=Nat("dst", address, (port, port)),
        commit=True,
        mark=(load(MARK_SERVICE, 1), *MARKS),
    )
    masqueraded: tuple[Action, ...] = (load(MASQUERADE, 1), commit)
    yield Flow(ENDPOINT_DNAT, 200, match(chosen), (commit,), pod.ref, "translate-host-port")
    itself = match(chosen, src(address))
    hairpin = (load(HAIRPIN, 1), *masqueraded)
    yield Flow(ENDPOINT_DNAT, 210, itself, hairpin, pod.ref, "host-port-hairpin")
    if family == LOOPBACK.version:
        loopback = match(chosen, src(LOOPBACK))
        yield Flow(ENDPOINT_DNAT, 210, loopback, masqueraded, pod.ref, "host-port-from-loopback")


def _address_bits(family: int) -> Bits:
    return ENDPOINT_IPV4 if family == 4 else ENDPOINT_IPV6
