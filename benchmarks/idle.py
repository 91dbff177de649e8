"""What a bridge costs that nobody talks to, in percent of a core."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import psutil
from rows import Row, row

from sim_bridge import RemoteEnv
from sim_bridge.processes.testing import Process, free_domain_id
from sim_bridge.progress import track

_BUDGET_PERCENT = 2.0


def measure(seconds: int = 20) -> list[Row]:
    domain_id = free_domain_id()
    with tempfile.TemporaryDirectory() as name:
        log, environment = Path(name) / "bridge", {"ROS_DOMAIN_ID": str(domain_id)}
        with Process.module("sim_bridge", log=log, env=environment) as bridge:
            env = RemoteEnv(domain_id=domain_id, connect_timeout_s=60.0)
            env.reset(seed=0)
            env.close()
            time.sleep(1.0)
            samples = _percent_each_second(psutil.Process(bridge.pid), seconds)
    return [row("idle_cpu_percent", "% of a core", samples, {}, _BUDGET_PERCENT)]


def _percent_each_second(process: psutil.Process, seconds: int) -> list[float]:
    process.cpu_percent()
    return [
        process.cpu_percent(interval=1.0)
        for _ in track(range(seconds), "an idle bridge", "second", keep=False)
    ]
