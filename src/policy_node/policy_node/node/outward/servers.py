"""The outward servers of one policy node, in a thread of their own beside it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from policy_node.node.outward.access import Access
from policy_node.node.outward.backend import Backend
from policy_node.node.outward.protocols import OFF, PROTOCOLS, OutwardServer, Served
from policy_node.node.outward.task import ServedTask
from policy_node.policies.servers.key_map_file import load_key_map
from policy_node.policy import PolicySpec
from sim_bridge.errors import OperationFailed
from sim_bridge.settings import plugins
from sim_bridge.types import SimSpec

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServeSettings:
    """``ports`` by name of the protocol (``OFF`` or absent: not served, 0: any free one) and
    ``key_maps`` that replace the default ones; see ``Access`` for who may ask.

    ``timeout_s`` bounds one request. ``Serving`` checks the values.
    """

    access: Access
    ports: Mapping[str, int]
    key_maps: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 60.0

    def wanted(self) -> list[tuple[Served, int]]:
        return [(PROTOCOLS[name], port) for name, port in self.ports.items() if port != OFF]


class PolicyServers:
    """Starts what the settings ask for and ends it all with ``close``."""

    def __init__(
        self, settings: ServeSettings, policy: PolicySpec, sim_spec: SimSpec, backend: Backend
    ) -> None:
        self._settings = settings
        self._policy = policy
        self._sim_spec = sim_spec
        self._backend = backend
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="policy-servers", daemon=True)
        self.addresses: dict[str, str] = {}

    def start(self, timeout_s: float = 30.0) -> None:
        """Returns when all listen. Raises OperationFailed when one cannot (port taken)."""
        self._thread.start()
        if not self._ready.wait(timeout_s):
            raise OperationFailed(f"the policy servers did not start within {timeout_s:g} s")
        if self._failure:
            raise self._failure

    def close(self, timeout_s: float = 10.0) -> None:
        if self._loop and self._stop:
            with contextlib.suppress(RuntimeError):  # the loop has ended already
                self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:
            self._failure = self._failure or OperationFailed(f"policy servers: {error}")
            log.error("policy servers ended: %s", error)
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with contextlib.AsyncExitStack() as stack:
            for server, port in self._servers():
                try:
                    bound = await stack.enter_async_context(server.running(port))
                except Exception as error:
                    host = self._settings.access.host
                    self._failure = OperationFailed(
                        f"cannot serve {server.protocol} on {host}:{port}: {error}"
                    )
                    return
                self._announce(server, bound)
            self._ready.set()
            await self._stop.wait()

    def _announce(self, server: OutwardServer, port: int) -> None:
        access = self._settings.access
        host = f"[{access.host}]" if ":" in access.host else access.host
        self.addresses[server.protocol] = f"{server.scheme}://{host}:{port}"
        log.info(
            "serving %s at %s, %s",
            server.protocol,
            self.addresses[server.protocol],
            "token required" if access.token else "open to anyone who reaches it",
        )
        if access.is_exposed:
            log.warning("%s is not encrypted: anyone on the way can read it", server.protocol)

    def _servers(self) -> Iterator[tuple[OutwardServer, int]]:
        """Heavy imports only for what is served."""
        settings = self._settings
        for served, port in settings.wanted():
            name = settings.key_maps.get(served.key_map, served.key_map)
            task = ServedTask(
                self._policy, self._sim_spec, load_key_map(name).bound_to(self._sim_spec)
            )
            make = plugins.import_function(served.server)
            yield make(task, self._backend, settings.access, settings.timeout_s), port
