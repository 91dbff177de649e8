"""The policy node: action chunks on request.

The main thread takes requests and hands them to the inference worker, which answers them; the
rest of ROS (the simulator's spec, parameters) is served by an executor in a third thread.
"""

from __future__ import annotations

import argparse
import concurrent.futures

from rclpy.node import Node

from policy_node.node.chunk_info import ChunkInfoPublisher
from policy_node.node.inference_worker import InferenceWorker
from policy_node.node.outward.outward import OutwardServers, ServeParameters
from policy_node.node.parameters import PolicyParameters
from policy_node.node.services import PolicyServices
from policy_node.node.sessions import PolicySessions
from policy_node.node.warm_up import warm_up
from policy_node.policies.registry import open_policy
from policy_node.policy import PolicySource
from sim_bridge.errors import BridgeError, Canceled
from sim_bridge.ros.interrupts import StopFlag
from sim_bridge.ros.parameters import Report, declare_pid, read_parameters
from sim_bridge.ros.program import Program, spinning
from sim_bridge.ros.service_loop import ServiceLoop
from sim_bridge.ros.spec import SpecWatch
from sim_bridge.types import SimSpec

_WAIT_S = 0.2


class PolicyNode(Node):
    """Learns the task from ``spec`` and serves one policy, and others on request."""

    def __init__(self, **kwargs) -> None:
        super().__init__("policy_node", **kwargs)
        self.parameters: PolicyParameters = read_parameters(self, PolicyParameters)
        declare_pid(self)
        self._description = Report(self, "policy_description", "", "what the policy is")
        self._spec = SpecWatch(self, self._on_change)
        self._sessions = PolicySessions(self._open, self.parameters.policy)
        self._worker = InferenceWorker(self._sessions, self.parameters)
        self._outward = OutwardServers(read_parameters(self, ServeParameters), self._worker)
        self._loop = ServiceLoop(self)
        self._chunks = ChunkInfoPublisher(self)

    def wait_for_spec(self, stop: StopFlag) -> bool:
        """False when asked to stop meanwhile."""
        self.get_logger().info(f"waiting for a simulator's spec on {self._spec.topic}")
        try:
            self._spec.wait(should_stop=lambda: stop.requested)
        except Canceled:
            return False
        return True

    def serve(self, stop: StopFlag) -> None:
        """Warm up, then offer the services and answer until asked to stop."""
        self._worker.start()
        warm = self._worker.call("", self._load)
        while not stop.requested and not warm.done():
            concurrent.futures.wait([warm], _WAIT_S)
        log = self.get_logger().warning
        services = PolicyServices(self._worker, self._spec.wait, log, self._chunks.publish)
        services.attach(self._loop)
        while not stop.requested:
            self._loop.spin_once(_WAIT_S)

    def destroy_node(self) -> None:
        self._outward.close()
        self._worker.close()
        super().destroy_node()

    def _on_change(self, spec: SimSpec) -> None:
        self.get_logger().info(f"the simulator's task is now {spec.task}")
        self._worker.call("", self._reload)

    def _reload(self) -> None:
        self._sessions.close()
        self._load()

    def _load(self) -> None:
        """Failures are logged: every request tries again and is answered with the reason."""
        log, address = self.get_logger(), self.parameters.policy
        try:
            source = self._sessions.source()
            description = f"{source.spec.kind}, {source.spec.description}"
            log.info(f"policy {address}: {description}")
            self._description.tell(description)
            warm_up(source, self._spec.wait())
            self._outward.renew(source.spec, self._spec.wait())
        except BridgeError as error:
            log.error(f"policy {address} is not usable: {error}")
        except Exception as error:
            log.error(f"policy {address} failed to warm up: {error!r}")

    def _open(self, address: str) -> PolicySource:
        return open_policy(address, self._spec.wait())


PROGRAM = Program(
    "policy_node",
    "Serve action chunks (infer_chunk, reset_policy) for the task of the bridge in the same "
    "namespace.",
    (PolicyParameters, ServeParameters),
)


def main(args: list[str] | None = None) -> int:
    return PROGRAM.run(_work, args)


def _work(stop: StopFlag, given: argparse.Namespace) -> None:
    with spinning(PolicyNode()) as node:
        if node.wait_for_spec(stop):
            node.serve(stop)
