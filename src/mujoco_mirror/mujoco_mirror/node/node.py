"""The mirror node: states in, pictures and recordings out."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.event_handler import PublisherEventCallbacks, QoSPublisherMatchedInfo
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rclpy.task import Future
from sensor_msgs.msg import CompressedImage, Image, JointState
from sim_interfaces import msg as m
from sim_interfaces import srv
from std_msgs.msg import String
from tf2_msgs.msg import TFMessage

from mujoco_mirror.drawing.view import View
from mujoco_mirror.drawing.viewer import Viewer
from mujoco_mirror.fidelity.errors import Limits
from mujoco_mirror.late.display import HOLD, PREDICT, LateDisplay, make_policy
from mujoco_mirror.model.map_rules import load_rules
from mujoco_mirror.node.messages import (
    CommandArrived,
    LinksArrived,
    ModelFound,
    ModelMissing,
    RecordingResult,
    StartRecording,
    StateArrived,
    StopRecording,
    WatcherJoined,
)
from mujoco_mirror.node.parameters import ROBOT_DESCRIPTION, MirrorParameters
from mujoco_mirror.node.worker import MirrorWorker
from mujoco_mirror.sources.joint_source import JointSource
from mujoco_mirror.sources.model_fetch import fetch_model
from mujoco_mirror.sources.model_store import ModelStore, find_model
from mujoco_mirror.sources.transforms import frames, link_poses
from mujoco_mirror.sources.urdf import for_mujoco
from sim_bridge import names
from sim_bridge.errors import OK, BridgeError, InvalidRequest
from sim_bridge.ros import qos
from sim_bridge.ros.convert import from_state_msg, from_time, to_time
from sim_bridge.ros.convert_spec import from_model_msg
from sim_bridge.ros.images import encode_jpeg, to_image_msg
from sim_bridge.ros.parameters import read_parameters
from sim_bridge.ros.program import Program, spin
from sim_bridge.types import SimState

_DEFAULT_TIMEOUT_S = 60.0
_STATUS_PERIOD_S = 1.0


class MirrorNode(Node):
    """Wires topics and the record service to the worker thread; callbacks only hand over."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("mujoco_mirror", **kwargs)
        self._settings = read_parameters(self, MirrorParameters)
        self._rules = load_rules(self._settings.map_rules) if self._settings.map_rules else None
        self._viewer: Viewer | None = None
        p = self._settings
        limits = Limits(1e-3 * p.link_limit_mm, float(np.radians(p.link_limit_deg)))
        joined = PublisherEventCallbacks(matched=self._on_watcher)
        self._images = self.create_publisher(
            Image, names.MIRROR_IMAGE, qos.IMAGES, event_callbacks=joined
        )
        self._jpegs = self.create_publisher(
            CompressedImage, f"{names.MIRROR_IMAGE}/compressed", qos.IMAGES, event_callbacks=joined
        )
        self._worker = MirrorWorker(
            self._make_view,
            self._publish_image,
            self._is_watched,
            self._rules,
            limits,
            p.overlay,
            self._make_late,
        )
        self._health = self.create_publisher(DiagnosticArray, names.DIAGNOSTICS, qos.ROBOT_STATE)
        self._fidelity = self.create_publisher(
            DiagnosticStatus, names.MIRROR_FIDELITY, qos.ROBOT_STATE
        )
        # Discovery announces endpoints in this order: when the spec has come, the bridge also
        # knows of the subscription to states, and no state after that is missed.
        if p.source == "state":
            self._listen(m.SimState, names.STATE, self._on_state, qos.EVERY_STEP)
        else:
            self._joints = JointSource([b for b in p.bases.split(",") if b], names.WORLD_FRAME)
            self._listen(JointState, names.JOINT_STATES, self._on_joints, qos.SENSORS)
            for topic, profile in ((names.TF, qos.EVERY_STEP), (names.TF_STATIC, qos.LATCHED)):
                self.create_subscription(TFMessage, topic, self._on_bases, profile)
        if p.model == ROBOT_DESCRIPTION:
            self.create_subscription(String, p.model, self._on_description, qos.LATCHED)
        else:
            self.create_subscription(m.SimSpec, names.SPEC, self._on_spec, qos.LATCHED)
        if p.check_links and p.source == "state":
            self._listen(TFMessage, names.TF, self._on_tf, qos.EVERY_STEP)
        if p.late == PREDICT:
            self._listen(JointState, names.JOINT_COMMAND, self._on_command, qos.COMMANDS)
        # A group of its own: states must go on arriving while a request waits for a step.
        self.create_service(
            srv.Record, names.RECORD, self._on_record, callback_group=ReentrantCallbackGroup()
        )
        self.create_timer(_STATUS_PERIOD_S, self._report)
        self._worker.start()

    def _listen(
        self, msg_type: type, topic: str, callback: Callable[..., None], profile: QoSProfile
    ) -> None:
        """``callback`` also takes the message's info, which rclpy's types do not have."""
        self.create_subscription(msg_type, topic, callback, profile)

    def destroy_node(self) -> None:
        self._worker.close()
        super().destroy_node()

    def _make_view(self, path: Path) -> View:
        view = View(path, self._settings.view_settings(), self._rules)
        if self._settings.viewer:
            self._open_viewer(view)
        self.get_logger().info(f"mirroring {path} at quality {view.quality.name}")
        return view

    def _make_late(self, model: mujoco.MjModel) -> LateDisplay | None:
        p = self._settings
        if p.late == HOLD:
            return None
        return LateDisplay(make_policy(p.late, p.delay_s, model, self._rules))

    def _on_spec(self, spec: m.SimSpec) -> None:
        threading.Thread(target=self._find_model, args=(spec,), name="model", daemon=True).start()

    def _find_model(self, spec: m.SimSpec) -> None:
        """Runs in a thread: the bridge may have to hand over many megabytes."""
        try:
            if self._settings.model:
                path = Path(self._settings.model)
            else:
                reference = from_model_msg(spec.model)
                path = find_model(reference, ModelStore(), lambda: fetch_model(self))
            self._worker.submit(ModelFound(path, spec.control_period, spec.bridge_id))
        except (BridgeError, OSError) as error:
            self._worker.submit(ModelMissing(str(error)))

    def _on_description(self, description: String) -> None:
        try:
            path = ModelStore().put({"robot.urdf": for_mujoco(description.data).encode()})
        except (BridgeError, OSError) as error:
            self._worker.submit(ModelMissing(str(error)))
            return
        self._worker.submit(ModelFound(path, self._settings.period_s))

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
        self._publish(self._images, to_image_msg, image, state.time_s)
        self._publish(self._jpegs, encode_jpeg, image, state.time_s)
        if self._viewer is not None:
            self._show_in_window(self._viewer)

    def _publish(
        self, publisher: Publisher, convert: Callable[..., Any], image: np.ndarray, time_s: float
    ) -> None:
        if self._while_up(publisher.get_subscription_count):
            message = convert(image)
            message.header.stamp = to_time(time_s)
            message.header.frame_id = "mirror_camera"
            self._while_up(lambda: publisher.publish(message))

    def _is_watched(self) -> bool:
        counts = (p.get_subscription_count for p in (self._images, self._jpegs))
        return self._viewer is not None or any(self._while_up(count) for count in counts)

    def _on_watcher(self, matched: QoSPublisherMatchedInfo) -> None:
        if matched.total_count_change > 0:  # another one may have left at the same time
            self._worker.submit(WatcherJoined())

    def _open_viewer(self, view: View) -> None:
        if self._viewer is not None:
            self._viewer.close()
        self._viewer, self._watched_mirror = Viewer(view.scene.drawn), view.mirror

    def _show_in_window(self, viewer: Viewer) -> None:
        """On the worker's thread, which owns the mirror; a closed window ends the viewer only."""
        if viewer.is_open:
            viewer.show(self._watched_mirror.model, self._watched_mirror.data)
        else:
            self._viewer = None

    def _while_up(self, call: Callable[[], Any]) -> Any:
        """Ctrl-C takes the context away while the worker still draws; that is no failure."""
        try:
            return call() if self.context.ok() else None
        except Exception:
            if self.context.ok():
                raise
            return None

    def _on_joints(self, message: JointState, info: dict[str, int]) -> None:
        state = self._joints.on_joints(
            from_time(message.header.stamp), message.name, message.position, message.velocity
        )
        if state is not None:
            self._worker.submit(StateArrived(state, info["source_timestamp"]))

    def _on_command(self, message: JointState, info: dict[str, int]) -> None:
        if len(message.name) == len(message.position):
            positions = np.array(message.position)
            sent_ns = info["source_timestamp"]
            self._worker.submit(CommandArrived(tuple(message.name), positions, sent_ns))

    def _on_bases(self, message: TFMessage) -> None:
        for parent, child, pose in frames(message.transforms):
            self._joints.tf.put(parent, child, pose)

    def _on_tf(self, message: TFMessage, info: dict[str, int]) -> None:
        for time_s, links in link_poses(message.transforms, names.WORLD_FRAME):
            self._worker.submit(LinksArrived(time_s, links, info["source_timestamp"]))

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


PROGRAM = Program(
    "mirror",
    "Show a simulator's state in a local MuJoCo model: pictures, video, fidelity.",
    (MirrorParameters,),
)


def main(args: list[str] | None = None) -> int:
    return PROGRAM.run(lambda stop, given: spin(MirrorNode(), stop), args)
