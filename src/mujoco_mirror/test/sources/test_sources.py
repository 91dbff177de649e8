"""Joint states with tf, bags and trajectories as sources of states."""

from pathlib import Path

import av
import numpy as np
import pytest
from mirror_scenes import state
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from mujoco_mirror.recording import film
from mujoco_mirror.sources.bag import bag_states
from mujoco_mirror.sources.joint_source import JointSource
from sim_bridge.errors import InvalidRequest, NotFound
from sim_bridge.ros.convert import to_state_msg

TRAJECTORY = Path(__file__).parents[3] / "policy_node" / "data" / "so101_pick_place.npz"
INTERFACES = Path(__file__).parents[3] / "sim_interfaces" / "msg"
QUARTER = [0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5)]


def test_joint_states_of_two_publishers_become_one_state_with_bases_from_tf():
    source = JointSource(("pelvis", "nowhere"), root="world")
    source.tf.put("odom", "pelvis", [1, 0, 0, 0, 0, 0, 1])
    source.tf.put("world", "odom", [0, 0, 0.5, *QUARTER])
    source.on_joints(1.0, ["a", "b"], [0.1, 0.2], [1.0, 2.0])
    merged = source.on_joints(1.1, ["c"], [0.3])
    assert merged.joint_names == ("a", "b", "c")
    assert merged.joint_positions.tolist() == [0.1, 0.2, 0.3]
    assert merged.joint_velocities.tolist() == [1.0, 2.0, 0.0]
    assert merged.body_names == ("pelvis",)
    assert np.allclose(merged.body_poses[0], [0, 1, 0.5, *QUARTER])
    assert (merged.episode, merged.step) == (1, 2)


def test_late_joint_states_are_left_out_and_a_clock_reset_is_a_new_episode():
    source = JointSource()
    source.on_joints(10.0, ["a"], [0.0])
    assert source.on_joints(9.95, ["a"], [9.0]) is None
    assert source.on_joints(10.1, ["a"], []) is None
    again = source.on_joints(0.0, ["a"], [1.0])
    assert (again.episode, again.step, again.joint_positions[0]) == (2, 1, 1.0)


def test_a_loop_in_tf_is_no_endless_loop():
    source = JointSource(("a",))
    source.tf.put("b", "a", [0, 0, 0, 0, 0, 0, 1])
    source.tf.put("a", "b", [0, 0, 0, 0, 0, 0, 1])
    assert source.on_joints(0.0, ["j"], [0.0]).body_names == ()


def _typestore():
    store = get_typestore(Stores.ROS2_JAZZY)
    for name in ("SimState",):
        text = (INTERFACES / f"{name}.msg").read_text()
        store.register(get_types_from_msg(text, f"sim_interfaces/msg/{name}"))
    return store


def _message(store, source):
    """A ROS message as rosbags' own type."""
    kind = source.__class__
    package, _, name = kind.__module__.partition(".msg")[0], None, kind.__name__
    fields = {}
    for field in source.get_fields_and_field_types():
        value = getattr(source, field)
        if hasattr(value, "get_fields_and_field_types"):
            value = _message(store, value)
        elif isinstance(value, list):
            value = [
                _message(store, v) if hasattr(v, "get_fields_and_field_types") else v for v in value
            ]
        elif hasattr(value, "typecode"):
            value = np.array(value, dtype={"d": float, "B": np.uint8}[value.typecode])
        fields[field] = value
    return store.types[f"{package}/msg/{name}"](**fields)


@pytest.mark.parametrize("plugin", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_states_come_back_from_a_bag(tmp_path, plugin):
    store, kind = _typestore(), "sim_interfaces/msg/SimState"
    wanted = [
        state(
            {"so101/gripper": 0.1 * k},
            {"block": [k, 0, 0, *QUARTER]},
            episode=1,
            step=k,
            time_s=0.1 * k,
        )
        for k in range(5)
    ]
    with Writer(tmp_path / "bag", version=9, storage_plugin=plugin) as writer:
        connection = writer.add_connection("/state", kind, typestore=store)
        for k, one in enumerate(wanted):
            data = store.serialize_cdr(_message(store, to_state_msg(one)), kind)
            writer.write(connection, 1_000_000 * k, data)
    found = list(bag_states(tmp_path / "bag"))
    assert [(s.episode, s.step, s.time_s) for s in found] == [(1, k, 0.1 * k) for k in range(5)]
    assert [s.joint_positions[0] for s in found] == [0.1 * k for k in range(5)]
    assert np.array_equal(found[3].body_poses, wanted[3].body_poses)
    with pytest.raises(NotFound, match="on topic '/other' in the bag; valid: /state"):
        list(bag_states(tmp_path / "bag", "/other"))


def test_joint_states_and_tf_of_a_bag_become_states(tmp_path):
    store = get_typestore(Stores.ROS2_JAZZY)
    types = store.types
    header = types["std_msgs/msg/Header"]
    time = types["builtin_interfaces/msg/Time"]
    with Writer(tmp_path / "bag", version=9) as writer:
        joints = writer.add_connection(
            "/joint_states", "sensor_msgs/msg/JointState", typestore=store
        )
        tf = writer.add_connection("/tf", "tf2_msgs/msg/TFMessage", typestore=store)
        transform = types["geometry_msgs/msg/TransformStamped"](
            header=header(stamp=time(sec=0, nanosec=0), frame_id="world"),
            child_frame_id="base",
            transform=types["geometry_msgs/msg/Transform"](
                translation=types["geometry_msgs/msg/Vector3"](x=1.0, y=2.0, z=3.0),
                rotation=types["geometry_msgs/msg/Quaternion"](x=0.0, y=0.0, z=0.0, w=1.0),
            ),
        )
        message = types["tf2_msgs/msg/TFMessage"](transforms=[transform])
        writer.write(tf, 0, store.serialize_cdr(message, "tf2_msgs/msg/TFMessage"))
        for k in range(3):
            message = types["sensor_msgs/msg/JointState"](
                header=header(stamp=time(sec=k, nanosec=0), frame_id=""),
                name=["elbow"],
                position=np.array([0.5 * k]),
                velocity=np.zeros(0),
                effort=np.zeros(0),
            )
            writer.write(joints, 10 + k, store.serialize_cdr(message, "sensor_msgs/msg/JointState"))
    found = list(bag_states(tmp_path / "bag", bases=("base",)))
    assert [s.joint_positions[0] for s in found] == [0.0, 0.5, 1.0]
    assert found[0].body_poses[0, :3].tolist() == [1.0, 2.0, 3.0]


def test_a_film_of_a_trajectory_has_one_frame_a_step(tmp_path, capsys):
    size = ["--size", "160x120", "--quality", "fast", "--overlay"]
    assert film.main([str(TRAJECTORY), "--output", str(tmp_path), *size]) == 0
    video, picture = capsys.readouterr().out.split()
    assert Path(picture).is_file()
    with av.open(video) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == 47
    assert frames[10].time == pytest.approx(1.0)


def test_a_film_of_nothing_is_refused(tmp_path, capsys):
    assert film.main([str(tmp_path / "none")]) == 2
    assert "no bag" in capsys.readouterr().err
    (tmp_path / "bag").mkdir()
    with pytest.raises(InvalidRequest, match="bag"):
        list(bag_states(tmp_path / "bag"))
