"""Command line of tools/launch."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from workspace.environment import SetupError, find_environment

from sim_bridge.processes.domains import free_domain_id

from .plan import LaunchError
from .resolve import declared_arguments, resolve
from .supervise import Supervisor


def main(arguments: list[str] | None = None) -> int:
    """Entry point of tools/launch."""
    parser = argparse.ArgumentParser(
        description="Run a launch file as `ros2 launch` would, without needing it.",
    )
    parser.add_argument("file", type=Path, help="for example launch/demo.launch.xml")
    parser.add_argument("values", nargs="*", metavar="name:=value", help="launch arguments")
    parser.add_argument("-s", "--show-args", action="store_true", help="list the arguments")
    parser.add_argument(
        "--print", action="store_true", help="print the commands as JSON, run nothing"
    )
    options = parser.parse_intermixed_args(arguments)
    try:
        if options.show_args:
            _show_arguments(options.file)
            return 0
        variables = find_environment().variables(os.environ)
        values = _values(options.values)
        if not options.print:
            values.update(_domain(options.file, values))
        plan = resolve(options.file, values, PackageIndex(variables).prefix, variables)
        if options.print:
            print(json.dumps([asdict(process) for process in plan.processes], indent=2))
            return 0
        return Supervisor(plan.processes, variables).run()
    except (LaunchError, SetupError) as error:
        print(f"[launch] {error}", file=sys.stderr)
        return 2


class PackageIndex:
    """Finds packages along AMENT_PREFIX_PATH."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        text = variables.get("AMENT_PREFIX_PATH", "")
        self._prefixes = [Path(p) for p in text.split(os.pathsep) if p]

    def prefix(self, package: str) -> Path:
        """The prefix of ``package``; LaunchError if it is not installed."""
        marker = Path("share/ament_index/resource_index/packages", package)
        for prefix in self._prefixes:
            if (prefix / marker).exists():
                return prefix
        raise LaunchError(f"package {package!r} is not installed; build the workspace: make setup")


def _values(texts: list[str]) -> dict[str, str]:
    values = {}
    for text in texts:
        name, separator, value = text.partition(":=")
        if not separator or not name:
            raise LaunchError(f"argument is {text!r}; valid: name:=value")
        values[name] = value
    return values


def _domain(file: Path, values: Mapping[str, str]) -> dict[str, str]:
    """A free ROS domain for a file that has it as an argument, when nobody chose one."""
    declared = any(argument.name == "domain" for argument in declared_arguments(file))
    if not declared or "domain" in values or os.environ.get("ROS_DOMAIN_ID"):
        return {}
    domain = free_domain_id()
    print(f"[launch] a ROS domain of its own; to join: export ROS_DOMAIN_ID={domain}", flush=True)
    return {"domain": str(domain)}


def _show_arguments(file: Path) -> None:
    print("Arguments (pass arguments as 'name:=value'):")
    for argument in declared_arguments(file):
        valid = f" Valid: {', '.join(argument.choices)}." if argument.choices else ""
        default = "required" if argument.default is None else f"default: {argument.default!r}"
        print(f"\n    {argument.name}\n        {argument.description}{valid}\n        ({default})")
