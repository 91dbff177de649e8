"""Which client runs which policy; used by the inference worker's thread alone."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from policy_node.policy import Policy, PolicySource

log = logging.getLogger(__name__)

_MAX_CLIENTS = 64
_MAX_SOURCES = 4


@dataclass
class _Client:
    """A client's policies by address, and what its episode began with."""

    policies: dict[str, Policy] = field(default_factory=dict)
    seed: int | None = None
    instruction: str = ""


class PolicySessions:
    """Opens policies when they are first asked for and keeps those used last.

    ``open_source`` loads an address; ``served`` is the address that an empty one stands for.
    """

    def __init__(self, open_source: Callable[[str], PolicySource], served: str) -> None:
        self._open_source = open_source
        self._served = served
        self._sources: OrderedDict[str, PolicySource] = OrderedDict()
        self._clients: OrderedDict[str, _Client] = OrderedDict()

    def source(self, address: str = "") -> PolicySource:
        """The loaded policy; raises what loading raises, and tries again at each call."""
        address = address or self._served
        if address not in self._sources:
            self._sources[address] = self._open_source(address)
            self._drop_old_sources()
        self._sources.move_to_end(address)
        return self._sources[address]

    def policy(self, client_id: str, address: str = "") -> Policy:
        """The client's own policy, made and reset when it has none yet."""
        address = address or self._served
        client = self._client(client_id)
        policy = client.policies.get(address)
        if policy is None:
            policy = self.source(address).for_client(client_id)
            policy.reset(client.seed, client.instruction)
            client.policies[address] = policy
        return policy

    def reset(self, client_id: str, seed: int | None, instruction: str) -> None:
        """Start an episode; an empty instruction keeps the last one."""
        client = self._client(client_id)
        client.seed, client.instruction = seed, instruction or client.instruction
        for policy in client.policies.values():
            policy.reset(seed, client.instruction)

    def forget(self, client_id: str) -> None:
        client = self._clients.pop(client_id, None)
        for policy in client.policies.values() if client else ():
            _close(policy)

    def close(self) -> None:
        """Also from another thread: policies end what they are waiting for."""
        for client_id in list(self._clients):
            self.forget(client_id)
        while self._sources:
            _close(self._sources.popitem()[1])

    def _client(self, client_id: str) -> _Client:
        client = self._clients.setdefault(client_id, _Client())
        self._clients.move_to_end(client_id)
        while len(self._clients) > _MAX_CLIENTS:
            self.forget(next(iter(self._clients)))
        return client

    def _drop_old_sources(self) -> None:
        while len(self._sources) > _MAX_SOURCES:
            oldest = next(a for a in self._sources if a != self._served)
            for client in self._clients.values():
                if oldest in client.policies:
                    _close(client.policies.pop(oldest))
            _close(self._sources.pop(oldest))


def _close(thing: Policy | PolicySource) -> None:
    try:
        thing.close()
    except Exception:
        log.exception("closing a policy failed")
