"""When Services have let go of a pod: its slices say so, and every switch has confirmed the flows."""

from __future__ import annotations

from emulator.api.objects import JsonObject
from emulator.api.store import Store
from emulator.engine.ingress import IngressProxies
from emulator.engine.programming import Programming
from emulator.engine.pulse import Pulse
from emulator.engine.reconciler import Reconciler

WATCHED_BY_CONTROLLER = frozenset(
    {
        "Topology",
        "Namespace",
        "Node",
        "Pod",
        "Service",
        "EndpointSlice",
        "NetworkPolicy",
        "ClusterNetworkPolicy",
        "AdminNetworkPolicy",
        "BaselineAdminNetworkPolicy",
    }
)
"""Changes of these kinds may change flow tables; readiness waits for the controller to have seen them."""


class Withdrawal:
    """Follows a pod's way out of its Services."""

    def __init__(
        self,
        store: Store,
        reconciler: Reconciler,
        programming: Programming,
        proxies: IngressProxies,
        pulse: Pulse,
    ) -> None:
        self._store = store
        self._reconciler = reconciler
        self._programming = programming
        self._proxies = proxies
        self._pulse = pulse

    async def left(self, pod: JsonObject) -> None:
        """Return when no new connections are sent to a pod whose deletion has been announced.

        The control loops turn that news into slices, and the controller those into flows; ingress proxies,
        which send to endpoints directly, follow them as well. Raises ApiError
        410 when so much has happened since that it can no longer be followed.
        """
        version = int(pod["metadata"]["resourceVersion"])
        await self._pulse.until(lambda: self._reconciler.settled_version >= version)
        news = self._store.watch(WATCHED_BY_CONTROLLER, version - 1).pending()
        await self._programming.wait(max(event.resource_version for event in news))
        await self._proxies.caught_up()
