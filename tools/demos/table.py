"""Which simulator, task and policy the demo is shown with."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RECORDED = "replay:src/policy_node/data/so101_pick_place.npz"


@dataclass(frozen=True)
class Demo:
    """Empty names are left to the launch file; ``environment`` is a folder that must be there."""

    simulator: str = ""
    task: str = ""
    policy: str = ""
    file: str = "demo"
    environment: str = ""

    @property
    def name(self) -> str:
        return "-".join(filter(None, (self.simulator, self.task.split("/")[-1], self.policy[:7])))

    def arguments(self) -> list[str]:
        """As a user types them behind ``tools/launch``."""
        given = {"simulator": self.simulator, "task": self.task, "policy": self.policy}
        if self.file != "demo":  # has its own simulator
            del given["simulator"]
        words = [f"{name}:={value}" for name, value in given.items() if value]
        return [f"launch/{self.file}.launch.xml", *words]

    def missing(self) -> str:
        """What keeps it from running here; empty when nothing does."""
        if self.environment and not (ROOT / self.environment).exists():
            return f"{self.simulator} has an environment of its own: make isaac"
        return ""


DEMOS = (
    Demo(),
    Demo(policy="expert"),
    Demo(policy="hold"),
    Demo(policy=RECORDED),
    Demo("mujoco", policy="hold"),
    Demo("sapien", policy="hold"),
    Demo("synthetic", policy="hold"),
    Demo("gymnasium", "Ant-v5", "hold"),
    Demo("gymnasium", "Humanoid-v5", "hold"),
    Demo("gymnasium", "HalfCheetah-v5", "hold"),
    Demo("gymnasium", "Pusher-v5", "hold"),
    Demo("gymnasium", "gym_aloha/AlohaTransferCube-v0", "hold"),
    Demo("isaac_lab", file="isaac", policy="hold", environment=".venv-isaac"),
)


def command(demo: Demo, output: Path, max_steps: int) -> list[str]:
    more = ["monitor:=false", f"output:={output}", f"max_steps:={max_steps}"]
    # The launch file of Isaac has no page to switch off.
    more = [word for word in more if demo.file == "demo" or not word.startswith("monitor")]
    return [sys.executable, str(ROOT / "tools/launch"), *demo.arguments(), *more]


def run(demo: Demo, output: Path, max_steps: int, timeout_s: float) -> tuple[int, str]:
    """Exit status and output of the whole demo, all processes; it writes under ``output``."""
    done = subprocess.run(
        command(demo, output, max_steps),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
        stdin=subprocess.DEVNULL,
    )
    return done.returncode, done.stdout


def summary(output: Path) -> dict[str, Any]:
    """Of the one run under ``output``."""
    (path,) = output.glob("*/summary.json")
    return json.loads(path.read_text())
