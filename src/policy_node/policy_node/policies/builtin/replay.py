"""A recorded trajectory as a policy: the action that belongs to the observation's step."""

from __future__ import annotations

from urllib.parse import parse_qsl

import numpy as np

from policy_node.policies.builtin.hold import hold_action
from policy_node.policy import PolicySpec
from sim_bridge.errors import FeatureUnsupported, InvalidRequest, unknown
from sim_bridge.trajectories.trajectory import Trajectory, load_trajectory
from sim_bridge.types import Observation, SimSpec

DEFAULT_HORIZON = 16


def open_source(address: str, spec: SimSpec) -> ReplaySource:
    """``FILE`` or ``FILE?horizon=N``. NotFound or InvalidRequest for a missing, damaged or
    foreign trajectory."""
    trajectory, horizon = load_replay(address)
    trajectory.check_matches(spec)
    return ReplaySource(trajectory, spec, horizon)


def load_replay(address: str) -> tuple[Trajectory, int]:
    """The trajectory of ``FILE?horizon=N`` and the length of its chunks."""
    path, _, query = address.partition("?")
    if not path:
        raise InvalidRequest("policy 'replay' needs a file; valid: replay:FILE")
    options = dict(parse_qsl(query, keep_blank_values=True))
    for name in options:
        if name != "horizon":
            raise unknown("option of policy 'replay':", name, ["horizon"])
    text = options.get("horizon", str(DEFAULT_HORIZON))
    if not text.isdecimal() or int(text) < 1:
        raise InvalidRequest(f"option horizon of policy 'replay' is {text!r}; valid: 1 or more")
    trajectory = load_trajectory(path)
    if not trajectory.num_steps:
        raise InvalidRequest(f"trajectory {path!r} has no actions; valid: 1 or more")
    return trajectory, int(text)


class ReplaySource:
    """Without memory, so that all clients share it: an observation says which step it is."""

    def __init__(self, trajectory: Trajectory, sim_spec: SimSpec, horizon: int) -> None:
        self._trajectory = trajectory
        self._sim_spec = sim_spec
        self.spec = PolicySpec(
            kind="replay",
            description=f"{trajectory.num_steps} recorded steps of {trajectory.task}",
            action_names=trajectory.action_names,
            horizon=horizon,
            dt_s=trajectory.control_period_s,
        )

    def for_client(self, client_id: str) -> ReplaySource:
        return self

    def infer(self, observation: Observation) -> np.ndarray:
        """Up to ``horizon`` actions from the observation's step on; after the last one, hold."""
        start = observation.step
        actions = self._trajectory.actions[start : start + self.spec.horizon]
        return actions if len(actions) else self._rest(observation)[None]

    def reset(self, seed: int | None = None, instruction: str = "") -> None:
        pass

    def close(self) -> None:
        pass

    def _rest(self, observation: Observation) -> np.ndarray:
        names, wanted = self._trajectory.action_names, self._sim_spec.action.names
        last = self._trajectory.actions[-1]
        to_sim = [names.index(name) for name in wanted]
        try:
            rest = hold_action(self._sim_spec, observation, last[to_sim])
        except FeatureUnsupported:
            return last
        return rest[[wanted.index(name) for name in names]]
