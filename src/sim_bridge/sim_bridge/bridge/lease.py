"""Who controls the simulator, and which of their requests is next.

Control belongs to one client at a time. A client keeps it by sending requests and loses it to
another one only after ``lease_s`` without any. Requests are numbered by the client: the last
number again means that the answer was lost, so the answer is repeated and nothing else happens.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sim_bridge.errors import InvalidRequest, LeaseHeld, SequenceGap

_REMEMBERED_CLIENTS = 64


@dataclass
class _Client:
    last_sequence: int = 0
    kind: str = ""
    answer: Any = None


@dataclass(frozen=True)
class Holder:
    client_id: str  # empty: control is free
    expires_in_s: float


class Lease:
    """Exactly-once execution for one controlling client at a time.

    ``clock`` gives monotonic seconds; ``default_s`` is the lease of a client that asks for none.
    """

    def __init__(self, default_s: float, clock: Callable[[], float]) -> None:
        self._default_s = default_s
        self._clock = clock
        self._holder = ""
        self._lease_s = default_s
        self._expires = 0.0
        self._clients: OrderedDict[str, _Client] = OrderedDict()

    def holder(self) -> Holder:
        left = self._expires - self._clock()
        if not self._holder or left <= 0:
            return Holder("", 0.0)
        return Holder(self._holder, left)

    def last_sequence(self, client_id: str) -> int:
        client = self._clients.get(client_id)
        return client.last_sequence if client else 0

    def acquire(self, client_id: str, lease_s: float = 0.0) -> None:
        """Take or renew control. LeaseHeld when another client has it."""
        if not 0.0 <= lease_s < float("inf"):
            raise InvalidRequest(f"lease {lease_s} s; valid: 0 (default) or a positive time")
        self._check_free(client_id)
        self._take(client_id, lease_s)

    def release(self, client_id: str) -> None:
        """Give control back. LeaseHeld when another client has it."""
        holder = self.holder().client_id
        if holder not in ("", client_id):
            raise LeaseHeld(f"client {holder!r} has control, {client_id!r} cannot release it")
        self._holder = ""

    def execute(self, client_id: str, sequence: int, kind: str, action: Callable[[], Any]) -> Any:
        """Run ``action`` once for this number and remember its answer.

        ``kind`` names the request: a number is never answered with another request's answer. An
        ``action`` that raises uses up no number and takes no control. Raises LeaseHeld and
        SequenceGap besides what ``action`` raises.
        """
        self._check_free(client_id)
        client = self._remember(client_id)
        if sequence == client.last_sequence and sequence > 0:
            if kind != client.kind:
                raise SequenceGap(
                    f"sequence {sequence} of {client_id!r} was a {client.kind}, not a {kind}"
                )
            return client.answer
        if sequence != client.last_sequence + 1:
            raise SequenceGap(_gap(client_id, sequence, client.last_sequence))
        held = self._holder == client_id
        self._take(client_id)
        try:
            answer = action()
        except BaseException:
            if not held:  # a refusal takes nothing
                self._holder = ""
            raise
        client.last_sequence, client.kind, client.answer = sequence, kind, answer
        self._touch()
        return answer

    def _check_free(self, client_id: str) -> None:
        if not client_id:
            raise InvalidRequest("client_id is empty; choose one that is unique to the client")
        if self._holder not in ("", client_id) and self._clock() < self._expires:
            holder = self.holder()
            raise LeaseHeld(
                f"client {holder.client_id!r} has control; it is free {holder.expires_in_s:.1f} s "
                f"after that client's last request (asked by {client_id!r})"
            )

    def _take(self, client_id: str, lease_s: float = 0.0) -> None:
        if self._holder != client_id or lease_s or self._clock() >= self._expires:
            self._lease_s = lease_s or self._default_s
        self._holder = client_id
        self._touch()

    def _touch(self) -> None:
        self._expires = self._clock() + self._lease_s

    def _remember(self, client_id: str) -> _Client:
        client = self._clients.get(client_id)
        if client is None:
            client = self._clients[client_id] = _Client()
        self._clients.move_to_end(client_id)
        while len(self._clients) > _REMEMBERED_CLIENTS:
            self._clients.popitem(last=False)
        return client


def _gap(client_id: str, sequence: int, last: int) -> str:
    if last == 0:
        return (
            f"sequence {sequence} from client {client_id!r}, which this bridge does not know; "
            "valid: 1 (was the bridge restarted? then reset as a new client)"
        )
    return (
        f"sequence {sequence} from client {client_id!r}; valid: {last} (repeat the last answer) "
        f"or {last + 1} (the next request)"
    )
