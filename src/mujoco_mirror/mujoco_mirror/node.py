"""The mirror node: states in, pictures and recordings out."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.task import Future
from sensor_msgs.msg import Image
from sim_interfaces import msg as m
from sim_interfaces import srv
from tf2_msgs.msg import TFMessage

from mujoco_mirror.fidelity import Limits
from mujoco_mirror.map_rules import load_rules
from mujoco_mirror.parameters import MirrorParameters
from mujoco_mirror.transforms import link_poses
from mujoco_mirror.view import View
from mujoco_mirror.worker import (
    LinksArrived,
    MirrorWorker,
    ModelFound,
    RecordingResult,
    StartRecording,
    StateArrived,
    StopRecording,
)
from sim_bridge import names, qos
from sim_bridge.conversions import from_state_msg, to_time
from sim_bridge.errors import OK, BridgeError, InvalidRequest
from sim_bridge.images import to_image_msg
from sim_bridge.model_files import resolve_uri
from sim_bridge.parameters import read_parameters
from sim_bridge.types import SimState

_DEFAULT_TIMEOUT_S = 60.0
_STATUS_PERIOD_S = 1.0


class MirrorNode(Node):
    """Wires topics and the record service to the worker thread; callbacks only hand over."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("mujoco_mirror", **kwargs)
        self._parameters = read_parameters(self, MirrorParameters)
        self._rules = load_rules(self._parameters.map_rules) if self._parameters.map_rules else None
        self._images = self.create_publisher(Image, names.MIRROR_IMAGE, qos.IMAGES)
        p = self._parameters
        limits = Limits(1e-3 * p.link_limit_mm, float(np.radians(p.link_limit_deg)))
        self._worker = MirrorWorker(
            self._make_view, self._publish_image, self._is_watched, self._rules, limits
        )
        self._health = self.create_publisher(DiagnosticArray, names.DIAGNOSTICS, qos.ROBOT_STATE)
        self._fidelity = self.create_publisher(
            DiagnosticStatus, names.MIRROR_FIDELITY, qos.ROBOT_STATE
        )
        # Discovery announces endpoints in this order: when the spec has come, the bridge also
        # knows of the subscription to states, and no state after that is missed.
        self.create_subscription(m.SimState, names.STATE, self._on_state, qos.EVERY_STEP)
        self.create_subscription(m.SimSpec, names.SPEC, self._on_spec, qos.LATCHED)
        if p.check_links:
            self.create_subscription(TFMessage, names.TF, self._on_tf, qos.EVERY_STEP)
        # A group of its own: states must go on arriving while a request waits for a step.
        self.create_service(
            srv.Record, names.RECORD, self._on_record, callback_group=ReentrantCallbackGroup()
        )
        self.create_timer(_STATUS_PERIOD_S, self._report)
        self._worker.start()

    def close(self) -> None:
        self._worker.close()

    def _make_view(self, path: Path) -> View:
        p = self._parameters
        view = View(
            path, p.width, p.height, p.quality, p.camera, self._rules, p.strict, p.dressed
        )
        self.get_logger().info(f"mirroring {path} at quality {view.quality.name}")
        return view

    def _on_spec(self, spec: m.SimSpec) -> None:
        try:
            path = Path(self._parameters.model or resolve_uri(spec.model.uri))
        except BridgeError as error:
            self.get_logger().error(f"{error}; set the parameter model to a file on this machine")
            return
        self._worker.submit(ModelFound(path, spec.control_period, spec.bridge_id))

    def _on_state(self, state: m.SimState, info: dict[str, int]) -> None:
        self._worker.submit(StateArrived(from_state_msg(state), info["source_timestamp"]))

    async def _on_record(
        self, request: srv.Record.Request, response: srv.Record.Response
    ) -> srv.Record.Response:
        deadline = time.monotonic() + (request.timeout or _DEFAULT_TIMEOUT_S)
        done = Future()

        def reply(result: Any) -> None:
            done.set_result(result)
            # A future that another thread completes does not wake the executor by itself.
            if self.executor is not None:
                self.executor.wake()

        if request.command == srv.Record.Request.START:
            self._worker.submit(StartRecording(request.directory, reply, deadline))
        elif request.command == srv.Record.Request.STOP:
            episode, step = request.until_episode, request.until_step
            self._worker.submit(StopRecording(episode, step, reply, deadline))
        else:
            done.set_result(InvalidRequest(f"command {request.command}; valid: START 0, STOP 1"))
        return _answer(await done, response)

    def _publish_image(self, image: np.ndarray, state: SimState) -> None:
        message = to_image_msg(image)
        message.header.stamp = to_time(state.time_s)
        message.header.frame_id = "mirror_camera"
        self._while_up(lambda: self._images.publish(message))

    def _is_watched(self) -> bool:
        return bool(self._while_up(self._images.get_subscription_count))

    def _while_up(self, call: Callable[[], Any]) -> Any:
        """Ctrl-C takes the context away while the worker still draws; that is no failure."""
        try:
            return call() if self.context.ok() else None
        except Exception:
            if self.context.ok():
                raise
            return None

    def _on_tf(self, message: TFMessage) -> None:
        for time_s, links in link_poses(message.transforms, names.WORLD_FRAME):
            self._worker.submit(LinksArrived(time_s, links))

    def _report(self) -> None:
        if self._worker.failure is not None:
            raise self._worker.failure
        status = self._worker.status()
        message = DiagnosticStatus(
            level=bytes([status.level]),
            name=f"{self.get_fully_qualified_name()[1:]}: fidelity",
            message=status.message,
            hardware_id="mujoco_mirror",
            values=[KeyValue(key=k, value=v) for k, v in status.values.items()],
        )
        self._fidelity.publish(message)
        array = DiagnosticArray(status=[message])
        array.header.stamp = self.get_clock().now().to_msg()
        self._health.publish(array)


def _answer(result: Any, response: srv.Record.Response) -> srv.Record.Response:
    if isinstance(result, BridgeError):
        response.result.code, response.result.message = result.code, str(result)
        return response
    response.result.code = OK
    if isinstance(result, RecordingResult):
        response.frames = result.frames
        response.files = result.files
        response.summary_json = json.dumps(result.summary)
    return response


def _log_to_console() -> None:
    """The core logs with Python's logging, in the format of ROS 2's console."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("[%(levelname)s] [%(created)f] [%(name)s]: %(message)s"))
    logger = logging.getLogger("mujoco_mirror")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)


def main(args: list[str] | None = None) -> int:
    rclpy.init(args=args)
    _log_to_console()
    executor, node = SingleThreadedExecutor(), None
    try:
        node = MirrorNode()
        executor.add_node(node)
        executor.spin()
    except BridgeError as error:
        print(f"mujoco_mirror: {error}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except Exception:
        if rclpy.ok():  # otherwise Ctrl-C took the context away in the middle of a call
            raise
    finally:
        if node is not None:
            node.close()
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
