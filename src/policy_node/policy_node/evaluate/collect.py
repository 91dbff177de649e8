"""Collect a policy's episodes, on several simulators at once, one trajectory file each.

ros2 run policy_node collect --policy expert --episodes 20 --num-envs 2 --output episodes
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from policy_node.evaluate.run import command
from policy_node.evaluate.settings import EvaluationSettings, parse
from policy_node.evaluate.worker import trajectory_file

_DESCRIPTION = "Collect a policy's episodes, one trajectory file (.npz) each."


def main(args: Sequence[str] | None = None) -> int:
    return command("collect", lambda: _settings(args), _tell)


def _settings(args: Sequence[str] | None) -> EvaluationSettings:
    return parse(args, "collect", _DESCRIPTION, output="episodes", trajectories=True)


def _tell(settings: EvaluationSettings, content: dict[str, Any]) -> None:
    names = [trajectory_file(settings.output, i).name for i in (0, settings.episodes - 1)]
    print(
        f"{content['episodes']} episodes, {content['successes']} successful: "
        f"{Path(settings.output)}/{names[0]} to {names[1]}"
    )


if __name__ == "__main__":
    sys.exit(main())
