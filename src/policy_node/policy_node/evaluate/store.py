"""Results of an evaluation on disk: written as they come, read back to go on.

| file             | content                                              |
|------------------|------------------------------------------------------|
| ``settings.json``| what is evaluated; a run with another is refused     |
| ``episodes.jsonl``| one finished episode per line, in order of finishing|
| ``summary.json`` | written at the end                                   |
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sim_bridge.episodes.success_rate import wilson_interval
from sim_bridge.errors import IncorrectState
from sim_bridge.files.output import prepare_folder, writing

SETTINGS_FILE = "settings.json"
EPISODES_FILE = "episodes.jsonl"
SUMMARY_FILE = "summary.json"
# The part of an episode's line that its seed and the policy decide.
OUTCOME = ("index", "seed", "success", "terminated", "truncated", "steps", "total_reward")


class ResultStore:
    """The output folder of one evaluation.

    Raises IncorrectState when the folder holds an evaluation with other settings.
    """

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        self.folder = folder
        self._identity = json.loads(json.dumps(identity))  # as it will be read back
        prepare_folder(folder)
        self._claim()
        self.lines = self._read_lines()
        with writing(folder / EPISODES_FILE):  # no buffer, which close() would write once more
            self._file = (folder / EPISODES_FILE).open("ab", buffering=0)

    @property
    def finished(self) -> set[int]:
        """Indices of the episodes that need not run again."""
        return {line["index"] for line in self.lines}

    def add(self, line: dict[str, Any]) -> None:
        """Write one finished episode through to the disk."""
        with writing(self.folder / EPISODES_FILE):
            self._file.write(f"{json.dumps(line)}\n".encode())
            os.fsync(self._file.fileno())
        self.lines.append(line)

    def close(self) -> None:
        self._file.close()

    def write_summary(self, policy: str) -> dict[str, Any]:
        content = {
            **summary(self.lines),
            "policy_description": policy,
            "settings": self._identity,
        }
        _write_whole(self.folder / SUMMARY_FILE, content)
        return content

    def _claim(self) -> None:
        path = self.folder / SETTINGS_FILE
        if not path.exists():
            _write_whole(path, self._identity)
            return
        found = json.loads(path.read_text())
        keys = sorted(found.keys() | self._identity.keys())
        changed = [k for k in keys if found.get(k) != self._identity.get(k)]
        if changed:
            listed = "; ".join(
                f"{k}: {found.get(k)!r} there, {self._identity.get(k)!r} now" for k in changed
            )
            raise IncorrectState(
                f"{self.folder} holds an evaluation with other settings ({listed}); "
                "choose another output folder, or delete it"
            )

    def _read_lines(self) -> list[dict[str, Any]]:
        """Finished episodes; a last line that a crash cut short is dropped from the file."""
        path = self.folder / EPISODES_FILE
        if not path.exists():
            return []
        text = path.read_text()
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            os.truncate(path, len(whole.encode()))
        return [json.loads(line) for line in whole.splitlines()]


def summary(lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Figures over finished episodes, at least one; the same whatever order they finished in."""
    lines = sorted(lines, key=lambda line: line["index"])
    count = len(lines)
    successes = sum(line["success"] for line in lines)
    low, high = wilson_interval(successes, count)
    return {
        "success_rate": successes / count,
        "success_rate_interval_95": [low, high],
        "successes": successes,
        "episodes": count,
        "failed_seeds": [line["seed"] for line in lines if not line["success"]],
        "mean_steps": sum(line["steps"] for line in lines) / count,
        "mean_total_reward": sum(line["total_reward"] for line in lines) / count,
        "mean_wall_time_s": sum(line["wall_time_s"] for line in lines) / count,
    }


def _write_whole(path: Path, content: dict[str, Any]) -> None:
    """All or nothing, so that a crash leaves no half file."""
    temporary = path.with_suffix(".tmp")
    with writing(path):
        temporary.write_text(json.dumps(content, indent=2) + "\n")
        os.replace(temporary, path)
