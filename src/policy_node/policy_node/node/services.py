"""InferChunk and ResetPolicy on an inference worker: requests in, deferred answers out."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

from sim_interfaces import srv

from policy_node.node.inference_worker import Inference, InferenceWorker
from policy_node.policies.registry import check_request
from sim_bridge import names
from sim_bridge.bridge.services import answer_errors
from sim_bridge.errors import InvalidRequest, OperationFailed
from sim_bridge.ros.convert import from_observation_msg, to_chunk_msg
from sim_bridge.ros.wait_set import ServiceLoop
from sim_bridge.types import ActionChunk, Observation, SimSpec

_OPTIONS = ("policy",)
Reply = Callable[[Any], None]


class PolicyServices:
    """``sim_spec`` is asked for the task's action layout at each answer; ``on_inference`` is
    called after the answer went out."""

    def __init__(
        self,
        worker: InferenceWorker,
        sim_spec: Callable[[], SimSpec],
        log: Callable[[str], None],
        on_inference: Callable[[Inference, Observation], None],
    ) -> None:
        self._worker = worker
        self._sim_spec = sim_spec
        self._log = log
        self._on_inference = on_inference

    def attach(self, loop: ServiceLoop) -> None:
        loop.add_deferred(srv.InferChunk, names.INFER_CHUNK, self._infer)
        loop.add_deferred(srv.ResetPolicy, names.RESET_POLICY, self._reset)

    def _infer(self, request: srv.InferChunk.Request, reply: Reply) -> None:
        def start() -> None:
            observation = _observation(request)

            def done(outcome: Inference | Exception) -> None:
                make = functools.partial(self._response, outcome, observation)
                reply(answer_errors(srv.InferChunk.Response, make, self._log))
                if isinstance(outcome, Inference):
                    self._on_inference(outcome, observation)

            address = _policy_option(request.options_json)
            self._worker.infer(request.client_id, observation, done, address)

        self._start(request.client_id, start, srv.InferChunk.Response, reply)

    def _reset(self, request: srv.ResetPolicy.Request, reply: Reply) -> None:
        def start() -> None:
            def done(outcome: None | Exception) -> None:
                make = functools.partial(_empty_response, srv.ResetPolicy.Response, outcome)
                reply(answer_errors(srv.ResetPolicy.Response, make, self._log))

            seed = request.seed if request.has_seed else None
            self._worker.reset(request.client_id, seed, request.instruction, done)

        self._start(request.client_id, start, srv.ResetPolicy.Response, reply)

    def _start(
        self, client_id: str, start: Callable[[], None], response_type: type, reply: Reply
    ) -> None:
        """Hand over to the worker; what prevents it is answered at once."""
        try:
            if not client_id:
                raise InvalidRequest("client_id is empty; choose one that is unique to the client")
            start()
        except Exception as error:
            make = functools.partial(_empty_response, response_type, error)
            reply(answer_errors(response_type, make, self._log))

    def _response(
        self, outcome: Inference | Exception, observation: Observation
    ) -> srv.InferChunk.Response:
        if isinstance(outcome, Exception):
            raise outcome
        spec, actions = self._sim_spec(), outcome.actions
        action_names = outcome.spec.action_names or spec.action.names
        if actions.shape[1] != len(action_names):
            raise OperationFailed(
                f"policy {outcome.spec.kind!r} answered {actions.shape[1]} values per action; "
                f"{spec.task} has {len(action_names)}: {', '.join(action_names)}"
            )
        chunk = ActionChunk(
            actions=actions,
            action_names=action_names,
            dt_s=outcome.spec.dt_s or spec.control_period_s,
            observation_time_s=observation.time_s,
            observation_step=observation.step,
        )
        response = srv.InferChunk.Response(
            queue_time=outcome.queue_time_s, inference_time=outcome.inference_time_s
        )
        to_chunk_msg(chunk, out=response.chunk)
        return response


def _empty_response(response_type: type, outcome: None | Exception) -> Any:
    if isinstance(outcome, Exception):
        raise outcome
    return response_type()


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
    address = str(options.get("policy", ""))
    check_request(address)
    return address
