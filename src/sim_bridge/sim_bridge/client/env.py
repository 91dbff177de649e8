"""A remote simulator as a Gymnasium environment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import rclpy
from gymnasium import spaces
from rclpy.context import Context
from rclpy.node import Node

from sim_bridge.array_layout import ArrayLayout
from sim_bridge.client.bridge_client import BridgeClient
from sim_bridge.errors import BridgeError, SequenceGap
from sim_bridge.types import ActionSpec, ArraySpec, Observation, SimState

_SINGLE = "observation"


class RemoteEnv(gymnasium.Env):
    """Drives the bridge at ``namespace`` as if its task were local.

    Spaces come from the bridge's spec. The environment keeps control of the bridge until
    ``close()``. ``camera`` is what ``render()`` draws (default: the first one). Raises TimedOut
    when no bridge answers within ``connect_timeout_s``, LeaseHeld when another client drives it.

    A bridge that dies raises TimedOut after ``timeout_s``; one that was restarted in the middle
    of an episode raises SequenceGap. After either, ``reset()`` starts again. A client that dies
    can be followed by one with the same ``client_id``, which goes on after ``resume()``.
    ``watch`` is called now and then while an answer is waited for, and may raise.

        env = RemoteEnv()
        observation, info = env.reset(seed=0)
        observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 30}

    def __init__(
        self,
        namespace: str = "",
        *,
        connect_timeout_s: float = 30.0,
        timeout_s: float = 10.0,
        camera: str = "",
        joints: bool = False,
        client_id: str = "",
        render_mode: str | None = "rgb_array",
        context: Context | None = None,
        domain_id: int | None = None,
        watch: Callable[[], None] = lambda: None,
    ) -> None:
        self.render_mode = render_mode
        self._camera = camera
        self._joints = joints
        self._owns_context = context is None
        self._context = context or _new_context(domain_id)
        self._node = Node(
            "remote_env",
            context=self._context,
            start_parameter_services=False,
            enable_rosout=False,
        )
        self._client = BridgeClient(self._node, namespace, client_id, timeout_s, watch=watch)
        self._closed = False
        self.last_observation = Observation()  # with step and time, and the joints if asked for
        self.sim_wall_time_s = 0.0  # spent inside the simulator by the last step
        try:
            self.sim_spec = self._client.connect(connect_timeout_s)
        except BaseException:
            self.close()
            raise
        self._layout = ArrayLayout(self.sim_spec.observations)
        self.action_space = _action_space(self.sim_spec.action)
        self.observation_space = _observation_space(self.sim_spec.observations)
        self.metadata = {**self.metadata, "render_fps": round(1 / self.sim_spec.control_period_s)}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode. ``options={"state": SimState}`` starts it from that state."""
        super().reset(seed=seed)
        options = dict(options or {})
        state = options.pop("state", None)
        try:
            reply = self._client.reset(seed=seed, state=state, options=options)
        except SequenceGap:
            self._client.renew()  # the bridge was restarted and does not know us
            reply = self._client.reset(seed=seed, state=state, options=options)
        return self._as_task_observation(reply.observation), reply.info

    def resume(self) -> SimState:
        """Go on where an earlier process with this ``client_id`` stopped, whatever stopped it.

        The state's ``episode`` and ``step`` tell what the bridge has executed: a request that
        was under way when the process died either counts in full or did not happen.
        """
        self._client.resume()
        return self.get_state()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        observation, rewards, terminated, truncated, info = self.step_chunk(
            np.asarray(action)[None]
        )
        return observation, float(rewards[0]), terminated, truncated, info

    def step_chunk(self, actions: Any) -> tuple[Any, np.ndarray, bool, bool, dict[str, Any]]:
        """Take ``actions (n, A)`` in one call: the last observation and one reward per step.

        The episode's end cuts the rest off: as many steps were taken as there are rewards.
        """
        rows, client = np.asarray(actions), self._client
        reply = client.step(rows) if self._joints else client.step_lean(rows, self._layout)
        self.sim_wall_time_s = reply.sim_wall_time_s
        info = {**reply.info, "success": reply.success}
        observation = self._as_task_observation(reply.observation)
        return observation, reply.rewards, reply.terminated, reply.truncated, info

    def get_state(self) -> SimState:
        """Full state; ``set_state`` with it restores the simulator exactly."""
        return self._client.get_state()

    def set_state(self, state: SimState) -> Any:
        """Put the scene into a state; returns the observation there."""
        return self._as_task_observation(self._client.set_state(state).observation)

    def render(self) -> np.ndarray | None:
        """RGB ``(h, w, 3)`` uint8 of the chosen camera, drawn by the bridge."""
        if self.render_mode is None:
            return None
        if not self.sim_spec.cameras:
            raise BridgeError(f"{self.sim_spec.task} has no camera")
        camera = self._camera or self.sim_spec.cameras[0].name
        return self._client.render([camera])[camera]

    def close(self) -> None:
        """Give control back and leave the graph. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self._client.close()
        self._node.destroy_node()
        if self._owns_context:
            self._context.try_shutdown()

    def _as_task_observation(self, observation: Observation) -> Any:
        """Keep the bridge's observation; the task's part of it in the form of its space."""
        self.last_observation = observation
        arrays = observation.arrays
        if isinstance(self.observation_space, spaces.Dict):
            return {name: arrays[name] for name in self.observation_space}
        return arrays[_SINGLE]


def _new_context(domain_id: int | None) -> Context:
    context = Context()
    rclpy.init(context=context, domain_id=domain_id)
    return context


def _action_space(action: ActionSpec) -> spaces.Box:
    low, high = action.low.astype(np.float32), action.high.astype(np.float32)
    return spaces.Box(low, high, dtype=np.float32)


def _observation_space(specs: tuple[ArraySpec, ...]) -> spaces.Space:
    boxes: dict[str, spaces.Space] = {spec.name: _box(spec) for spec in specs}
    if list(boxes) == [_SINGLE]:
        return boxes[_SINGLE]
    return spaces.Dict(boxes)


def _box(spec: ArraySpec) -> spaces.Box:
    dtype = np.dtype(spec.dtype)
    low, high = (
        np.broadcast_to(b, spec.shape) if b.size == 1 else b.reshape(spec.shape)
        for b in (spec.low, spec.high)
    )
    return spaces.Box(low.astype(dtype), high.astype(dtype), spec.shape, dtype=dtype.type)
