"""A policy on a model server: one connection per client, reconnected when the server goes away.

The adapters implement ``Link``, one connection in the server's own protocol; everything that is
the same for all of them is here: key map, time-outs, back-off, counting, logging.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from policy_node.policies.servers.address import ServerAddress
from policy_node.policies.servers.deadline import Deadline
from policy_node.policies.servers.key_map import KeyMap
from policy_node.policy import PolicySpec
from sim_bridge.backoff import Backoff
from sim_bridge.errors import BridgeError, OperationFailed, TimedOut
from sim_bridge.types import Observation

log = logging.getLogger(__name__)


class LinkDown(Exception):
    """The server cannot be reached, or went away: worth another try."""


@dataclass(frozen=True)
class ServerInfo:
    """What answered. ``metadata`` is as the server gave it, ``horizon`` 0 when it did not say."""

    protocol: str
    metadata: dict[str, Any] = field(default_factory=dict)
    horizon: int = 0

    def __str__(self) -> str:
        said = ", ".join(f"{k}={v!r}" for k, v in self.metadata.items())
        return f"{self.protocol} server ({said or 'no metadata'})"


class Link(Protocol):
    """One connection; calls come from one thread.

    A call ends by its deadline, whatever the server does: sends nothing, reads nothing, or sends
    a byte now and then. Calls raise LinkDown when the server is not there, TimedOut when it does
    not answer in time, and OperationFailed when it answers with an error; the link may be closed
    after any of them and is opened again before the next call. ``close`` waits for nobody.
    """

    @property
    def is_open(self) -> bool: ...

    def open(self, deadline: Deadline) -> ServerInfo: ...

    def infer(self, request: dict[str, Any], deadline: Deadline) -> dict[str, Any]: ...

    def reset(self, seed: int | None, instruction: str, deadline: Deadline) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Patience:
    """Time-out of one call, and how a lost server is waited for. An inference, or a reset, takes
    at most the longer one of ``timeout_s`` and ``give_up_s``, all tries together."""

    timeout_s: float = 15.0
    give_up_s: float = 60.0
    first_delay_s: float = 0.1
    longest_delay_s: float = 5.0

    def deadline(self) -> Deadline:
        """From now on, for all tries together."""
        return Deadline(max(self.timeout_s, self.give_up_s))

    @classmethod
    def from_address(cls, address: ServerAddress) -> Patience:
        return cls(address.number("timeout_s", 15.0), address.number("give_up_s", 60.0))

    def backoff(self) -> Backoff:
        return Backoff(self.first_delay_s, self.longest_delay_s, self.give_up_s)


@dataclass
class LinkStats:
    """Counted over the life of one client."""

    inferences: int = 0
    reconnects: int = 0
    timeouts: int = 0
    bad_replies: int = 0


class RemotePolicy:
    """``Policy`` over a ``Link``."""

    def __init__(
        self,
        address: ServerAddress,
        link: Link,
        key_map: KeyMap,
        patience: Patience,
        spec: PolicySpec,
    ) -> None:
        self.spec = spec
        self.stats = LinkStats()
        self._address = address
        self._link = link
        self._key_map = key_map
        self._patience = patience
        self._was_open = link.is_open
        self._closing = threading.Event()

    def infer(self, observation: Observation) -> np.ndarray:
        """A chunk ``(H, A)``. A lost server is waited for and asked again with this observation.
        All of it ends by ``Patience.deadline``.

        Raises TimedOut for a slow server, OperationFailed for one that answers an error or
        nonsense or stays away for ``give_up_s``, NotFound when the key map asks for what the
        observation lacks.
        """
        request = self._key_map.encode(observation)
        reply = self._call(lambda link, deadline: link.infer(request, deadline))
        try:
            chunk = self._key_map.decode(reply)
        except OperationFailed as error:
            self.stats.bad_replies += 1
            raise OperationFailed(f"{self._address}: {error}") from None
        self.stats.inferences += 1
        return chunk

    def reset(self, seed: int | None = None, instruction: str = "") -> None:
        self._call(lambda link, deadline: link.reset(seed, instruction, deadline))

    def close(self) -> None:
        self._closing.set()
        self._link.close()

    def _call(self, request: Callable[[Link, Deadline], Any]) -> Any:
        patience = self._patience
        deadline, backoff = patience.deadline(), patience.backoff()
        while True:
            try:
                self._connect(deadline.within(patience.timeout_s))
                return request(self._link, deadline.within(patience.timeout_s))
            except LinkDown as error:
                self._link.close()
                delay_s = backoff.delay_s()
                if delay_s is None or self._closing.is_set():
                    raise OperationFailed(
                        f"{self._address} has been gone for {backoff.elapsed_s:.1f} s "
                        f"(give_up_s is {patience.give_up_s:g}): {error}"
                    ) from None
                log.warning("%s: %s; next try in %.1f s", self._address, error, delay_s)
            except TimedOut as error:
                self.stats.timeouts += 1
                self._link.close()
                raise TimedOut(f"{self._address}: {error}") from None
            except OperationFailed as error:
                self.stats.bad_replies += 1
                raise OperationFailed(f"{self._address}: {error}") from None
            except BridgeError:
                self._link.close()
                raise
            self._closing.wait(delay_s)

    def _connect(self, deadline: Deadline) -> None:
        if self._link.is_open:
            return
        try:
            self._link.open(deadline)
        except BridgeError:
            self._link.close()
            raise
        if self._was_open:
            self.stats.reconnects += 1
            log.warning("%s: connected again; its memory of the episode may be lost", self._address)
        self._was_open = True


class RemoteSource:
    """``PolicySource`` over a model server: a connection for each client.

    ``links`` makes an unopened link; ``first`` is the one that was opened to see what answers,
    and serves the first client.
    """

    def __init__(
        self,
        address: ServerAddress,
        links: Callable[[], Link],
        first: Link,
        info: ServerInfo,
        key_map: KeyMap,
    ) -> None:
        self._address = address
        self._links = links
        self._first: Link | None = first
        self._key_map = key_map
        self._patience = Patience.from_address(address)
        self.spec = PolicySpec(
            kind=address.kind,
            description=f"{info} at {address}, key map {key_map.name}",
            action_names=key_map.action_names,
            horizon=info.horizon or 1,
            image_keys=key_map.cameras,
        )

    def for_client(self, client_id: str) -> RemotePolicy:
        first, self._first = self._first, None
        link = first or self._links()
        return RemotePolicy(self._address, link, self._key_map, self._patience, self.spec)

    def close(self) -> None:
        if self._first:
            self._first.close()


def connect(address: ServerAddress, links: Callable[[], Link]) -> tuple[Link, ServerInfo]:
    """Open a link, waiting for a server that is still starting; log what answered.

    Raises OperationFailed when nobody answers by ``Patience.deadline``.
    """
    patience = Patience.from_address(address)
    deadline, backoff = patience.deadline(), patience.backoff()
    link = links()
    while True:
        started = time.monotonic()
        try:
            info = link.open(deadline.within(patience.timeout_s))
            log.info(
                "%s: %s, answered in %.0f ms", address, info, 1e3 * (time.monotonic() - started)
            )
            return link, info
        except (LinkDown, TimedOut) as error:
            link.close()
            delay_s = backoff.delay_s()
            if delay_s is None:
                raise OperationFailed(
                    f"no {address.kind} server answers at {address} within "
                    f"{patience.give_up_s:g} s ({error}); "
                    "is it running, is the port right, is this its protocol?"
                ) from None
            log.warning("waiting for %s: %s", address, error)
        except BridgeError:
            link.close()
            raise
        time.sleep(delay_s)
