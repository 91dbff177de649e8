"""Success rate of a policy over seeded episodes, on several simulators at once.

ros2 run policy_node evaluate --policy CHECKPOINT --episodes 50 --num-envs 2 --output DIR
"""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rclpy.context import Context
from rclpy.node import Node

from policy_node.evaluate.connection import BridgeConnection, connected
from policy_node.evaluate.settings import EvaluationSettings, parse
from policy_node.evaluate.shared_policies import SharedPolicies
from policy_node.evaluate.store import SUMMARY_FILE, ResultStore
from policy_node.evaluate.worker import EvaluationWorker, Outcome
from policy_node.policies.checkpoint.source import DEVICE_VARIABLE
from policy_node.policies.registry import check_address, open_policy
from policy_node.policy import Policy
from policy_node.rollout.episodes import episode_line
from policy_node.rollout.policy_client import PolicyClient
from sim_bridge.entry import exit_status
from sim_bridge.errors import BridgeError, OperationFailed
from sim_bridge.processes.bridges import LocalBridges
from sim_bridge.processes.domains import free_domain_id
from sim_bridge.progress import Stage
from sim_bridge.types import SimSpec

_POLL_S = 0.5
_CONNECT_TIMEOUT_S = 90.0


def main(args: Sequence[str] | None = None) -> int:
    return command("evaluate", lambda: parse(args), _tell)


def command(
    name: str,
    settings_of: Callable[[], EvaluationSettings],
    tell: Callable[[EvaluationSettings, dict[str, Any]], None],
) -> int:
    """Run an evaluation as the program ``name``; its exit status."""

    def work() -> None:
        settings = settings_of()
        if settings.policy_node is None:
            check_address(settings.policy)
        tell(settings, evaluate(settings))

    return exit_status(name, work, "interrupted; the same command goes on from here")


def _tell(settings: EvaluationSettings, content: dict[str, Any]) -> None:
    low, high = content["success_rate_interval_95"]
    print(
        f"success rate {content['success_rate']:.1%} ({content['successes']} of "
        f"{content['episodes']}; 95 % interval {low:.1%} to {high:.1%}), "
        f"written to {Path(settings.output) / SUMMARY_FILE}"
    )


def evaluate(settings: EvaluationSettings) -> dict[str, Any]:
    """Run what is not finished yet and return the content of ``summary.json``."""
    store = ResultStore(Path(settings.output), settings.identity())
    try:
        work = [i for i in range(settings.episodes) if i not in store.finished]
        if work:
            _run(settings, store, work)
        return store.write_summary(settings.policy or f"policy node at {settings.policy_node!r}")
    finally:
        store.close()


def _run(settings: EvaluationSettings, store: ResultStore, work: Sequence[int]) -> None:
    if settings.device:
        os.environ[DEVICE_VARIABLE] = settings.device
    with contextlib.ExitStack() as stack:
        domain, namespaces, check = stack.enter_context(_bridges(settings, len(work)))
        bridges = stack.enter_context(connected(namespaces, domain, check))
        policies = _policies(settings, bridges[0].spec, bridges[0].context, stack)
        _drive(settings, store, work, bridges, policies, check)


@contextlib.contextmanager
def _bridges(
    settings: EvaluationSettings, work: int
) -> Iterator[tuple[int, tuple[str, ...], Callable[[], None]]]:
    """Domain, namespaces, and a check that raises when a bridge of ours has died."""
    # A running bridge or policy node is where the environment says; else, out of the way.
    own_domain = not settings.bridges and settings.policy_node is None
    domain = free_domain_id() if own_domain else int(os.environ.get("ROS_DOMAIN_ID", "0"))
    if settings.bridges:
        yield domain, settings.bridges, lambda: None
        return
    count = min(settings.num_envs, work)
    logs = Path(settings.output) / "logs"
    with LocalBridges(
        count, settings.task, settings.simulator, settings.task_options, domain, logs
    ) as bridges:
        yield domain, bridges.namespaces, bridges.check


def _policies(
    settings: EvaluationSettings, spec: SimSpec, context: Context, stack: contextlib.ExitStack
) -> Callable[[str], Policy]:
    """What gives each environment its policy, by the environment's namespace."""
    if settings.policy_node is not None:
        return lambda name: _remote_policy(settings, name, spec, context, stack)
    source = open_policy(settings.policy, spec)
    stack.callback(source.close)
    print(f"policy: {source.spec.kind}, {source.spec.description}", file=sys.stderr)
    return SharedPolicies(source, settings.policy, spec.action).for_env


def _remote_policy(
    settings: EvaluationSettings,
    name: str,
    spec: SimSpec,
    context: Context,
    stack: contextlib.ExitStack,
) -> Policy:
    """A client of the policy node; with ``--policy`` too, of that policy there."""
    node = Node(
        "evaluate_policy",
        context=context,
        namespace=settings.policy_node,
        start_parameter_services=False,
        enable_rosout=False,
    )
    stack.callback(node.destroy_node)
    client = PolicyClient(node, client_id=f"evaluate-{os.getpid()}-{name}")
    stack.callback(client.close)
    client.wait_for_policy(_CONNECT_TIMEOUT_S)
    client.bind(spec.action, settings.policy)
    client.describe()
    return client


def _drive(
    settings: EvaluationSettings,
    store: ResultStore,
    work: Sequence[int],
    bridges: Sequence[BridgeConnection],
    policies: Callable[[str], Policy],
    check: Callable[[], None],
) -> None:
    """Share the episodes out and write them down as they finish."""
    todo: queue.SimpleQueue[int] = queue.SimpleQueue()
    results: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    stop = threading.Event()
    for index in work:
        todo.put(index)
    workers = [
        EvaluationWorker(bridge, policies(bridge.namespace), settings, todo, results, stop)
        for bridge in bridges
    ]
    for worker in workers:
        worker.start()
    try:
        _collect(settings, store, len(work), results, check)
    finally:
        stop.set()
        for worker in workers:
            worker.join()


def _collect(
    settings: EvaluationSettings,
    store: ResultStore,
    count: int,
    results: queue.SimpleQueue[Outcome],
    check: Callable[[], None],
) -> None:
    done = settings.episodes - count
    what = "collecting" if settings.trajectories else "evaluating"
    with Stage(what, "episode", settings.episodes, done=done) as stage:
        while count:
            try:
                index, outcome = results.get(timeout=_POLL_S)
            except queue.Empty:
                check()
                continue
            if isinstance(outcome, BridgeError):
                raise OperationFailed(f"episode {index}: {outcome}")
            if isinstance(outcome, Exception):
                raise outcome
            store.add(episode_line(index, outcome))
            count -= 1
            successes = sum(line["success"] for line in store.lines)
            stage.advance(success=f"{successes}/{len(store.lines)}")
