"""The policy node's services on an inference worker: requests in, deferred answers out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

from sim_interfaces import srv

from policy_node.node.inference_worker import InferenceResult, InferenceWorker
from policy_node.policies.registry import check_request
from policy_node.policy import PolicySpec
from sim_bridge import names
from sim_bridge.bridge.services import answer_errors
from sim_bridge.errors import InvalidRequest, OperationFailed
from sim_bridge.ros.convert import from_observation_msg, to_chunk_msg
from sim_bridge.ros.service_loop import ServiceLoop
from sim_bridge.settings.options import json_object
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
        on_inference: Callable[[InferenceResult, Observation], None],
    ) -> None:
        self._worker = worker
        self._sim_spec = sim_spec
        self._log = log
        self._on_inference = on_inference

    def attach(self, loop: ServiceLoop) -> None:
        loop.add_deferred(srv.InferChunk, names.INFER_CHUNK, self._infer)
        loop.add_deferred(srv.ResetPolicy, names.RESET_POLICY, self._reset)
        loop.add_deferred(srv.GetPolicy, names.GET_POLICY, self._describe)

    def _infer(self, request: srv.InferChunk.Request, reply: Reply) -> None:
        with self._refusing(srv.InferChunk.Response, reply):
            observation = _observation(request)
            address = _policy_option(request.options_json)
            inference = self._worker.infer(_client_id(request), observation, address)

            def respond() -> srv.InferChunk.Response:
                return self._response(inference.result(), observation)

            self._answer(inference, respond, srv.InferChunk.Response, reply)
            inference.add_done_callback(lambda done: self._tell(done, observation))

    def _reset(self, request: srv.ResetPolicy.Request, reply: Reply) -> None:
        with self._refusing(srv.ResetPolicy.Response, reply):
            seed = request.seed if request.has_seed else None
            reset = self._worker.reset(_client_id(request), seed, request.instruction)

            def respond() -> srv.ResetPolicy.Response:
                reset.result()
                return srv.ResetPolicy.Response()

            self._answer(reset, respond, srv.ResetPolicy.Response, reply)

    def _describe(self, request: srv.GetPolicy.Request, reply: Reply) -> None:
        with self._refusing(srv.GetPolicy.Response, reply):
            address = _policy_option(request.options_json)
            described = self._worker.describe(_client_id(request), address)

            def respond() -> srv.GetPolicy.Response:
                return to_policy_msg(described.result())

            self._answer(described, respond, srv.GetPolicy.Response, reply)

    def _answer(
        self, future: Future, respond: Callable[[], Any], response_type: type, reply: Reply
    ) -> None:
        """Reply when the worker is done; never blocks."""
        future.add_done_callback(lambda _: reply(answer_errors(response_type, respond, self._log)))

    def _tell(self, done: Future[InferenceResult], observation: Observation) -> None:
        if done.exception() is None:
            self._on_inference(done.result(), observation)

    @contextlib.contextmanager
    def _refusing(self, response_type: type, reply: Reply) -> Iterator[None]:
        """Answer at once what cannot be passed to the worker."""
        try:
            yield
        except Exception as error:
            refused: Future = Future()
            refused.set_exception(error)
            reply(answer_errors(response_type, refused.result, self._log))

    def _response(
        self, inference: InferenceResult, observation: Observation
    ) -> srv.InferChunk.Response:
        spec, actions = self._sim_spec(), inference.actions
        action_names = inference.spec.action_names or spec.action.names
        if actions.shape[1] != len(action_names):
            raise OperationFailed(
                f"policy {inference.spec.kind!r} answered with {actions.shape[1]} values "
                f"per action; {spec.task} has {len(action_names)}: {', '.join(action_names)}"
            )
        chunk = ActionChunk(
            actions=actions,
            action_names=action_names,
            dt_s=inference.spec.dt_s or spec.control_period_s,
            observation_time_s=observation.time_s,
            observation_step=observation.step,
        )
        response = srv.InferChunk.Response(
            queue_time=inference.queue_time_s, inference_time=inference.inference_time_s
        )
        to_chunk_msg(chunk, out=response.chunk)
        return response


def to_policy_msg(spec: PolicySpec) -> srv.GetPolicy.Response:
    return srv.GetPolicy.Response(
        kind=spec.kind,
        description=spec.description,
        action_names=list(spec.action_names),
        horizon=spec.horizon,
        dt=float(spec.dt_s),
        cameras=list(spec.image_keys),
    )


def _client_id(
    request: srv.InferChunk.Request | srv.ResetPolicy.Request | srv.GetPolicy.Request,
) -> str:
    if not request.client_id:
        raise InvalidRequest("client_id is empty; choose one that is unique to the client")
    return request.client_id


def _observation(request: srv.InferChunk.Request) -> Observation:
    try:
        return from_observation_msg(request.observation)
    except (ValueError, TypeError) as error:
        raise InvalidRequest(f"malformed observation: {error}") from error


def _policy_option(text: str) -> str:
    """The policy address in ``options_json``; empty when it names none."""
    if not text:
        return ""
    options = json_object(text, "options_json")
    for name in options:
        if name not in _OPTIONS:
            raise InvalidRequest(f"unknown option {name!r}; valid: {', '.join(_OPTIONS)}")
    address = str(options.get("policy", ""))
    check_request(address)
    return address
