"""What to evaluate and how, from the command line and a YAML file."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml

from policy_node.execution.settings import ExecutionSettings
from sim_bridge.errors import InvalidRequest
from sim_bridge.settings.parameters import describe
from sim_bridge.simulators.registry import default_task

# How the work is done, not what is measured: a run may go on with other values of these.
_INCIDENTAL = ("num_envs", "output", "bridges", "videos", "camera", "device", "policy_node")

_DESCRIPTION = "Success rate of a policy over seeded episodes."

# Files beside a checkpoint that tell of it, and do not change it.
_REPORTS = (".md", ".png")


@dataclass(frozen=True)
class EvaluationSettings:
    """Episode ``i`` runs with seed ``seed + i``. ``max_steps`` 0: the task's own limit. ``task``
    empty: the simulator's default.

    ``trajectories`` keeps every episode as a file.
    """

    policy: str
    task: str = ""
    simulator: str = "gymnasium"
    task_options: str = ""
    episodes: int = 50
    seed: int = 0
    max_steps: int = 0
    num_envs: int = 1
    output: str = "evaluation"
    bridges: tuple[str, ...] = ()
    policy_node: str | None = None
    videos: int = 0
    camera: str = ""
    device: str = ""
    trajectories: bool = False
    execution: ExecutionSettings = ExecutionSettings()

    def __post_init__(self) -> None:
        if not self.task:
            object.__setattr__(self, "task", default_task(self.simulator))
        for name, least in (("episodes", 1), ("num_envs", 1), ("seed", 0), ("max_steps", 0)):
            value = getattr(self, name)
            if value < least:
                raise InvalidRequest(f"{name} is {value}; valid: {least} or more")

    def seed_of(self, index: int) -> int:
        return self.seed + index

    def identity(self) -> dict[str, Any]:
        """What decides the results: two runs that agree in it may be merged."""
        content = {k: v for k, v in asdict(self).items() if k not in _INCIDENTAL}
        # A collection may grow; a folder of results without files does not speak of them.
        del content["episodes" if self.trajectories else "trajectories"]
        if not self.execution.strategy_options:  # runs that were begun before it existed go on
            del content["execution"]["strategy_options"]
        return {**content, "checkpoint_sha256": _fingerprint(self.policy)}


def _fingerprint(policy: str) -> str:
    """Hash of a checkpoint's files, so that a retrained one is noticed; empty for others."""
    path = Path(policy).expanduser()
    if not policy or not path.exists():
        return ""
    files = [path]
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file() and p.suffix not in _REPORTS)
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def parse(
    args: Sequence[str] | None = None,
    prog: str = "evaluate",
    description: str = "",
    **defaults: Any,
) -> EvaluationSettings:
    """Settings from the command line, which wins over ``--config``, which wins over ``defaults``.
    Exits on a usage error; InvalidRequest for values out of range."""
    parser = _parser(prog, description)
    chosen = vars(parser.parse_args(args))
    config = chosen.pop("config", None)
    values = {**defaults, **(_read_yaml(config) if config else {}), **chosen}
    if "policy" not in values and "policy_node" not in values:
        parser.error("give --policy (or --policy-node, or a --config with one of them)")
    values.setdefault("policy", "")
    values["bridges"] = tuple(values.get("bridges", ()))
    names = {f.name for f in fields(ExecutionSettings)}
    options = {name: values.pop(name) for name in names & values.keys()}
    try:
        settings = EvaluationSettings(**values, execution=ExecutionSettings(**options))
    except (TypeError, ValueError) as error:
        raise InvalidRequest(str(error)) from None
    if settings.bridges:
        settings = replace(settings, num_envs=len(settings.bridges))
    return settings


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text()) or {}
    except (OSError, yaml.YAMLError) as error:
        raise InvalidRequest(f"cannot read {path}: {error}") from None
    if not isinstance(content, dict):
        raise InvalidRequest(f"{path} must hold a mapping, such as 'policy: expert'")
    known = {f.name for cls in (EvaluationSettings, ExecutionSettings) for f in fields(cls)}
    known.discard("execution")
    unknown = sorted(set(content) - known)
    if unknown:
        raise InvalidRequest(
            f"{path}: unknown {', '.join(unknown)}; valid: {', '.join(sorted(known))}"
        )
    return content


def _parser(prog: str, description: str) -> argparse.ArgumentParser:
    """Options without defaults: what was not given does not override the YAML file."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description=f"{description} Run the same command again to go on after an interruption.",
        argument_default=argparse.SUPPRESS,
    )
    add = parser.add_argument
    add("--config", type=Path, metavar="FILE.yaml", help="these options, with underscores, as YAML")
    add("--policy", help="policy address: expert, a checkpoint, host:port, ws://... ")
    add("--policy-node", metavar="NAMESPACE", help="ask the policy node running there ('' for /)")
    add("--device", help="of a checkpoint: auto (default), cpu, cuda, cuda:N")
    add("--task", help="default: the simulator's own")
    add("--simulator", help="default: gymnasium")
    add("--task-options", metavar="JSON", help="options of the task")
    add("--episodes", type=int, help="default: 50")
    add("--seed", type=int, help="of the first episode (default: 0); the next ones count up")
    add("--max-steps", type=int, help="cap on an episode (default: the task's own)")
    add("--num-envs", type=int, help="simulator processes to start (default: 1)")
    add("--bridges", nargs="+", metavar="NAMESPACE", help="use these running bridges instead")
    add(
        "--output",
        metavar="DIR",
        help="where results go (default: evaluation, episodes of collect)",
    )
    add("--trajectories", action="store_true", help="keep every episode as a trajectory file")
    add("--videos", type=int, metavar="N", help="film the first N episodes (default: 0)")
    add("--camera", help="which camera films (default: the first)")
    group = parser.add_argument_group("chunk execution")
    for option in describe(ExecutionSettings):
        default = f" (default: {option.default})" if option.default != "" else ""
        group.add_argument(
            f"--{option.name.replace('_', '-')}",
            type=option.type,
            choices=option.choices or None,
            help=option.description + default,
        )
    return parser
