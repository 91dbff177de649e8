"""The least that a ROS service costs: ready messages, and nothing done with them on the way.

What is below this figure cannot be had over ``rclpy`` services, whatever is sent.

``python bare_service.py SIMULATOR TASK [OPTIONS]`` steps a simulator, as often as the service's
name says, for an empty request, and answers only the time that it took; ``python bare_service.py``
answers InferChunk with a ready chunk. Both run on our service loop, as rclpy's own executor costs
a multiple of it.
"""

from __future__ import annotations

import sys
from functools import partial

import numpy as np
import rclpy
from peers import host, rest_action, run
from policies_for_benchmarks import HORIZON
from rclpy.context import Context
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from sim_interfaces import srv
from std_srvs.srv import Trigger

from sim_bridge.ros.calls import Caller
from sim_bridge.ros.convert import to_chunk_msg
from sim_bridge.ros.interrupts import StopFlag
from sim_bridge.ros.service_loop import ServiceLoop
from sim_bridge.types import ActionChunk

LENGTHS = (1, 16)  # control steps a call
INFER = "bare_infer"
_STEP = "bare_step_{}"
_TIMEOUT_S = 300.0  # Isaac compiles kernels at its first step


class StepClient:
    """Like ``PeerClient``: ``step(actions)`` returns its answer. Only the number of them counts."""

    def __init__(self, domain_id: int) -> None:
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain_id)
        node = Node("bare_client", context=self._context)
        self._callers = {n: Caller(node, Trigger, _STEP.format(n)) for n in LENGTHS}
        for caller in self._callers.values():
            if not caller.wait_for_service(_TIMEOUT_S):
                raise TimeoutError(f"{caller.name} did not appear in {_TIMEOUT_S:g} s")

    def step(self, actions: np.ndarray) -> dict[str, float]:
        response = self._callers[len(actions)].call(Trigger.Request(), _TIMEOUT_S)
        return {"sim_wall_time": float(response.message)}

    def close(self) -> None:
        self._context.try_shutdown()


def _serve_steps(loop: ServiceLoop, hosted: list[str]) -> None:
    simulator = host(*hosted)
    rest = rest_action(simulator.spec.action.low, simulator.spec.action.high)

    def answer(length: int, request: Trigger.Request) -> Trigger.Response:
        _, spent_s = run(simulator, np.tile(rest, (length, 1)))
        return Trigger.Response(message=repr(spent_s))

    for length in LENGTHS:
        loop.add(Trigger, _STEP.format(length), partial(answer, length))


def _serve_chunks(loop: ServiceLoop) -> None:
    chunk = ActionChunk(
        actions=np.zeros((HORIZON, 4)),
        action_names=("x", "y", "z", "gripper"),
        dt_s=0.1,
        observation_time_s=0.0,
        observation_step=0,
    )
    response = srv.InferChunk.Response(chunk=to_chunk_msg(chunk))
    loop.add(srv.InferChunk, INFER, lambda request: response)


def main() -> None:
    hosted = sys.argv[1:]
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    stop = StopFlag().install()
    loop = ServiceLoop(Node("bare_service"))
    if hosted:
        _serve_steps(loop, hosted)
    else:
        _serve_chunks(loop)
    while not stop.requested:
        loop.spin_once(0.2)
    rclpy.try_shutdown()


if __name__ == "__main__":
    main()
