"""A PhysX scene with the bodies, joints and shapes of a compiled MuJoCo model.

Building from the model that the mirror draws, rather than from a second description of the
robot, makes link frames and joint zeros the same on both sides. What PhysX has no equal for is
refused or, where it only tunes contact and friction, left out: ``frictionloss``, contact
softness, tendons, collisions of an articulation with itself. An actuator's force limit bounds
the joint's damping too, so that a saturated joint moves faster than in MuJoCo.
"""

from __future__ import annotations

import mujoco
import numpy as np
import sapien
from sapien import physx

from sim_bridge.errors import FeatureUnsupported

_FREE = int(mujoco.mjtJoint.mjJNT_FREE)
_HINGE = int(mujoco.mjtJoint.mjJNT_HINGE)
_SLIDE = int(mujoco.mjtJoint.mjJNT_SLIDE)
_GEOM = mujoco.mjtGeom
_UNLIMITED = (-np.inf, np.inf)
_MAX_FORCE = float(np.finfo(np.float32).max)
_SMALLEST_MASS, _SMALLEST_INERTIA = 1e-6, 1e-9
# PhysX's joints turn about x and its capsules, cylinders and planes point along x; MuJoCo's
# joints have any axis and its shapes point along z.
_Z_FROM_X = np.array([np.sqrt(0.5), 0.0, -np.sqrt(0.5), 0.0])
_ON_X = {int(_GEOM.mjGEOM_CAPSULE), int(_GEOM.mjGEOM_CYLINDER), int(_GEOM.mjGEOM_PLANE)}


class PhysxWorld:
    """Entities of ``model`` by its ids.

    ``joints``: joint id to PhysX joint; ``articulations``: each with its joint ids in PhysX's
    order; ``components``: body id to rigid component; ``free``: ids of bodies with a free joint
    (for the root of an articulation, moving it means moving the articulation).
    Raises FeatureUnsupported, naming what PhysX cannot do.
    """

    def __init__(self, model: mujoco.MjModel) -> None:
        _refuse(model)
        self._model = model
        self.joints: dict[int, physx.PhysxArticulationJoint] = {}
        self.articulations: list[tuple[physx.PhysxArticulation, list[int]]] = []
        self.components: dict[int, physx.PhysxRigidBaseComponent] = {}
        self.free: list[int] = []
        physx.set_scene_config(gravity=model.opt.gravity, enable_enhanced_determinism=True)
        # Bodies that fall asleep would wake up a step late after a restore.
        physx.set_body_config(sleep_threshold=0.0)
        self.scene = sapien.Scene([physx.PhysxCpuSystem()])
        self.scene.set_timestep(model.opt.timestep)
        self._poses = _reference_poses(model)
        self._add_static(0)
        for root in range(1, model.nbody):
            if model.body_parentid[root] == 0:
                self._add_tree(root)
        self._set_drives()

    def _add_tree(self, root: int) -> None:
        model = self._model
        tree = [b for b in range(root, model.nbody) if model.body_rootid[b] == root]
        floating = _joint_type(model, root) == _FREE
        if floating:
            self.free.append(root)
        if not any(model.body_jntnum[b] for b in tree):
            for body in tree:
                self._add_static(body)
        elif floating and len(tree) == 1:
            self._add_rigid(root)
        else:
            self._add_articulation(tree, floating)

    def _add_static(self, body: int) -> None:
        component = physx.PhysxRigidStaticComponent()
        self.scene.add_entity(self._make_entity(body, component, groups=(0, 0)))

    def _add_rigid(self, body: int) -> None:
        component = physx.PhysxRigidDynamicComponent()
        entity = self._make_entity(body, component, groups=(0, 0))
        self._set_mass(body, component)
        self.scene.add_entity(entity)

    def _add_articulation(self, tree: list[int], floating: bool) -> None:
        root = tree[0]
        groups = (1, len(self.articulations) + 1)
        links: dict[int, physx.PhysxArticulationLinkComponent] = {}
        # Entities must be kept alive here until the scene has all of them.
        entities: list[sapien.Entity] = []
        anchor = None
        if not floating and self._model.body_jntnum[root]:
            anchor = physx.PhysxArticulationLinkComponent()
            anchor.mass, anchor.inertia = 1.0, np.ones(3)
            anchor.joint.type = "fixed"
            entities.append(_entity(anchor, "anchor", sapien.Pose()))
        for body in tree:
            parent = anchor if body == root else links[int(self._model.body_parentid[body])]
            link = physx.PhysxArticulationLinkComponent(parent)
            links[body] = link
            self._set_joint(body, link, is_root=parent is None, floating=floating)
            entities.append(self._make_entity(body, link, groups))
            self._set_mass(body, link)
        for entity in entities:
            self.scene.add_entity(entity)
        articulation = links[root].articulation
        ids = {_joint_key(j): j for j in self.joints}
        order = [ids[joint.name] for joint in articulation.active_joints]
        self.articulations.append((articulation, order))

    def _set_joint(self, body: int, link, is_root: bool, floating: bool) -> None:
        model = self._model
        pose = sapien.Pose(model.body_pos[body], model.body_quat[body])
        if is_root or not model.body_jntnum[body]:
            link.joint.type = "undefined" if is_root and floating else "fixed"
            link.joint.pose_in_parent = sapien.Pose() if is_root else pose
            return
        joint = int(model.body_jntadr[body])
        hinge = int(model.jnt_type[joint]) == _HINGE
        child = sapien.Pose(model.jnt_pos[joint], _rotation_to(model.jnt_axis[joint]))
        zero = _along_x(hinge, -float(model.qpos0[model.jnt_qposadr[joint]]))
        limited = bool(model.jnt_limited[joint])
        link.joint.name = _joint_key(joint)
        link.joint.type = (
            ("revolute" if limited else "revolute_unwrapped") if hinge else "prismatic"
        )
        link.joint.pose_in_parent = pose * child * zero
        link.joint.pose_in_child = child
        link.joint.limit = np.array(model.jnt_range[joint] if limited else _UNLIMITED)
        # SAPIEN's default is a load-dependent coefficient that MuJoCo has no equal for.
        link.joint.friction = 0.0
        link.joint.armature = model.dof_armature[[model.jnt_dofadr[joint]]]
        self.joints[joint] = link.joint

    def _set_drives(self) -> None:
        """Position actuators, kp (target - q) - kv v, and joint damping as PhysX drives."""
        model = self._model
        passive = {j: float(model.dof_damping[model.jnt_dofadr[j]]) for j in self.joints}
        for joint, damping in passive.items():
            self.joints[joint].set_drive_properties(0.0, damping)
        for actuator in range(model.nu):
            joint = int(model.actuator_trnid[actuator, 0])
            kp, kv = -model.actuator_biasprm[actuator, 1:3]
            limit = float(model.actuator_forcerange[actuator, 1])
            self.joints[joint].set_drive_properties(
                float(kp),
                float(kv) + passive[joint],
                limit if model.actuator_forcelimited[actuator] else _MAX_FORCE,
            )

    def _make_entity(self, body: int, component, groups: tuple[int, int]) -> sapien.Entity:
        for shape in self._shapes(body, groups):
            component.attach(shape)
        self.components[body] = component
        return _entity(component, self._model.body(body).name, self._poses[body])

    def _set_mass(self, body: int, component) -> None:
        model = self._model
        component.mass = max(float(model.body_mass[body]), _SMALLEST_MASS)
        component.cmass_local_pose = sapien.Pose(model.body_ipos[body], model.body_iquat[body])
        component.inertia = np.maximum(model.body_inertia[body], _SMALLEST_INERTIA)

    def _shapes(self, body: int, groups: tuple[int, int]):
        model = self._model
        first = int(model.body_geomadr[body])
        for geom in range(first, first + int(model.body_geomnum[body])):
            contype, conaffinity = int(model.geom_contype[geom]), int(model.geom_conaffinity[geom])
            if contype or conaffinity:
                shape = _shape(model, geom)
                shape.local_pose = _geom_pose(model, geom)
                # The same rule in both engines: types of one against affinities of the other.
                shape.set_collision_groups([contype, conaffinity, *groups])
                yield shape


def _refuse(model: mujoco.MjModel) -> None:
    """FeatureUnsupported for what would change the motion if it were left out."""
    for body in range(1, model.nbody):
        count = int(model.body_jntnum[body])
        types = {int(model.jnt_type[model.body_jntadr[body] + i]) for i in range(count)}
        if count > 1 or types - {_FREE, _HINGE, _SLIDE}:
            raise FeatureUnsupported(
                f"body {model.body(body).name!r} has {count} joints or a ball joint; "
                "PhysX articulations need one hinge or slide joint a body"
            )
    if model.neq:
        raise FeatureUnsupported(f"{model.neq} equality constraint(s); PhysX scenes take none")
    for actuator in range(model.nu):
        name = model.actuator(actuator).name or f"a{actuator}"
        plain = (
            int(model.actuator_trntype[actuator]) == int(mujoco.mjtTrn.mjTRN_JOINT)
            and int(model.actuator_biastype[actuator]) == int(mujoco.mjtBias.mjBIAS_AFFINE)
            and model.actuator_biasprm[actuator, 1] == -model.actuator_gainprm[actuator, 0] != 0
            and model.actuator_gear[actuator, 0] == 1
        )
        if not plain:
            raise FeatureUnsupported(
                f"actuator {name!r} is not a position actuator of a joint, gear 1"
            )


def _reference_poses(model: mujoco.MjModel) -> dict[int, sapien.Pose]:
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    return {b: sapien.Pose(data.xpos[b], data.xquat[b]) for b in range(model.nbody)}


def _joint_type(model: mujoco.MjModel, body: int) -> int | None:
    return int(model.jnt_type[model.body_jntadr[body]]) if model.body_jntnum[body] else None


def _joint_key(joint: int) -> str:
    return f"joint{joint}"


def _entity(component, name: str, pose: sapien.Pose) -> sapien.Entity:
    entity = sapien.Entity()
    entity.name = component.name = name
    entity.add_component(component)
    entity.pose = pose
    return entity


def _rotation_to(axis: np.ndarray) -> np.ndarray:
    """A rotation, as wxyz, that takes x to ``axis``."""
    from_z, out = np.zeros(4), np.zeros(4)
    mujoco.mju_quatZ2Vec(from_z, np.asarray(axis, dtype=float))
    mujoco.mju_mulQuat(out, from_z, _Z_FROM_X)
    return out


def _along_x(hinge: bool, amount: float) -> sapien.Pose:
    if hinge:
        return sapien.Pose(q=[np.cos(amount / 2), np.sin(amount / 2), 0.0, 0.0])
    return sapien.Pose([amount, 0.0, 0.0])


def _geom_pose(model: mujoco.MjModel, geom: int) -> sapien.Pose:
    pose = sapien.Pose(model.geom_pos[geom], model.geom_quat[geom])
    return pose * sapien.Pose(q=_Z_FROM_X) if int(model.geom_type[geom]) in _ON_X else pose


def _shape(model: mujoco.MjModel, geom: int) -> physx.PhysxCollisionShape:
    kind, size = int(model.geom_type[geom]), model.geom_size[geom]
    friction = float(model.geom_friction[geom, 0])
    material = physx.PhysxMaterial(friction, friction, 0.0)
    if kind == int(_GEOM.mjGEOM_PLANE):
        return physx.PhysxCollisionShapePlane(material)
    if kind == int(_GEOM.mjGEOM_SPHERE):
        return physx.PhysxCollisionShapeSphere(float(size[0]), material)
    if kind == int(_GEOM.mjGEOM_CAPSULE):
        return physx.PhysxCollisionShapeCapsule(float(size[0]), float(size[1]), material)
    if kind == int(_GEOM.mjGEOM_CYLINDER):
        return physx.PhysxCollisionShapeCylinder(float(size[0]), float(size[1]), material)
    if kind == int(_GEOM.mjGEOM_BOX):
        return physx.PhysxCollisionShapeBox(size.astype(np.float32), material)
    if kind == int(_GEOM.mjGEOM_MESH):
        # MuJoCo collides convex hulls too.
        mesh = int(model.geom_dataid[geom])
        first, count = int(model.mesh_vertadr[mesh]), int(model.mesh_vertnum[mesh])
        vertices = model.mesh_vert[first : first + count].astype(np.float32)
        return physx.PhysxCollisionShapeConvexMesh(vertices, np.ones(3, np.float32), material)
    name = model.geom(geom).name or f"geom{geom}"
    raise FeatureUnsupported(f"geom {name!r} is a {_GEOM(kind).name}; PhysX has no such shape")
