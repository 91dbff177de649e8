"""A policy node as a ``Policy``: what chunk execution asks, over the wire."""

from __future__ import annotations

import json
import math
import time
import uuid
from dataclasses import replace

import numpy as np
from rclpy.node import Node
from sim_interfaces import srv

from policy_node.policy import PolicySpec
from sim_bridge import names
from sim_bridge.errors import OK, InvalidAction, OperationFailed, TimedOut, error_for
from sim_bridge.ros.calls import Caller, wait_for_server
from sim_bridge.ros.convert import from_chunk_msg, to_observation_msg
from sim_bridge.types import ActionChunk, ActionSpec, Observation


class PolicyClient:
    """Calls the policy node's services through ``node``, which must not be spun meanwhile.

    Raises the errors of ``sim_bridge.errors``. ``infer`` may run in another thread than
    ``reset``, not at once.
    """

    def __init__(
        self, node: Node, client_id: str = "", timeout_s: float = 30.0, jpeg: bool = False
    ) -> None:
        self.client_id = client_id or f"client-{uuid.uuid4().hex[:12]}"
        self.spec = PolicySpec(kind="remote", description="a policy node")
        self._action: ActionSpec | None = None
        self._options = ""
        self._timeout_s = timeout_s
        self._limit_s = math.inf
        self._jpeg = jpeg
        self._infer = Caller(node, srv.InferChunk, names.INFER_CHUNK)
        self._reset = Caller(node, srv.ResetPolicy, names.RESET_POLICY)
        self._describe = Caller(node, srv.GetPolicy, names.GET_POLICY)

    def bind(self, action: ActionSpec, address: str = "") -> None:
        """Have chunks in the order and within the bounds of ``action``, the simulator's layout.

        ``address`` asks for a policy other than the one that the node serves.
        """
        self.spec = replace(self.spec, action_names=action.names)
        self._action = action
        self._options = json.dumps({"policy": address}) if address else ""

    def describe(self) -> PolicySpec:
        """What the policy is, from now on ``spec``; the node loads it where it has not yet."""
        request = srv.GetPolicy.Request(client_id=self.client_id, options_json=self._options)
        answer = self._call(self._describe, request)
        self.spec = PolicySpec(
            kind=answer.kind,
            description=answer.description,
            action_names=self._action.names if self._action else tuple(answer.action_names),
            horizon=answer.horizon,
            dt_s=answer.dt,
            image_keys=tuple(answer.cameras),
        )
        return self.spec

    def wait_for_policy(self, timeout_s: float) -> None:
        """TimedOut unless the services show up and answer; resets this client's policy."""
        reset = srv.ResetPolicy.Request(client_id=self.client_id)
        wait_for_server("policy node", (self._infer, self._reset), self._reset, reset, timeout_s)

    def infer(self, observation: Observation) -> np.ndarray:
        """``(H, A)``; in the simulator's order and within its bounds when ``bind`` gave them."""
        chunk = self.infer_chunk(observation)
        return arrange(chunk, self._action) if self._action else chunk.actions

    def infer_chunk(self, observation: Observation) -> ActionChunk:
        """The answer as it came."""
        request = srv.InferChunk.Request(client_id=self.client_id, options_json=self._options)
        to_observation_msg(observation, self._jpeg, out=request.observation)
        response = self._call(self._infer, request)
        try:
            return from_chunk_msg(response.chunk)
        except ValueError as error:
            raise OperationFailed(f"malformed chunk from {self._infer.name}: {error}") from error

    def reset(self, seed: int | None = None, instruction: str = "") -> None:
        request = srv.ResetPolicy.Request(client_id=self.client_id, instruction=instruction)
        if seed is not None:
            request.has_seed, request.seed = True, int(seed)
        self._call(self._reset, request)

    def close(self) -> None:
        self._infer.destroy()
        self._reset.destroy()
        self._describe.destroy()

    def limit_call(self, limit_s: float) -> None:
        """Calls from now on take at most ``limit_s``, and never longer than ``timeout_s``."""
        self._limit_s = limit_s

    def _call(self, caller: Caller, request):
        bound_s = min(self._timeout_s, self._limit_s)
        end_s = time.monotonic() + bound_s
        if not caller.wait_for_service(bound_s):
            raise TimedOut(f"no policy node: nobody serves {caller.name} within {bound_s:.1f} s")
        response = caller.call(request, max(0.0, end_s - time.monotonic()))
        if response.result.code != OK:
            raise error_for(response.result.code, response.result.message)
        return response


def arrange(chunk: ActionChunk, action: ActionSpec) -> np.ndarray:
    """The chunk's actions ``(H, A)`` in the order and within the bounds of ``action``.

    InvalidAction when their names differ.
    """
    if chunk.action_names == action.names:
        actions = chunk.actions
    elif sorted(chunk.action_names) == sorted(action.names):
        actions = chunk.actions[:, [chunk.action_names.index(name) for name in action.names]]
    else:
        raise InvalidAction(
            f"the policy's actions are {', '.join(chunk.action_names)}; "
            f"the simulator's: {', '.join(action.names)}"
        )
    return np.clip(actions, action.low, action.high)
