"""Key maps: both directions, units, order, and errors that list both sides."""

from __future__ import annotations

import numpy as np
import pytest

from policy_node.policies.servers.address import is_server_address, parse_server_address
from policy_node.policies.servers.images import resize
from policy_node.policies.servers.key_map_file import load_key_map, parse_key_map
from sim_bridge.errors import InvalidRequest, NotFound, OperationFailed
from sim_bridge.types import (
    ActionSpec,
    ArraySpec,
    CameraSpec,
    JointSpec,
    Observation,
    SimSpec,
)

SPEC = SimSpec(
    simulator="test",
    simulator_version="1",
    task="reach",
    instruction="reach",
    robot_entities=("arm",),
    base_frames=("arm/base",),
    joints=tuple(JointSpec(f"arm/{n}", True, -1.0, 1.0) for n in ("pan", "lift", "grip")),
    action=ActionSpec(
        ("pan", "lift", "grip"), -np.ones(3), np.ones(3), ("rad",) * 3, "joint_position"
    ),
    observations=(ArraySpec("goal", "float32", (3,), np.zeros(1), np.ones(1)),),
    control_period_s=0.1,
    cameras=tuple(CameraSpec(n, 8, 6, n, 1, 1, 1, 1) for n in ("front", "wrist")),
)
OBSERVATION = Observation(
    joint_names=("arm/pan", "arm/lift", "arm/grip"),
    joint_positions=np.array([0.1, 0.2, 0.3]),
    joint_velocities=np.zeros(3),
    images={
        "front": np.full((6, 8, 3), (200, 100, 50), np.uint8),
        "wrist": np.zeros((6, 8, 3), np.uint8),
    },
    arrays={"goal": np.array([1.0, 2.0, 3.0])},
    instruction="reach",
)
MAP = """
images:
  - {to: [images, cam_high], camera: front, size: [8, 8], layout: chw}
state:
  - {to: state, joints: [grip, arm/pan], scale: [100.0, 2.0], offset: [0.0, 1.0]}
  - {to: goal, array: goal, indices: [2, 0]}
prompt: task
actions:
  - {from: [action, gripper], names: [grip], scale: 0.01}
  - {from: [action, arm], names: [lift, "-", pan]}
"""


def test_request_has_the_order_units_and_layout_of_the_map():
    request = parse_key_map(MAP).bound_to(SPEC).encode(OBSERVATION)
    np.testing.assert_allclose(request["state"], [30.0, 1.2], rtol=1e-6)
    assert request["state"].dtype == np.float32
    np.testing.assert_array_equal(request["goal"], [3.0, 1.0])
    image = request["images"]["cam_high"]
    assert image.shape == (3, 8, 8) and image.flags.c_contiguous
    assert image[:, 0, 0].tolist() == [0, 0, 0], "padded rows are black"
    assert image[:, 4, 4].tolist() == [200, 100, 50]
    assert request["task"] == "reach"


def test_reply_columns_are_named_scaled_and_dropped():
    key_map = parse_key_map(MAP)
    arm = np.array([[[1.0, 9.0, 2.0], [3.0, 9.0, 4.0]]])
    chunk = key_map.decode({"action": {"gripper": [50.0, 100.0], "arm": arm}})
    assert key_map.action_names == ("grip", "lift", "pan")
    np.testing.assert_allclose(chunk, [[0.5, 1.0, 2.0], [1.0, 3.0, 4.0]])


def test_parts_of_different_length_are_refused():
    with pytest.raises(OperationFailed, match=r"differ in length: \[1, 2\]"):
        parse_key_map(MAP).decode({"action": {"gripper": [50.0, 100.0], "arm": [[1.0, 9.0, 2.0]]}})


def test_wildcards_stand_for_every_camera_and_joint():
    key_map = parse_key_map(
        'images: [{to: "{camera}", camera: "*"}]\n'
        'state: [{to: "{joint}.pos", joints: ["*"], scale: [1, 10, 100]}]\n'
        "actions: [{from: a}]"
    )
    for bound in (key_map, key_map.bound_to(SPEC)):
        request = bound.encode(OBSERVATION)
        assert set(request) == {"front", "wrist", "pan.pos", "lift.pos", "grip.pos"}
        assert request["grip.pos"] == pytest.approx([30.0])
    assert key_map.bound_to(SPEC).cameras == ("front", "wrist")
    assert key_map.bound_to(SPEC).action_names == ("pan", "lift", "grip")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("images: [{to: a, camera: top}]", "camera 'top'.*gives: front, wrist"),
        ("state: [{to: a, joints: [elbow]}]", "joint 'elbow'.*gives: arm/pan, arm/lift, arm/grip"),
        ("state: [{to: a, array: pose}]", "array 'pose'.*gives: goal"),
        ("actions: [{from: a, names: [pan, elbow]}]", "pan, elbow.*task takes pan, lift, grip"),
    ],
)
def test_what_the_simulator_lacks_is_found_at_start(text, complaint):
    with pytest.raises((NotFound, InvalidRequest), match=complaint):
        parse_key_map(text).bound_to(SPEC)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("pictures: []", "'pictures'; valid: images"),
        ("images: [{camera: front}]", "lacks 'to'"),
        ("actions: [{names: [a]}]", "lacks 'from'"),
        ("images: [{to: a, fit: squeeze}]", "'squeeze'; valid: pad, stretch"),
        ("images: [{to: a, layout: bgr}]", "'bgr'; valid: hwc, chw"),
        ("images: [{to: a, size: [1, 2, 3]}]", r"\[height, width\]"),
        ("state: [{to: a}]", "either joints or array"),
        ("state: [{to: a, joint: [b]}]", "'joint'; valid: to, joints"),
        ("- 1", "must be a mapping"),
        ("a: [", "not YAML"),
    ],
)
def test_a_malformed_map_names_the_offender(text, complaint):
    with pytest.raises((NotFound, InvalidRequest), match=complaint):
        parse_key_map(text)


def test_shipped_maps_load_and_unknown_ones_are_listed(tmp_path):
    with pytest.raises(NotFound, match="openpi_droid") as caught:
        load_key_map("nonsense")
    names = str(caught.value).split("valid: ")[1].split(", ")[:-1]
    assert len(names) >= 5
    for name in names:
        assert load_key_map(name).name == name
    path = tmp_path / "mine.yaml"
    path.write_text(MAP)
    assert load_key_map(str(path)).action_names == ("grip", "lift", "pan")


def test_joint_names_that_two_entities_share_are_ambiguous():
    twice = Observation(joint_names=("left/pan", "right/pan"), joint_positions=np.array([0.1, 0.2]))
    with pytest.raises(InvalidRequest, match="ambiguous: left/pan, right/pan"):
        parse_key_map("state: [{to: s, joints: [pan]}]").encode(twice)


def test_padded_resize_keeps_aspect_and_stretch_does_not():
    image = np.full((10, 20, 3), 255, np.uint8)
    padded = resize(image, (20, 20), "pad")
    assert padded[:5].max() == 0 and padded[15:].max() == 0 and padded[5:15].min() == 255
    assert resize(image, (20, 20), "stretch").min() == 255
    assert resize(image, (10, 20), "pad") is image


@pytest.mark.parametrize(
    ("text", "kind", "host", "port"),
    [
        ("gpu:8001", "openpi", "gpu", 8001),
        ("ws://gpu", "openpi", "gpu", 8000),
        ("zmq://10.0.0.2", "groot_zmq", "10.0.0.2", 5555),
        ("http://gpu", "groot_http", "gpu", 8000),
        ("grpc://[::1]:9", "lerobot", "::1", 9),
        ("ilstudio://gpu", "ilstudio", "gpu", 5000),
    ],
)
def test_addresses(text, kind, host, port):
    assert is_server_address(text)
    address = parse_server_address(text)
    assert (address.kind, address.host, address.port) == (kind, host, port)


def test_addresses_that_are_not_servers_or_not_valid():
    for text in ("expert", "hold", "replay:file.npz", "/models/act", "model.safetensors"):
        assert not is_server_address(text)
    with pytest.raises(NotFound, match="'ftp'; valid: ws, wss, zmq"):
        parse_server_address("ftp://gpu")
    with pytest.raises(InvalidRequest, match="no host"):
        parse_server_address("zmq://")
    with pytest.raises(InvalidRequest, match="[Pp]ort"):
        parse_server_address("zmq://gpu:99999")
    with pytest.raises(NotFound, match="'tmeout_s'; valid: map"):
        parse_server_address("gpu:1?tmeout_s=3").check_options()
    with pytest.raises(InvalidRequest, match="positive number, got 'soon'"):
        parse_server_address("gpu:1?timeout_s=soon").number("timeout_s", 1.0)


def test_a_token_is_never_printed(monkeypatch):
    address = parse_server_address("ws://gpu:8000?token=secret")
    assert address.token == "secret" and "secret" not in str(address)
    monkeypatch.setenv("POLICY_SERVER_TOKEN", "other")
    assert parse_server_address("gpu:8000").token == "other"
