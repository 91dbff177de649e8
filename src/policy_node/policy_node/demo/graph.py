"""The running graph as the demo sees it: which nodes are up, a rollout, a recording."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rcl_interfaces.msg import ParameterValue
from rcl_interfaces.srv import GetParameters
from rclpy.action import ActionClient
from rclpy.action.client import ClientGoalHandle
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.task import Future
from sim_interfaces import srv
from sim_interfaces.action import Rollout

from sim_bridge import names
from sim_bridge.errors import OK, OperationFailed, TimedOut, error_for
from sim_bridge.ros import qos
from sim_bridge.ros.interrupts import StopFlag
from sim_bridge.ros.spec import SpecWatch
from sim_bridge.types import SimSpec

_BRIDGE_NODE, _POLICY_NODE, _ROLLOUT_NODE = "sim_bridge", "policy_node", "rollout"
_SPIN_S = 0.1
_REMINDER_S = 10.0
_DRAWING_REPORT_S = 3.0
_PARAMETER_S = 5.0


class DemoGraph:
    """Synchronous; everything happens in the calling thread. Raises ``sim_bridge.errors``, and
    KeyboardInterrupt, once, when ``stop`` was requested."""

    _goal: ClientGoalHandle | None = None

    def __init__(self, node: Node, stop: StopFlag, log: Callable[[str], None]) -> None:
        self._node = node
        self._stop = stop
        self.say = log
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(node)
        self._spec = SpecWatch(node)
        self._rollout = ActionClient(node, Rollout, names.ROLLOUT)
        self._infer = node.create_client(srv.InferChunk, names.INFER_CHUNK)
        self._get_state = node.create_client(srv.GetState, names.GET_STATE)
        self._record = node.create_client(srv.Record, names.RECORD)
        self._said_at = 0.0

    def wait_for_peers(self, timeout_s: float, with_mirror: bool) -> SimSpec:
        """TimedOut that names what is missing."""
        peers = {
            f"simulator (topic {names.SPEC})": lambda: self._spec.spec is not None,
            f"policy (service {names.INFER_CHUNK})": self._infer.service_is_ready,
            f"rollout (action {names.ROLLOUT})": self._rollout.server_is_ready,
        }
        if with_mirror:
            peers[f"mirror (service {names.RECORD})"] = self._record.service_is_ready
        started = reminded = time.monotonic()
        while missing := [name for name, ready in peers.items() if not ready()]:
            now = time.monotonic()
            if now - started > timeout_s:
                raise TimedOut(f"still missing after {timeout_s:g} s: {', '.join(missing)}")
            if now - reminded > _REMINDER_S:
                reminded = now
                self.say(f"waiting for {', '.join(missing)}")
            self._spin()
        return self._spec.wait()

    def _refuse_company(self) -> None:
        """Two simulators under one name would each take a part of the calls."""
        if (count := self._node.count_publishers(names.SPEC)) > 1:
            raise OperationFailed(
                f"{count} simulators in ROS domain {self._node.context.get_domain_id()} publish "
                f"{self._node.resolve_topic_name(names.SPEC)}: another graph runs there. "
                "Choose a ROS_DOMAIN_ID of your own, or a namespace"
            )

    def run_rollout(
        self, goal: Rollout.Goal, on_feedback: Callable[[Rollout.Feedback], None]
    ) -> Rollout.Result:
        """The result, whatever its code; TimedOut when the goal is not even accepted."""
        self._refuse_company()
        # A server that is seen may not see us yet, and its answer would be lost.
        self._parameter(_ROLLOUT_NODE, "use_sim_time")
        accepted = self._rollout.send_goal_async(
            goal, feedback_callback=lambda message: on_feedback(message.feedback)
        )
        goal_handle = self._goal = self._wait(accepted, 30.0, names.ROLLOUT)
        finished = goal_handle.get_result_async()
        while not finished.done():
            self._refuse_company()
            if not self._rollout.server_is_ready():
                raise TimedOut("the rollout node went away")
            self._spin()
        self._goal = None
        return finished.result().result

    def cancel_rollout(self, timeout_s: float) -> None:
        if self._goal is not None:
            self._wait(self._goal.cancel_goal_async(), timeout_s, names.ROLLOUT)

    def start_recording(self, directory: str) -> None:
        self._call(self._record, srv.Record.Request(directory=directory), 60.0)

    def stop_recording(self, timeout_s: float, complete: bool = True) -> srv.Record.Response:
        """``complete`` first waits until the bridge's present state was drawn, and says how many
        pictures are missing while that takes."""
        request = srv.Record.Request(command=srv.Record.Request.STOP, timeout=timeout_s)
        if complete:
            state = self._call(self._get_state, srv.GetState.Request(), 10.0).state
            request.until_episode, request.until_step = state.episode, state.step
        reports = self._node.create_subscription(
            DiagnosticStatus, names.MIRROR_FIDELITY, self._on_mirror, qos.ROBOT_STATE
        )
        self._said_at = time.monotonic()
        try:
            return self._call(self._record, request, timeout_s + 5.0)
        finally:
            self._node.destroy_subscription(reports)

    def _on_mirror(self, status: DiagnosticStatus) -> None:
        missing = next((v.value for v in status.values if v.key == "pictures_to_draw"), "0")
        if missing != "0" and time.monotonic() - self._said_at > _DRAWING_REPORT_S:
            self._said_at = time.monotonic()
            self.say(f"recording: {missing} pictures still to draw")

    def served_policy(self) -> tuple[str, str]:
        """The address that the policy node was started with, and what it turned out to be."""
        values = [self._parameter(_POLICY_NODE, name) for name in ("policy", "policy_description")]
        address, description = (v.string_value if v else "" for v in values)
        return address, description

    def pids(self) -> dict[str, int | None]:
        """Process ids that simulator and policy tell as parameter ``pid``; None if one does not."""
        nodes = {"simulator": _BRIDGE_NODE, "policy": _POLICY_NODE}
        values = {role: self._parameter(name, "pid") for role, name in nodes.items()}
        return {role: (v.integer_value or None) if v else None for role, v in values.items()}

    def _parameter(self, node_name: str, name: str) -> ParameterValue | None:
        """None when the node does not tell."""
        client = self._node.create_client(GetParameters, f"{node_name}/get_parameters")
        try:
            if not client.wait_for_service(_PARAMETER_S):
                return None
            future = client.call_async(GetParameters.Request(names=[name]))
            values = self._wait(future, _PARAMETER_S, client.srv_name).values
            return values[0] if values else None
        except TimedOut:
            return None
        finally:
            self._node.destroy_client(client)

    def _spin(self) -> None:
        self._executor.spin_once(timeout_sec=_SPIN_S)
        if self._stop.requested:
            self._stop.requested = False
            raise KeyboardInterrupt

    def _call(self, client: Any, request: Any, timeout_s: float) -> Any:
        response = self._wait(client.call_async(request), timeout_s, client.srv_name)
        if response.result.code != OK:
            raise error_for(response.result.code, f"{client.srv_name}: {response.result.message}")
        return response

    def _wait(self, future: Future, timeout_s: float, what: str) -> Any:
        deadline = time.monotonic() + timeout_s
        while not future.done():
            if time.monotonic() > deadline:
                raise TimedOut(f"no answer from {what} within {timeout_s:g} s")
            self._spin()
        return future.result()


def mirror_summary(response: srv.Record.Response) -> dict[str, Any]:
    return json.loads(response.summary_json or "{}")
