"""LeRobot dataset folders of both versions, by hand and by LeRobot's own writers.

Set ``LEROBOT_PYTHON`` to the Python of an environment with lerobot 0.4 (format 3.0) and
``LEROBOT_V21_PYTHON`` to one with lerobot 0.3 (format 2.1) to let the library write the fixture.
"""

import json
import os
import subprocess
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sim_bridge.errors import InvalidRequest, NotFound
from sim_bridge.simulators.mujoco.simulator import MujocoSimulator
from sim_bridge.trajectories.importers.formats import open_trajectory
from sim_bridge.trajectories.importers.lerobot import LeRobotFolder

JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
NAMES = [f"{joint}.pos" for joint in JOINTS]
FPS, LENGTHS, SIZE = 50, (20, 30, 25), (48, 64)
CAMERA = "observation.images.front"
LIBRARIES = {"v3.0": "LEROBOT_PYTHON", "v2.1": "LEROBOT_V21_PYTHON"}


def episode(index):
    """Actions and states ``(N, 6)`` in degrees, float32 as in the files."""
    steps = np.arange(LENGTHS[index])[:, None]
    actions = 20 * np.sin(steps / 12 + np.arange(6) + index) + [0, 0, 0, 0, 0, 30]
    return actions.astype(np.float32), (0.9 * actions).astype(np.float32)


def frame(index, step):
    """A grey that tells episode and step, dark for the first and bright for the last."""
    return np.full((*SIZE, 3), 40 + 60 * index + step, np.uint8)


def info(version):
    feature = {"dtype": "float32", "shape": [6], "names": NAMES}
    video = {"dtype": "video", "shape": [*SIZE, 3], "names": ["height", "width", "channels"]}
    scalars = {
        name: {"dtype": dtype, "shape": [1], "names": None}
        for name, dtype in (
            ("timestamp", "float32"),
            ("frame_index", "int64"),
            ("episode_index", "int64"),
            ("index", "int64"),
            ("task_index", "int64"),
        )
    }
    paths = {
        "v2.1": (
            "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
            "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
        ),
        "v3.0": (
            "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
            "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        ),
    }[version]
    return {
        "codebase_version": version,
        "robot_type": "so101_follower",
        "total_episodes": len(LENGTHS),
        "total_frames": sum(LENGTHS),
        "chunks_size": 1000,
        "fps": FPS,
        "data_path": paths[0],
        "video_path": paths[1],
        "features": {"action": feature, "observation.state": feature, CAMERA: video, **scalars},
    }


def table(index):
    actions, states = episode(index)
    count, start = len(actions), sum(LENGTHS[:index])
    return pa.table(
        {
            "action": pa.array(actions.tolist(), pa.list_(pa.float32(), 6)),
            "observation.state": pa.array(states.tolist(), pa.list_(pa.float32(), 6)),
            "timestamp": pa.array(np.arange(count) / FPS, pa.float32()),
            "frame_index": pa.array(np.arange(count)),
            "episode_index": pa.array(np.full(count, index)),
            "index": pa.array(start + np.arange(count)),
            "task_index": pa.array(np.zeros(count, np.int64)),
        }
    )


def write_video(path, frames):
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def write_v21(root):
    (root / "data/chunk-000").mkdir(parents=True)
    rows = []
    for index, length in enumerate(LENGTHS):
        pq.write_table(table(index), root / f"data/chunk-000/episode_{index:06d}.parquet")
        video = root / f"videos/chunk-000/{CAMERA}/episode_{index:06d}.mp4"
        write_video(video, (frame(index, step) for step in range(length)))
        rows.append({"episode_index": index, "tasks": ["pick the cube"], "length": length})
    (root / "meta/episodes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_v30(root):
    """The first two episodes share a file, the third is in the next one."""
    (root / "data/chunk-000").mkdir(parents=True)
    (root / "meta/episodes/chunk-000").mkdir(parents=True)
    files = ((0, 1), (2,))
    rows = []
    for file_index, members in enumerate(files):
        path = f"chunk-000/file-{file_index:03d}"
        pq.write_table(pa.concat_tables(map(table, members)), root / f"data/{path}.parquet")
        images = (frame(i, step) for i in members for step in range(LENGTHS[i]))
        write_video(root / f"videos/{CAMERA}/{path}.mp4", images)
        start = 0
        for index in members:
            rows.append(
                {
                    "episode_index": index,
                    "tasks": ["pick the cube"],
                    "length": LENGTHS[index],
                    "data/chunk_index": 0,
                    "data/file_index": file_index,
                    f"videos/{CAMERA}/chunk_index": 0,
                    f"videos/{CAMERA}/file_index": file_index,
                    f"videos/{CAMERA}/from_timestamp": start / FPS,
                    f"videos/{CAMERA}/to_timestamp": (start + LENGTHS[index]) / FPS,
                    "stats/action/mean": [0.0] * 6,
                }
            )
            start += LENGTHS[index]
    pq.write_table(pa.Table.from_pylist(rows), root / "meta/episodes/chunk-000/file-000.parquet")


WRITERS = {"v2.1": write_v21, "v3.0": write_v30}

# What a user of LeRobot does to record a dataset; both versions take the same calls.
LIBRARY_WRITER = """
import sys, json, inspect, numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset
root, source = sys.argv[1:]
data = np.load(source)
names, camera, fps = json.loads(str(data["header"]))
feature = {"dtype": "float32", "shape": (6,), "names": names}
axes = ["height", "width", "channels"]
video = {"dtype": "video", "shape": data["frames0"].shape[1:], "names": axes}
dataset = LeRobotDataset.create(
    "test/so101", fps, {"action": feature, "observation.state": feature, camera: video},
    root=root, robot_type="so101_follower",
)
task_apart = "task" in inspect.signature(dataset.add_frame).parameters
for i in range(3):
    for action, state, image in zip(data[f"actions{i}"], data[f"states{i}"], data[f"frames{i}"]):
        frame = {"action": action, "observation.state": state, camera: image}
        if task_apart:
            dataset.add_frame(frame, task="pick the cube")
        else:
            dataset.add_frame({**frame, "task": "pick the cube"})
    dataset.save_episode()
if hasattr(dataset, "finalize"):
    dataset.finalize()
"""


def write_with_library(python, root, folder):
    arrays: dict[str, Any] = {"header": np.array(json.dumps([NAMES, CAMERA, FPS]))}
    for i, length in enumerate(LENGTHS):
        arrays[f"actions{i}"], arrays[f"states{i}"] = episode(i)
        arrays[f"frames{i}"] = np.stack([frame(i, step) for step in range(length)])
    source = folder / "episodes.npz"
    np.savez(source, **arrays)
    environment = {
        k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "LD_LIBRARY_PATH")
    }
    environment["HF_HUB_OFFLINE"] = "1"
    done = subprocess.run(
        [python, "-c", LIBRARY_WRITER, str(root), str(source)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=170,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(
    scope="module", params=[(v, by) for v in WRITERS for by in ("hand", "library")], ids="-".join
)
def dataset(request, tmp_path_factory):
    version, by = request.param
    folder = tmp_path_factory.mktemp("lerobot")
    root = folder / "so101_dataset"
    if by == "library":
        python = os.environ.get(LIBRARIES[version], "")
        if not python:
            pytest.skip(f"{LIBRARIES[version]} is not set")
        write_with_library(python, root, folder)
    else:
        (root / "meta").mkdir(parents=True)
        (root / "meta/info.json").write_text(json.dumps(info(version)))
        WRITERS[version](root)
    assert LeRobotFolder(root).version == version
    return root


@pytest.mark.parametrize("index", range(3))
def test_every_episode_is_found(dataset, index):
    actions, states = episode(index)
    trajectory = open_trajectory(f"{dataset}?episode={index}")
    assert trajectory.task == "pick the cube"
    assert trajectory.control_period_s == pytest.approx(1 / FPS)
    assert trajectory.action_names == tuple(NAMES)
    np.testing.assert_array_equal(trajectory.actions, actions)
    assert trajectory.num_states == 1
    np.testing.assert_array_equal(trajectory.joint_positions[0], states[0])


def test_all_states_leave_out_the_last_action(dataset):
    actions, states = episode(1)
    trajectory = open_trajectory(f"{dataset}?episode=1&states=all")
    np.testing.assert_array_equal(trajectory.actions, actions[:-1])
    np.testing.assert_array_equal(trajectory.joint_positions, states)


@pytest.mark.parametrize("index", range(3))
def test_frames_of_an_episode(dataset, index):
    frames = list(LeRobotFolder(dataset).frames(index, CAMERA))
    assert len(frames) == LENGTHS[index]
    levels = [image.mean() for image in frames]
    wanted = [frame(index, step).mean() for step in range(LENGTHS[index])]
    np.testing.assert_allclose(levels, wanted, atol=3)


def test_missing_episodes_and_cameras_list_the_choices(dataset):
    with pytest.raises(InvalidRequest, match="no episode 3; valid: 0 to 2"):
        open_trajectory(f"{dataset}?episode=3")
    with pytest.raises(NotFound, match=f"unknown video 'wrist'; valid: {CAMERA}"):
        next(LeRobotFolder(dataset).frames(0, "wrist"))


def test_degrees_replayed_on_a_bridge_in_radians(dataset, replay_on):
    factor = float(np.pi / 180)
    printed, state = replay_on("mujoco", "so101", dataset, "--episode", 2, "--scale", f"*:{factor}")
    actions, states = episode(2)
    assert f"done: {len(actions)} steps" in printed
    simulator = MujocoSimulator("so101")
    simulator.reset()
    first = simulator.state()
    start = states[0].astype(float) * factor
    simulator.set_state(
        type(first)(
            joint_names=first.joint_names, joint_positions=start, joint_velocities=np.zeros(6)
        )
    )
    for action in actions.astype(float) * factor:
        simulator.step(action)
    np.testing.assert_array_equal(state.joint_positions, simulator.state().joint_positions)


def test_degrees_without_scale_are_refused(tmp_path, replay_on):
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta/info.json").write_text(json.dumps(info("v2.1")))
    write_v21(tmp_path)
    message, _ = replay_on("mujoco", "so101", tmp_path, "--states", "none", status=2)
    assert "so101/shoulder_lift" in message and "valid: -1.74" in message


def test_unnamed_dimensions_can_be_named(tmp_path):
    content = json.loads(json.dumps(info("v2.1")))
    content["features"]["action"]["names"] = None
    content["features"]["observation.state"]["names"] = {"motors": NAMES}
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta/info.json").write_text(json.dumps(content))
    write_v21(tmp_path)
    assert open_trajectory(str(tmp_path)).action_names[0] == "action[0]"
    assert open_trajectory(str(tmp_path)).joint_names == tuple(NAMES)
    named = open_trajectory(f"{tmp_path}?rename=action[0]:so101/shoulder_pan")
    assert named.action_names[:2] == ("so101/shoulder_pan", "action[1]")


def test_other_versions_are_refused(tmp_path):
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta/info.json").write_text(
        json.dumps({**info("v2.1"), "codebase_version": "v1.6"})
    )
    with pytest.raises(InvalidRequest, match="LeRobot format v1.6; valid: v2.1, v3.0"):
        open_trajectory(str(tmp_path))


@pytest.mark.parametrize("damage", ["meta/episodes.jsonl", "data/chunk-000/episode_000000.parquet"])
def test_damaged_datasets_are_named(tmp_path, damage):
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta/info.json").write_text(json.dumps(info("v2.1")))
    write_v21(tmp_path)
    (tmp_path / damage).write_bytes(b"{garbage")
    with pytest.raises(InvalidRequest, match="not a readable LeRobot dataset"):
        open_trajectory(str(tmp_path))
