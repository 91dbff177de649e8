"""A MuJoCo model that follows published states: positions in, link poses out, no physics."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import mujoco
import numpy as np

from mujoco_mirror.model.map_rules import MapRules, PoseRule
from mujoco_mirror.model.model_map import ModelMap
from mujoco_mirror.model.name_match import NameMatcher
from mujoco_mirror.model.rotations import compose, inverse, to_xyzw
from sim_bridge.files.model_names import body_names
from sim_bridge.types import LinkPoses, SimState

_log = logging.getLogger(__name__)


class Mirror:
    """Applies ``SimState``s to ``model``. Not thread-safe: one thread owns it.

    The map is built from the names in the first state, and again when the names change; what it
    could not match is logged then, unless ``quiet``.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        rules: MapRules | None = None,
        strict: bool = False,
        quiet: bool = False,
    ) -> None:
        self.model = model
        self.data = mujoco.MjData(model)
        self.map: ModelMap | None = None
        self._rules = rules or MapRules()
        self._strict = strict
        self._quiet = quiet
        self._links = _LinkTable(model, self._rules)
        mujoco.mj_forward(model, self.data)

    def apply(self, state: SimState) -> None:
        """Take over a state and run the kinematics. InvalidRequest as ``ModelMap`` raises it."""
        self.write(state)
        self.kinematics()

    def write(self, state: SimState) -> None:
        """Take over a state without the kinematics."""
        self.fit(state).write(state, self.model, self.data)
        self.data.time = state.time_s

    def fit(self, state: SimState) -> ModelMap:
        """The map of this state's names to the model's."""
        if self.map is None or not self.map.fits(state):
            self.map = ModelMap(
                self.model,
                state.joint_names,
                state.body_names,
                self._rules,
                self._strict,
                state.ball_names,
            )
            if not self._quiet:
                level = logging.INFO if self.map.report.complete else logging.WARNING
                _log.log(level, "%s", self.map.report)
        return self.map

    def kinematics(self) -> None:
        """Everything that a picture or a link pose needs from qpos, and nothing dynamic."""
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_comPos(self.model, self.data)
        mujoco.mj_camlight(self.model, self.data)
        if self.model.ntendon:
            mujoco.mj_tendon(self.model, self.data)
        if self.model.nflex:
            mujoco.mj_flex(self.model, self.data)

    def joint_error(self, state: SimState) -> float:
        """Largest distance [rad or m, wire units] between the published and the mirrored joints."""
        if self.map is None or not len(state.joint_positions):
            return 0.0
        difference = self.map.read_joints(self.data) - state.joint_positions
        return float(np.nanmax(np.abs(difference), initial=0.0))

    def link_poses(self, names: Sequence[str]) -> LinkPoses:
        """World poses of the named links as this model has them; unknown names are left out."""
        return self._links.poses(self.data, tuple(names))


class _LinkTable:
    """Wire link names to bodies and sites of the model; resolved once per set of names."""

    def __init__(self, model: mujoco.MjModel, rules: MapRules) -> None:
        self._rules = rules
        self._bodies = {name: b for b, name in enumerate(body_names(model)) if b}
        self._sites = {model.site(s).name: s for s in range(model.nsite)}
        self._matcher = NameMatcher(self._bodies, rules.prefixes)
        self._asked: tuple[str, ...] | None = None
        self._names: tuple[str, ...] = ()
        self._on_body = np.zeros(0, dtype=int)
        self._ids = np.zeros(0, dtype=int)
        self._offsets = np.zeros((0, 7))

    def poses(self, data: mujoco.MjData, names: tuple[str, ...]) -> LinkPoses:
        if names != self._asked:
            self._resolve(names)
        out = np.empty((len(self._names), 7))
        bodies = self._ids[self._on_body]
        out[self._on_body, :3] = data.xpos[bodies]
        out[self._on_body, 3:] = to_xyzw(data.xquat[bodies])
        for row in np.flatnonzero(~self._on_body):
            site, quaternion = self._ids[row], np.empty(4)
            mujoco.mju_mat2Quat(quaternion, data.site_xmat[site])
            out[row, :3], out[row, 3:] = data.site_xpos[site], to_xyzw(quaternion)
        return LinkPoses(self._names, compose(out, self._offsets))

    def _resolve(self, names: tuple[str, ...]) -> None:
        rows = [(n, *found) for n in names if (found := self._find(n)) is not None]
        self._asked = names
        self._names = tuple(r[0] for r in rows)
        self._on_body = np.array([r[1] for r in rows], dtype=bool)
        self._ids = np.array([r[2] for r in rows], dtype=int)
        self._offsets = inverse(np.array([r[3] for r in rows], dtype=float).reshape(-1, 7))

    def _find(self, name: str) -> tuple[bool, int, tuple[float, ...]] | None:
        rule = self._rules.links.get(name)
        if rule is None:
            found = None if self._rules.ignores(name) else self._matcher.find(name)
            if found is None:
                return None
            rule = PoseRule(found)
        if rule.to in self._bodies:
            return True, self._bodies[rule.to], rule.pose
        if rule.to in self._sites:
            return False, self._sites[rule.to], rule.pose
        return None
