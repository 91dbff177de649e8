"""Publishes what each inference cost, for monitors and bags."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from rclpy.node import Node

from policy_node.node.inference_worker import InferenceResult
from sim_bridge import names
from sim_bridge.ros import qos
from sim_bridge.types import Observation


class ChunkInfoPublisher:
    """On ``chunk_info``: one ``DiagnosticStatus`` a chunk, times in seconds. From any thread."""

    def __init__(self, node: Node) -> None:
        self._publisher = node.create_publisher(DiagnosticStatus, names.CHUNK_INFO, qos.EVERY_STEP)

    def publish(self, inference: InferenceResult, observation: Observation) -> None:
        if not self._publisher.get_subscription_count():
            return
        values = {
            "episode": observation.episode,
            "observation_step": observation.step,
            "policy": inference.spec.description,
            "horizon": len(inference.actions),
            "inference_time": inference.inference_time_s,
            "queue_time": inference.queue_time_s,
        }
        pairs = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
        self._publisher.publish(
            DiagnosticStatus(name="policy: chunk", message=inference.spec.kind, values=pairs)
        )
