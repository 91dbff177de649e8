"""Requests to the session and answers back: the adapter between ``sim_interfaces`` and core."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable
from typing import Any

import numpy as np
from sim_interfaces import msg as m
from sim_interfaces import srv

from sim_bridge import names
from sim_bridge.array_layout import ArrayLayout
from sim_bridge.bridge.session import Session
from sim_bridge.errors import OK, BridgeError, InvalidRequest, OperationFailed, unknown
from sim_bridge.files.model_files import sha256_of
from sim_bridge.ros.convert import doubles, from_state_msg, to_observation_msg, to_state_msg
from sim_bridge.ros.convert_spec import to_model_msg
from sim_bridge.ros.service_loop import ServiceLoop
from sim_bridge.settings.options import json_object
from sim_bridge.types import LeanReply

_FLAGS = srv.StepLean.Response  # each of its constants is looked up through two functions
_TERMINATED, _TRUNCATED, _SUCCESS = _FLAGS.TERMINATED, _FLAGS.TRUNCATED, _FLAGS.SUCCESS


def answer_errors(response_type: type, call: Callable[[], Any], log: Callable[[str], None]) -> Any:
    """``call()``'s response; a refusal becomes its code and message, a crash OPERATION_FAILED."""
    try:
        response = call()
        response.result.code = OK
        return response
    except Exception as error:
        if not isinstance(error, BridgeError):
            error = OperationFailed(f"internal error: {error!r}")
        log(f"{response_type.__name__}: {error}")
        response = response_type()
        response.result.code, response.result.message = error.code, str(error)
        return response


class ControlServices:
    """The bridge's services on one session."""

    def __init__(self, session: Session, bridge_id: str, log: Callable[[str], None]) -> None:
        self._session = session
        self._observations = ArrayLayout(session.simulator.spec.observations)
        self._lean = srv.StepLean.Response()  # filled each time: it is sent before the next
        self._bridge_id = bridge_id
        self._log = log

    def attach(self, loop: ServiceLoop) -> None:
        for srv_type, name, handler in (
            (srv.Reset, names.RESET, self._reset),
            (srv.Step, names.STEP, self._step),
            (srv.StepLean, names.STEP_LEAN, self._step_lean),
            (srv.SetState, names.SET_STATE, self._set_state),
            (srv.GetState, names.GET_STATE, self._get_state),
            (srv.Render, names.RENDER, self._render),
            (srv.Control, names.CONTROL, self._control),
            (srv.GetModel, names.GET_MODEL, self._get_model),
        ):
            loop.add(srv_type, name, self._guarded(srv_type.Response, handler))

    def _guarded(self, response_type: type, handler: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda request: answer_errors(response_type, lambda: handler(request), self._log)

    def _reset(self, request: srv.Reset.Request) -> srv.Reset.Response:
        reply = self._session.reset(
            request.client_id,
            request.sequence,
            seed=request.seed if request.has_seed else None,
            state=from_state_msg(request.state) if request.has_state else None,
            options=_options(request.options_json),
            cameras=request.cameras,
        )
        response = srv.Reset.Response(state=to_state_msg(reply.state))
        response.observation = to_observation_msg(reply.observation, request.jpeg)
        response.info_json = _info(reply)
        return response

    def _step(self, request: srv.Step.Request) -> srv.Step.Response:
        reply = self._session.step(
            request.client_id,
            request.sequence,
            request.actions,
            request.num_steps,
            request.cameras,
        )
        going_on = [False] * (len(reply.rewards) - 1)  # the last step alone can end the episode
        return srv.Step.Response(
            state=to_state_msg(reply.state),
            steps_taken=len(reply.rewards),
            rewards=doubles(reply.rewards),
            terminated=[*going_on, reply.terminated],
            truncated=[*going_on, reply.truncated],
            success=reply.successes,
            observation=to_observation_msg(reply.observation, request.jpeg),
            info_json=_info(reply),
            sim_wall_time=reply.sim_wall_time_s,
        )

    def _step_lean(self, request: srv.StepLean.Request) -> srv.StepLean.Response:
        reply = self._session.step_lean(
            request.client_id, request.sequence, request.actions, request.num_steps
        )
        response = self._lean
        response.episode, response.step = reply.observation.episode, reply.observation.step
        response.rewards = doubles(reply.rewards)
        response.flags = _flags(reply)
        response.observation = self._observations.pack(reply.observation.arrays)
        response.info_json = _info(reply)
        response.sim_wall_time = reply.sim_wall_time_s
        return response

    def _set_state(self, request: srv.SetState.Request) -> srv.SetState.Response:
        reply = self._session.set_state(
            request.client_id, request.sequence, from_state_msg(request.state)
        )
        return srv.SetState.Response(
            state=to_state_msg(reply.state), observation=to_observation_msg(reply.observation)
        )

    def _get_state(self, _: srv.GetState.Request) -> srv.GetState.Response:
        return srv.GetState.Response(state=to_state_msg(self._session.get_state()))

    def _render(self, request: srv.Render.Request) -> srv.Render.Response:
        observation = self._session.render(request.cameras)
        return srv.Render.Response(observation=to_observation_msg(observation, request.jpeg))

    def _control(self, request: srv.Control.Request) -> srv.Control.Response:
        lease = self._session.lease
        if request.command == srv.Control.Request.ACQUIRE:
            lease.acquire(request.client_id, request.lease)
        elif request.command == srv.Control.Request.RELEASE:
            lease.release(request.client_id)
        elif request.command != srv.Control.Request.QUERY:
            raise InvalidRequest(f"command {request.command}; valid: ACQUIRE 0, RELEASE 1, QUERY 2")
        holder = lease.holder()
        return srv.Control.Response(
            bridge_id=self._bridge_id,
            holder=holder.client_id,
            expires_in=holder.expires_in_s,
            last_sequence=lease.last_sequence(request.client_id),
        )

    def _get_model(self, request: srv.GetModel.Request) -> srv.GetModel.Response:
        files = self._session.simulator.model_files()
        if request.path and request.path not in files:
            raise unknown("model file", request.path, files)
        chosen = {request.path: files[request.path]} if request.path else files
        response = srv.GetModel.Response(model=to_model_msg(self._session.simulator.spec.model))
        response.main_file = next(iter(files), "")
        response.files = [
            _file(path, content, with_data=bool(request.path)) for path, content in chosen.items()
        ]
        return response


def _file(path: str, content: bytes, with_data: bool) -> m.File:
    out = m.File(path=path, size=len(content), sha256=sha256_of({path: content}))
    if with_data:
        out.data = array("B", content)
    return out


def _options(text: str) -> dict[str, Any] | None:
    return json_object(text, "options_json") if text else None


def _flags(reply: LeanReply) -> array:
    flags = array("B", [success * _SUCCESS for success in reply.successes])
    flags[-1] += reply.terminated * _TERMINATED + reply.truncated * _TRUNCATED
    return flags


def _info(reply: LeanReply) -> str:
    return _ENCODER.encode(reply.info) if reply.info else ""


def _plain(value: object) -> object:
    """numpy for JSON; anything else by its text."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    return str(value)


_ENCODER = json.JSONEncoder(default=_plain)
