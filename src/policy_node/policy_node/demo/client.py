"""The demo client: runs episodes in the graph that the launch file started, and reports.

Exit status: 0 when every episode succeeded, 1 when one did not, 2 when something is missing or
failed, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

from rclpy.node import Node
from sim_interfaces.action import Rollout

from policy_node.demo.graph import DemoGraph, mirror_summary
from policy_node.demo.report import DemoOutcome, EpisodeStages, summary, table
from policy_node.rollout.episodes import step_limit
from sim_bridge.errors import OK, BridgeError
from sim_bridge.files.output import check_folder, new_folder, writing
from sim_bridge.ros.convert import from_episode_msg
from sim_bridge.ros.interrupts import StopFlag
from sim_bridge.ros.parameters import read_parameters
from sim_bridge.ros.program import Program
from sim_bridge.settings.parameters import check, parameter
from sim_bridge.types import SimSpec

# How long the mirror may take to draw what is still missing of a recording: enough for pictures
# of half a second each.
_DRAWING_TIMEOUT_S, _DRAWING_S_PER_STEP = 120.0, 0.5
_GOODBYE_S = 1.0


@dataclass(frozen=True)
class DemoParameters:
    """A run of the demo."""

    policy: str = parameter("", "address of the policy; empty: the one that the policy node serves")
    episodes: int = parameter(1, "how many to run", low=1)
    seed: int = parameter(0, "of the first episode; the next ones count up", low=0)
    max_steps: int = parameter(0, "of an episode; 0: the task's limit, or 200", low=0)
    output: str = parameter("output", "where a folder named after the time is made")
    mirror: bool = parameter(True, "record a video with the mirror")
    wait_s: float = parameter(120.0, "how long the other nodes may take to appear [s]", above=0.0)

    def __post_init__(self) -> None:
        check(self)


class Demo:
    """One run, from waiting for the others to the printed table."""

    def __init__(self, graph: DemoGraph, parameters: DemoParameters) -> None:
        self._graph = graph
        self._parameters = parameters
        self._folder = Path()

    def run(self) -> int:
        p = self._parameters
        parent = Path(p.output).expanduser().absolute()
        check_folder(parent)
        spec = self._graph.wait_for_peers(p.wait_s, p.mirror)
        self._folder = new_folder(parent, time.strftime("%Y%m%d-%H%M%S"))
        if p.mirror:
            self._graph.start_recording(str(self._folder))
        try:
            outcome = self._roll_out(spec)
        except BridgeError:
            self.abort()
            raise
        if p.mirror:
            outcome = self._with_mirror(outcome)
        pids = {**self._graph.pids(), "mirror": outcome.mirror.get("pid")}
        return self._report(replace(outcome, pids=pids))

    def abort(self) -> None:
        """Cancel what runs, quickly."""
        with contextlib.suppress(BridgeError):
            self._graph.cancel_rollout(_GOODBYE_S)
        if self._parameters.mirror:
            with contextlib.suppress(BridgeError):
                self._graph.stop_recording(_GOODBYE_S, complete=False)

    def _roll_out(self, spec: SimSpec) -> DemoOutcome:
        p = self._parameters
        limit = step_limit(spec, p.max_steps, self._graph.say)
        goal = Rollout.Goal(
            policy=p.policy,
            episodes=p.episodes,
            seeds=list(range(p.seed, p.seed + p.episodes)),
            max_steps=limit,
            output_directory=str(self._folder),
        )
        with EpisodeStages(p.episodes, limit) as stages:
            result = self._graph.run_rollout(goal, lambda f: stages.show(f.episode, f.step))
        policy, description = (p.policy, "") if p.policy else self._graph.served_policy()
        return DemoOutcome(
            spec=spec,
            policy=policy,
            policy_description=description,
            episodes=tuple(from_episode_msg(episode) for episode in result.episodes),
            message="" if result.result.code == OK else result.result.message,
            files=tuple(result.files),
        )

    def _with_mirror(self, outcome: DemoOutcome) -> DemoOutcome:
        steps = sum(episode.steps for episode in outcome.episodes)
        timeout_s = _DRAWING_TIMEOUT_S + _DRAWING_S_PER_STEP * steps
        try:
            response = self._graph.stop_recording(timeout_s, bool(outcome.episodes))
        except BridgeError as error:
            return replace(outcome, message=outcome.message or f"mirror: {error}")
        return replace(
            outcome,
            mirror=mirror_summary(response),
            files=(*response.files, *outcome.files),
        )

    def _report(self, outcome: DemoOutcome) -> int:
        path = self._folder / "summary.json"
        written = tuple(file for file in outcome.files if Path(file).is_file())
        content = summary(replace(outcome, files=(*written, str(path))))
        with writing(path):
            path.write_text(json.dumps(content, indent=2) + "\n")
        print("\n".join(table(content, str(self._folder))), flush=True)
        if outcome.message:
            return 2
        return 0 if outcome.success else 1


PROGRAM = Program(
    "demo",
    __doc__,
    (DemoParameters,),
    interrupted="interrupted; the episodes that had ended are kept",
)


def main(args: list[str] | None = None) -> int:
    return PROGRAM.run(_work, args)


def _work(stop: StopFlag, given: argparse.Namespace) -> int:
    node = Node("demo")
    parameters = read_parameters(node, DemoParameters)
    graph = DemoGraph(node, stop, lambda text: print(f"demo: {text}", flush=True))
    demo = Demo(graph, parameters)
    try:
        return demo.run()
    except KeyboardInterrupt:
        demo.abort()
        raise
