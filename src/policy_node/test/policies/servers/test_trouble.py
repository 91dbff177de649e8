"""Whatever a server does, and in whatever protocol: an inference ends within its stated bound."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pytest

from policy_node.policies.registry import open_policy
from sim_bridge.errors import OperationFailed, TimedOut
from sim_bridge.types import ActionSpec, CameraSpec, JointSpec, Observation, SimSpec

sys.path.insert(0, str(Path(__file__).parent))
import servers_in_trouble as servers  # noqa: E402

BOUND_S = 1
SLACK_S = 2.0  # for threads that must be scheduled on a busy machine
SPEC = SimSpec(
    simulator="test",
    simulator_version="1",
    task="reach",
    instruction="reach",
    robot_entities=("arm",),
    base_frames=("arm/base",),
    joints=(JointSpec("arm/a", True, -1.0, 1.0), JointSpec("arm/b", True, -1.0, 1.0)),
    action=ActionSpec(("a", "b"), -np.ones(2), np.ones(2), ("rad", "rad"), "joint_position"),
    observations=(),
    control_period_s=0.1,
    cameras=(CameraSpec("front", 32, 24, "front", 1, 1, 1, 1),),
)
OPTIONS = f"timeout_s={BOUND_S}&give_up_s={BOUND_S}"
PROTOCOLS = {
    "openpi": (servers.openpi, f"ws://127.0.0.1:{{}}?{OPTIONS}"),
    "groot_zmq": (servers.groot_zmq, f"zmq://127.0.0.1:{{}}?{OPTIONS}&map=groot"),
    "groot_http": (servers.groot_http, f"http://127.0.0.1:{{}}?{OPTIONS}"),
    "lerobot": (servers.lerobot, f"grpc://127.0.0.1:{{}}?{OPTIONS}&policy_type=a&pretrained=b"),
    "ilstudio": (servers.ilstudio, f"ilstudio://127.0.0.1:{{}}?{OPTIONS}"),
}
EXPECTED = {
    "silent": (TimedOut, "within 1 s"),
    "dripping": (TimedOut, "within 1 s"),
    "dead": (OperationFailed, r"gone for .* s \(give_up_s is 1\)"),
    "garbage": (OperationFailed, None),
    "error": (OperationFailed, "answered"),
    "nan": (OperationFailed, "nan in row 0, column 0"),
}


def observation(height: int = 24, width: int = 32) -> Observation:
    return Observation(
        joint_names=("arm/a", "arm/b"),
        joint_positions=np.array([0.25, -0.5]),
        joint_velocities=np.zeros(2),
        images={"front": np.zeros((height, width, 3), np.uint8)},
        instruction="reach",
    )


@pytest.mark.parametrize("trouble", EXPECTED)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_inference_ends_within_its_bound(protocol, trouble):
    start, address = PROTOCOLS[protocol]
    answer = servers.Answer()
    with start(answer) as upstream:
        proxy = servers.Proxy(upstream)
        with proxy.running() as port:
            source = open_policy(address.format(port), SPEC)
            policy = source.for_client("one")
            np.testing.assert_allclose(policy.infer(observation()), [[0.5, 1.0]] * 4)
            answer.kind = trouble
            if trouble not in ("error", "nan"):
                proxy.trouble = trouble
            if trouble == "dead":
                proxy.cut()
            kind, message = EXPECTED[trouble]
            started = time.monotonic()
            with pytest.raises(kind, match=message):
                policy.infer(observation())
            assert time.monotonic() - started < BOUND_S + SLACK_S
            started = time.monotonic()
            policy.close()
            source.close()
            assert time.monotonic() - started < SLACK_S


@pytest.mark.parametrize("trouble", ["silent", "dripping", "dead", "garbage"])
@pytest.mark.parametrize("protocol", [name for name in PROTOCOLS if name != "ilstudio"])
def test_opening_ends_within_its_bound(protocol, trouble):
    """ILStudio's servers say nothing when one connects: there is nothing to wait for."""
    start, address = PROTOCOLS[protocol]
    with start(servers.Answer()) as upstream:
        proxy = servers.Proxy(upstream)
        proxy.trouble = trouble
        with proxy.running() as port:
            started = time.monotonic()
            with pytest.raises(
                OperationFailed, match=f"no {protocol} server answers at .* within 1 s"
            ):
                open_policy(address.format(port), SPEC)
            assert time.monotonic() - started < BOUND_S + SLACK_S


@pytest.mark.parametrize("protocol", ["openpi", "groot_http", "ilstudio"])
def test_a_server_that_reads_nothing_is_not_written_to_for_ever(protocol, tmp_path):
    """An image larger than all buffers on the way."""
    start, address = PROTOCOLS[protocol]
    path = tmp_path / "map.yaml"
    where = "[video, front]" if protocol == "groot_http" else "image"
    path.write_text(f"images: [{{to: {where}, camera: front}}]\nactions: [{{from: actions}}]")
    with start(servers.Answer()) as upstream:
        proxy = servers.Proxy(upstream)
        with proxy.running() as port:
            policy = open_policy(f"{address.format(port)}&map={path}", SPEC).for_client("one")
            policy.infer(observation())
            proxy.trouble = "silent"
            started = time.monotonic()
            with pytest.raises(TimedOut):
                policy.infer(observation(2400, 3200))
            assert time.monotonic() - started < BOUND_S + SLACK_S
            policy.close()
