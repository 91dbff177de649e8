"""The policy over GR00T's ZMQ protocol (N1.5 and N1.6+), for clients without ROS.

Source: github.com/NVIDIA/Isaac-GR00T, ``gr00t/policy/server_client.py``. Endpoints ``ping``,
``get_action``, ``reset`` and ``get_modality_config``; ``kill`` is refused. A ROUTER socket, so that
several clients wait for the policy at once instead of for one another.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from typing import Any

import zmq
import zmq.asyncio

from policy_node.node.outward import groot_requests
from policy_node.node.outward.backend import describe
from policy_node.node.outward.protocols import OutwardServer
from policy_node.policies.servers.encodings.arrays_msgpack import pack_groot, unpack_groot
from sim_bridge.errors import FeatureUnsupported, InvalidRequest, unknown

log = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
_MAX_CLIENTS = 64
_LOOK_AGAIN_MS = 1000
_ENDPOINTS = ("ping", "get_action", "reset", "get_modality_config")


class GrootZmqServer(OutwardServer):
    """One ROUTER socket; each peer is a client of its own."""

    protocol = "GR00T ZMQ"
    scheme = "zmq"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._clients: OrderedDict[bytes, str] = OrderedDict()

    @contextlib.asynccontextmanager
    async def running(self, port: int):
        """Serve on ``port`` (0: any); yields the port."""
        context = zmq.asyncio.Context()
        router = context.socket(zmq.ROUTER)
        router.setsockopt(zmq.LINGER, 0)
        router.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        try:
            router.bind(f"tcp://{self._access.host}:{port or '*'}")
            bound = int(router.getsockopt_string(zmq.LAST_ENDPOINT).rsplit(":", 1)[1])
            receiver = asyncio.create_task(self._receive(router))
            yield bound
            receiver.cancel()
            await asyncio.gather(receiver, return_exceptions=True)
        finally:
            router.close()
            context.term()

    async def _receive(self, router: zmq.asyncio.Socket) -> None:
        """Requests of all peers at once; a REQ peer has one under way by itself."""
        answering: set[asyncio.Task] = set()
        try:
            while True:
                # A ZMQ socket tells its loop of a change only, and a change that was missed leaves
                # every client waiting: look again from time to time.
                while not await router.poll(_LOOK_AGAIN_MS):
                    pass
                frames = await router.recv_multipart()
                if len(frames) < 2:  # no request: a peer that is not a REQ socket
                    continue
                peer, *envelope, payload = frames
                task = asyncio.create_task(self._answer(router, peer, envelope, payload))
                answering.add(task)
                task.add_done_callback(answering.discard)
        finally:
            for task in answering:
                task.cancel()
            for client_id in self._clients.values():
                self._backend.forget(client_id)

    async def _answer(self, router, peer: bytes, envelope: list[bytes], payload: bytes) -> None:
        client_id = self._client_id(peer)
        try:
            reply = await asyncio.wait_for(self._handle(client_id, payload), self._timeout_s)
        except Exception as error:
            reply = {"error": describe(error, self._timeout_s)}
        if "error" in reply:
            log.warning("%s: %s", client_id, reply["error"])
        await router.send_multipart([peer, *envelope, pack_groot(reply)])

    async def _handle(self, client_id: str, payload: bytes) -> Any:
        request = unpack_groot(payload)
        if not isinstance(request, dict):
            raise InvalidRequest("a request is a map with endpoint and data")
        if not self._access.admits(request.get("api_token")):
            raise InvalidRequest("Unauthorized: Invalid API token")
        endpoint = request.get("endpoint", "get_action")
        data = request.get("data") or {}
        if endpoint == "ping":
            return {"status": "ok", "message": "Server is running"}
        if endpoint == "get_modality_config":
            return groot_requests.modalities(self._task)
        if endpoint == "kill":
            raise FeatureUnsupported("clients may not stop this server")
        if endpoint == "reset":
            options = data.get("options") or {}
            seed = options.get("seed")
            reset = self._backend.reset(client_id, seed if isinstance(seed, int) else None, "")
            await asyncio.wrap_future(reset)
            return {}
        if endpoint == "get_action":
            return await self._get_action(client_id, data)
        raise unknown("endpoint", str(endpoint), _ENDPOINTS)

    async def _get_action(self, client_id: str, data: dict[str, Any]) -> Any:
        newer = "observation" in data  # N1.5 sends the flat observation itself
        sent = data["observation"] if newer else data
        observation = groot_requests.observation(self._task, sent)
        inference = await asyncio.wrap_future(self._backend.infer(client_id, observation))
        flat = groot_requests.is_flat(sent)
        action = groot_requests.action(self._task, inference.actions, flat, batched=newer)
        return [action, {"infer_ms": 1e3 * inference.inference_time_s}] if newer else action

    def _client_id(self, peer: bytes) -> str:
        """ZMQ peers come and go unseen: the ones that asked last are remembered."""
        client_id = self._clients.setdefault(peer, f"groot-zmq-{peer.hex()}")
        self._clients.move_to_end(peer)
        while len(self._clients) > _MAX_CLIENTS:
            self._backend.forget(self._clients.popitem(last=False)[1])
        return client_id
