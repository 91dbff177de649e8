"""InferChunk and ResetPolicy on an inference worker: requests in, deferred answers out."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from sim_interfaces import srv

from policy_node.inference_worker import Inference, InferenceWorker
from sim_bridge import names
from sim_bridge.conversions import from_observation_msg, to_chunk_msg
from sim_bridge.errors import InvalidRequest, OperationFailed
from sim_bridge.services import answer_errors
from sim_bridge.types import ActionChunk, Observation, SimSpec
from sim_bridge.waiting import ServiceLoop

_OPTIONS = ("policy",)
Reply = Callable[[Any], None]


class PolicyServices:
    """``sim_spec`` is asked for the task's action layout at each answer."""

    def __init__(
        self, worker: InferenceWorker, sim_spec: Callable[[], SimSpec], log: Callable[[str], None]
    ) -> None:
        self._worker = worker
        self._sim_spec = sim_spec
        self._log = log

    def attach(self, loop: ServiceLoop) -> None:
        loop.add_deferred(srv.InferChunk, names.INFER_CHUNK, self._infer)
        loop.add_deferred(srv.ResetPolicy, names.RESET_POLICY, self._reset)

    def _infer(self, request: srv.InferChunk.Request, reply: Reply) -> None:
        response_type = srv.InferChunk.Response
        try:
            _check_client(request.client_id)
            observation = _observation(request)
            address = _policy_option(request.options_json)

            def done(outcome: Inference | Exception) -> None:
                make = lambda: self._response(_result(outcome), observation)  # noqa: E731
                reply(answer_errors(response_type, make, self._log))

            self._worker.infer(request.client_id, observation, done, address)
        except Exception as error:
            reply(self._refusal(response_type, error))

    def _reset(self, request: srv.ResetPolicy.Request, reply: Reply) -> None:
        response_type = srv.ResetPolicy.Response

        def done(outcome: None | Exception) -> None:
            make = lambda: _result(outcome) or response_type()  # noqa: E731
            reply(answer_errors(response_type, make, self._log))

        try:
            _check_client(request.client_id)
            seed = request.seed if request.has_seed else None
            self._worker.reset(request.client_id, seed, request.instruction, done)
        except Exception as error:
            reply(self._refusal(response_type, error))

    def _refusal(self, response_type: type, error: Exception) -> Any:
        return answer_errors(response_type, lambda: _result(error), self._log)

    def _response(self, inference: Inference, observation: Observation) -> srv.InferChunk.Response:
        spec, actions = self._sim_spec(), inference.actions
        action_names = inference.spec.action_names or spec.action.names
        if actions.shape[1] != len(action_names):
            raise OperationFailed(
                f"policy {inference.spec.kind!r} answered {actions.shape[1]} values per action; "
                f"{spec.task} has {len(action_names)}: {', '.join(action_names)}"
            )
        chunk = ActionChunk(
            actions=actions,
            action_names=action_names,
            dt_s=inference.spec.dt_s or spec.control_period_s,
            observation_time_s=observation.time_s,
            observation_step=observation.step,
        )
        return srv.InferChunk.Response(
            chunk=to_chunk_msg(chunk),
            queue_time=inference.queue_time_s,
            inference_time=inference.inference_time_s,
        )


def _result(outcome: Any) -> Any:
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _check_client(client_id: str) -> None:
    if not client_id:
        raise InvalidRequest("client_id is empty; choose one that is unique to the client")


def _observation(request: srv.InferChunk.Request) -> Observation:
    try:
        return from_observation_msg(request.observation)
    except (ValueError, TypeError) as error:
        raise InvalidRequest(f"malformed observation: {error}") from error


def _policy_option(text: str) -> str:
    """The policy address in ``options_json``; empty when it names none."""
    if not text:
        return ""
    try:
        options = json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidRequest(f"options_json is no JSON: {error}") from None
    if not isinstance(options, dict):
        raise InvalidRequest(f"options_json is a {type(options).__name__}; valid: a JSON object")
    for name in options:
        if name not in _OPTIONS:
            raise InvalidRequest(f"unknown option {name!r}; valid: {', '.join(_OPTIONS)}")
    return str(options.get("policy", ""))
