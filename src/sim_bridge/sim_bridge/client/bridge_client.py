"""A typed, synchronous client of one bridge."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rclpy.node import Node
from sim_interfaces import msg as m
from sim_interfaces import srv

from sim_bridge import names
from sim_bridge.array_layout import ArrayLayout
from sim_bridge.errors import OK, BridgeError, InvalidRequest, TimedOut, error_for
from sim_bridge.ros.calls import Caller, wait_for_server
from sim_bridge.ros.convert import doubles, from_observation_msg, from_state_msg, to_state_msg
from sim_bridge.ros.spec import receive_spec
from sim_bridge.types import LeanReply, Observation, SimSpec, SimState, StepReply


@dataclass(frozen=True)
class ControlReply:
    bridge_id: str
    holder: str
    expires_in_s: float
    last_sequence: int


_LARGEST_SEED = 2**32 - 1
_FLAGS = srv.StepLean.Response  # each of its constants is looked up through two functions
_TERMINATED, _TRUNCATED, _SUCCESS = _FLAGS.TERMINATED, _FLAGS.TRUNCATED, _FLAGS.SUCCESS


class BridgeClient:
    """Calls the bridge at ``namespace`` through ``node``, which must not be spun meanwhile.

    Every call waits at most ``timeout_s`` per try; requests that change something are numbered
    and repeated ``retries`` times when the answer does not come, which never executes them
    twice. Raises the errors of ``sim_bridge.errors``, and what ``watch`` raises, which is called
    now and then while waiting. One thread at a time.
    """

    def __init__(
        self,
        node: Node,
        namespace: str = "",
        client_id: str = "",
        timeout_s: float = 10.0,
        retries: int = 1,
        watch: Callable[[], None] = lambda: None,
    ) -> None:
        prefix = f"{namespace.rstrip('/')}/" if namespace else ""
        self.client_id = client_id or f"client-{uuid.uuid4().hex[:12]}"
        self._node, self._namespace, self._watch = node, namespace, watch
        self._timeout_s = timeout_s
        self._retries = retries
        self._sequence = 0
        self._in_doubt = False
        self._may_hold = False  # control, since a request that takes it was sent
        self._reset = Caller(node, srv.Reset, prefix + names.RESET, watch)
        self._step = Caller(node, srv.Step, prefix + names.STEP, watch)
        self._step_lean = Caller(node, srv.StepLean, prefix + names.STEP_LEAN, watch)
        self._get_state = Caller(node, srv.GetState, prefix + names.GET_STATE, watch)
        self._set_state = Caller(node, srv.SetState, prefix + names.SET_STATE, watch)
        self._render = Caller(node, srv.Render, prefix + names.RENDER, watch)
        self._control = Caller(node, srv.Control, prefix + names.CONTROL, watch)
        self._get_model = Caller(node, srv.GetModel, prefix + names.GET_MODEL, watch)

    def connect(self, timeout_s: float, watch: Callable[[], None] | None = None) -> SimSpec:
        """The bridge's spec, once it is there and answers; TimedOut when it is not."""
        spec = receive_spec(self._node, self._namespace, timeout_s, watch or self._watch)
        self.wait_for_bridge(timeout_s)
        return spec

    def wait_for_bridge(self, timeout_s: float) -> None:
        """TimedOut unless all services show up and the bridge answers."""
        query = srv.Control.Request(client_id=self.client_id, command=srv.Control.Request.QUERY)
        wait_for_server("bridge", self._callers(), self._control, query, timeout_s)

    def renew(self) -> None:
        """Become a new client, with numbers from 1: for a bridge that was restarted."""
        self.client_id = f"{self.client_id.partition('#')[0]}#{uuid.uuid4().hex[:6]}"
        self._sequence = 0
        self._in_doubt = False

    def resume(self) -> None:
        """Go on with the numbers of an earlier process that had the same ``client_id``."""
        self._sequence = self.query().last_sequence
        self._in_doubt = False

    def reset(
        self,
        seed: int | None = None,
        state: SimState | None = None,
        options: dict[str, Any] | None = None,
        cameras: Sequence[str] = (),
        jpeg: bool = False,
    ) -> StepReply:
        request = srv.Reset.Request(cameras=list(cameras), jpeg=jpeg)
        if seed is not None:
            if not 0 <= seed <= _LARGEST_SEED:
                raise InvalidRequest(f"seed is {seed}; valid: 0 to {_LARGEST_SEED}")
            request.has_seed, request.seed = True, int(seed)
        if state is not None:
            request.has_state, request.state = True, to_state_msg(state)
        request.options_json = json.dumps(options) if options else ""
        return _reply(self._numbered(self._reset, request))

    def step(
        self,
        actions: np.ndarray,
        cameras: Sequence[str] = (),
        jpeg: bool = False,
    ) -> StepReply:
        """``actions (A,)`` or ``(n, A)``; the episode's end cuts the rest off."""
        rows = np.atleast_2d(actions)
        request = srv.Step.Request(
            num_steps=len(rows), cameras=list(cameras), jpeg=jpeg, actions=doubles(rows)
        )
        response = self._numbered(self._step, request)
        return _reply(
            response,
            rewards=np.array(response.rewards),
            successes=tuple(response.success),
            terminated=response.terminated[-1],
            truncated=response.truncated[-1],
            sim_wall_time_s=response.sim_wall_time,
        )

    def step_lean(self, actions: np.ndarray, observations: ArrayLayout) -> LeanReply:
        """``step`` without state, joints and images, for speed."""
        rows = np.atleast_2d(actions)
        request = srv.StepLean.Request(num_steps=len(rows), actions=doubles(rows))
        response = self._numbered(self._step_lean, request)
        flags = response.flags
        return LeanReply(
            observation=Observation(
                episode=response.episode,
                step=response.step,
                arrays=observations.unpack(response.observation),
            ),
            info=_info(response),
            rewards=np.array(response.rewards),
            successes=tuple([flag & _SUCCESS != 0 for flag in flags]),
            terminated=flags[-1] & _TERMINATED != 0,
            truncated=flags[-1] & _TRUNCATED != 0,
            sim_wall_time_s=response.sim_wall_time,
        )

    def set_state(self, state: SimState) -> StepReply:
        request = srv.SetState.Request(state=to_state_msg(state))
        return _reply(self._numbered(self._set_state, request))

    def get_state(self) -> SimState:
        """The state with the engine's own block."""
        return from_state_msg(self._call(self._get_state, srv.GetState.Request()).state)

    def render(self, cameras: Sequence[str] = (), jpeg: bool = False) -> dict[str, np.ndarray]:
        """RGB images ``(h, w, 3)`` uint8 by camera, of the scene as it is now."""
        response = self._call(self._render, srv.Render.Request(cameras=list(cameras), jpeg=jpeg))
        return from_observation_msg(response.observation).images

    def acquire(self, lease_s: float = 0.0) -> ControlReply:
        self._may_hold = True
        return self._control_call(srv.Control.Request.ACQUIRE, lease_s)

    def query(self) -> ControlReply:
        """Who has control, and the last number of ours that the bridge executed."""
        return self._control_call(srv.Control.Request.QUERY)

    def release(self) -> ControlReply:
        reply = self._control_call(srv.Control.Request.RELEASE)
        self._may_hold = False
        return reply

    def get_model(self, path: str = "") -> srv.GetModel.Response:
        """The manifest, or one file with its data; see ``GetModel.srv``."""
        return self._call(self._get_model, srv.GetModel.Request(path=path))

    def close(self) -> None:
        """Give control back, whatever happened before, and leave the graph."""
        if self._may_hold:
            with contextlib.suppress(BridgeError):
                self.release()
        for caller in self._callers():
            caller.destroy()

    def _callers(self) -> tuple[Caller, ...]:
        return (
            self._reset,
            self._step,
            self._step_lean,
            self._get_state,
            self._set_state,
            self._render,
            self._control,
            self._get_model,
        )

    def _control_call(self, command: int, lease_s: float = 0.0) -> ControlReply:
        request = srv.Control.Request(client_id=self.client_id, command=command, lease=lease_s)
        r = self._call(self._control, request)
        return ControlReply(r.bridge_id, r.holder, r.expires_in, r.last_sequence)

    def _numbered(self, caller: Caller, request: Any) -> Any:
        """Send under the next number; a number is used up only when the request succeeded."""
        if self._in_doubt:
            self._sequence = max(self._sequence, self.query().last_sequence)
            self._in_doubt = False
        self._may_hold = True
        request.client_id = self.client_id
        request.sequence = self._sequence + 1
        try:
            response = self._call(caller, request)
        except (TimedOut, KeyboardInterrupt):
            self._in_doubt = True  # it may have been executed; the bridge knows the last number
            raise
        self._sequence = request.sequence
        return response

    def _call(self, caller: Caller, request: Any) -> Any:
        """All requests may be repeated: they only read, or they are numbered."""
        for attempt in range(self._retries + 1):
            try:
                response = caller.call(request, self._timeout_s)
                break
            except TimedOut:
                if attempt == self._retries:
                    raise
        result: m.Result = response.result
        if result.code != OK:
            raise error_for(result.code, result.message)
        return response


def _reply(response: Any, **steps: Any) -> StepReply:
    """``steps`` are the fields that only control steps have."""
    return StepReply(
        state=from_state_msg(response.state),
        observation=from_observation_msg(response.observation),
        info=_info(response),
        **steps,
    )


def _info(response: Any) -> dict[str, Any]:
    text = getattr(response, "info_json", "")
    return json.loads(text) if text else {}
