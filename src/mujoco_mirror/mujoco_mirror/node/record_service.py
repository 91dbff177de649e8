"""The service that starts and stops a recording."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.task import Future
from sim_interfaces import srv

from mujoco_mirror.node.messages import RecordingResult, StartRecording, StopRecording
from sim_bridge import names
from sim_bridge.errors import OK, BridgeError, InvalidRequest

_DEFAULT_TIMEOUT_S = 60.0


class RecordService:
    """``submit`` takes the requests, whose answers may come from another thread."""

    def __init__(self, node: Node, submit: Callable[[Any], None]) -> None:
        self._node = node
        self._submit = submit
        # A group of its own: states must go on arriving while a request waits for a step.
        group = ReentrantCallbackGroup()
        node.create_service(srv.Record, names.RECORD, self._answer, callback_group=group)

    async def _answer(
        self, request: srv.Record.Request, response: srv.Record.Response
    ) -> srv.Record.Response:
        deadline = time.monotonic() + (request.timeout or _DEFAULT_TIMEOUT_S)
        done = Future()

        def reply(result: Any) -> None:
            done.set_result(result)
            # A future that another thread completes does not wake the executor by itself.
            if self._node.executor is not None:
                self._node.executor.wake()

        if request.command == srv.Record.Request.START:
            self._submit(StartRecording(request.directory, reply, deadline))
        elif request.command == srv.Record.Request.STOP:
            episode, step = request.until_episode, request.until_step
            self._submit(StopRecording(episode, step, reply, deadline))
        else:
            done.set_result(InvalidRequest(f"command {request.command}; valid: START 0, STOP 1"))
        return _filled(response, await done)


def _filled(response: srv.Record.Response, result: Any) -> srv.Record.Response:
    if isinstance(result, BridgeError):
        response.result.code, response.result.message = result.code, str(result)
        return response
    response.result.code = OK
    if isinstance(result, RecordingResult):
        response.frames = result.frames
        response.files = result.files
        response.summary_json = json.dumps(result.summary)
    return response
