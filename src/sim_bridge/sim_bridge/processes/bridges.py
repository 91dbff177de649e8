"""Several bridges with the same parameters, each a process in a namespace of its own."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from sim_bridge.errors import OperationFailed
from sim_bridge.names import namespaces
from sim_bridge.processes import supervise
from sim_bridge.ros.interrupts import StopFlag

_NAMESPACE = "__ns:="
_LOG_TAIL = 15


def commands(count: int, prefix: str, ros_args: Sequence[str]) -> list[list[str]]:
    """One per bridge: ``ros_args`` as they are, with the namespaces below theirs."""
    found = [word for word in ros_args if word.startswith(_NAMESPACE)]
    base = found[-1][len(_NAMESPACE) :].rstrip("/") if found else ""
    program = [sys.executable, "-m", "sim_bridge", *(ros_args or ["--ros-args"])]
    # Of several rules for the namespace, the first one counts.
    at = program.index("--ros-args") + 1
    return [
        [*program[:at], "-r", f"{_NAMESPACE}{base}/{name}", *program[at:]]
        for name in namespaces(count, prefix)
    ]


def run(children: Sequence[Sequence[str]], stop: StopFlag) -> int:
    """Until asked to stop (0) or until one has ended: its status, and no other goes on."""
    running: list[supervise.Child] = []
    try:
        for command in children:
            running.append(supervise.start(command))
        ended = supervise.first_to_end(running, lambda: stop.requested)
        if ended is None:
            return 0
        how = supervise.describe_status(ended.returncode)
        print(f"bridges: one ended with {how}", file=sys.stderr)
        return supervise.exit_status(ended.returncode)
    finally:
        supervise.end(running, supervise.NESTED)


class LocalBridges:
    """Starts ``count`` bridges in the namespaces ``env_0`` ... and stops them on exit.

    They end with this process, however it ends. Each writes its output to
    ``logs/env_N.log``. Start them from the main thread, to which they are tied.
    """

    def __init__(
        self, count: int, task: str, simulator: str, task_options: str, domain_id: int, logs: Path
    ) -> None:
        self.namespaces = tuple(namespaces(count))
        given = {"simulator": simulator, "task": task, "task_options": task_options}
        ros_args = ["--ros-args"]
        for name, value in given.items():
            if value:
                # Quoted: a value such as {"a": 1} would otherwise be read as YAML.
                ros_args += ["-p", f"{name}:='{value}'"]
        self._commands = commands(count, "env_", ros_args)
        self._environment = {**os.environ, "ROS_DOMAIN_ID": str(domain_id)}
        self._logs = [logs / f"{namespace}.log" for namespace in self.namespaces]
        self._processes: list[supervise.Child] = []

    def __enter__(self) -> LocalBridges:
        self._logs[0].parent.mkdir(parents=True, exist_ok=True)
        try:
            for command, log in zip(self._commands, self._logs, strict=True):
                self._processes.append(supervise.start(command, output=log, env=self._environment))
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def check(self) -> None:
        """OperationFailed with the end of its log when a bridge has died."""
        for log, process in zip(self._logs, self._processes, strict=True):
            if process.poll() is not None:
                how = supervise.describe_status(process.returncode)
                tail = "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_TAIL:])
                raise OperationFailed(f"the bridge {log.stem} ended with {how}:\n{tail}")

    def stop(self) -> None:
        supervise.end(self._processes)
        self._processes.clear()


def main(args: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if args is None else args)
    split = words.index("--ros-args") if "--ros-args" in words else len(words)
    parser = argparse.ArgumentParser(
        prog="bridges", description=__doc__, epilog="ROS arguments are those of each sim_bridge."
    )
    parser.add_argument("--count", type=int, default=2)
    parser.add_argument("--prefix", default="env_", help="namespaces are PREFIX0, PREFIX1, ...")
    given = parser.parse_args(words[:split])
    if given.count < 1:
        parser.error(f"--count is {given.count}; valid: 1 or more")
    stop = StopFlag().install()
    return run(commands(given.count, given.prefix, words[split:]), stop)


if __name__ == "__main__":
    sys.exit(main())
