"""The DDS profiles of ``launch/dds``, with real processes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from sim_bridge.processes.testing import Process, free_domain_id

PROFILES = Path(__file__).parents[4] / "launch" / "dds"
ASK = """
from sim_bridge.client.env import RemoteEnv
env = RemoteEnv()
env.reset(seed=0)
env.step(env.action_space.sample())
print("stepped")
env.close()
"""


@pytest.mark.parametrize("profile, speaks_udp", [("local", True), ("one_machine", False)])
def test_a_bridge_is_reached_and_listens_where_its_profile_says(profile, speaks_udp, tmp_path):
    path = str(PROFILES / f"{profile}.xml")
    env = dict.fromkeys(("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"), path)
    env["ROS_DOMAIN_ID"] = str(free_domain_id())
    arguments = ("--ros-args", "-p", "simulator:=synthetic")
    with Process.module("sim_bridge", *arguments, log=tmp_path / "bridge", env=env) as bridge:
        with Process([sys.executable, "-c", ASK], tmp_path / "client", env) as client:
            assert client.wait(60) == 0, client.output() + bridge.output()
            assert "stepped" in client.output()
        assert bool(_udp_sockets(bridge.pid)) == speaks_udp


def _udp_sockets(pid: int) -> set[str]:
    """Inodes; the table is of the whole network namespace, the descriptors of the process."""
    rows = Path(f"/proc/{pid}/net/udp").read_text().splitlines()[1:]
    known = {f"socket:[{row.split()[9]}]" for row in rows}
    folder = Path(f"/proc/{pid}/fd")
    return known & {os.readlink(entry) for entry in folder.iterdir()}
