"""The DDS profiles of ``launch/dds``, with real processes."""

from __future__ import annotations

import ipaddress
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sim_bridge.processes.testing import Process, free_domain_id

pytestmark = pytest.mark.process

PROFILES = Path(__file__).parents[4] / "launch" / "dds"
ASK = """
from sim_bridge.client.env import RemoteEnv
env = RemoteEnv(connect_timeout_s=8)
env.reset(seed=0)
env.step(env.action_space.sample())
print("stepped")
env.close()
"""


@pytest.mark.parametrize("profile", ["local", "lan", "one_machine"])
def test_a_bridge_is_reached_and_listens_where_its_profile_says(profile, tmp_path):
    env = profile_variables(profile)
    with bridge(env, tmp_path) as process:
        assert "stepped" in ask(env, tmp_path)
        listening = _udp_addresses(process.pid)
    if profile == "one_machine":
        assert not listening
    elif profile == "local":
        assert listening and all(ip.is_loopback or ip.is_multicast for ip in listening)
    else:
        assert ipaddress.ip_address("0.0.0.0") in listening


def test_who_has_no_profile_finds_a_local_bridge(tmp_path):
    env = profile_variables("local")
    with bridge(env, tmp_path):
        assert "stepped" in ask({"ROS_DOMAIN_ID": env["ROS_DOMAIN_ID"]}, tmp_path)


@pytest.mark.parametrize("profile, found", [("local", False), ("lan", True)])
def test_another_host_finds_a_bridge_on_the_lan_only(profile, found, two_hosts, tmp_path):
    env = profile_variables(profile)
    here, there = two_hosts
    with bridge(env, tmp_path, here):
        words = ask(
            profile_variables("lan") | {"ROS_DOMAIN_ID": env["ROS_DOMAIN_ID"]}, tmp_path, there
        )
        assert ("stepped" in words) == found, words
        assert found or "no bridge" in words


@pytest.fixture
def two_hosts():
    """Commands that run others on two hosts of one network, which share no memory either."""
    names = [f"twinstep-{os.getpid()}-{i}" for i in range(2)]
    try:
        _ip("link", "add", "tw0", "type", "veth", "peer", "name", "tw1")
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"needs the right to make network namespaces ({error})")
    try:
        for index, name in enumerate(names):
            _ip("netns", "add", name)
            _ip("link", "set", f"tw{index}", "netns", name)
            _ip("-n", name, "addr", "add", f"10.77.0.{index + 1}/24", "dev", f"tw{index}")
            _ip("-n", name, "link", "set", f"tw{index}", "up")
            _ip("-n", name, "link", "set", "lo", "up")
        own_memory = 'mount -t tmpfs tmpfs /dev/shm && exec "$@"'
        yield [["ip", "netns", "exec", name, "sh", "-c", own_memory, "sh"] for name in names]
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


def _ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


def profile_variables(profile):
    names = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
    path = str(PROFILES / f"{profile}.xml")
    return {**dict.fromkeys(names, path), "ROS_DOMAIN_ID": str(free_domain_id())}


def bridge(env, tmp_path, host=()):
    words = ("-m", "sim_bridge", "--ros-args", "-p", "simulator:=synthetic")
    return Process([*host, sys.executable, *words], tmp_path / "bridge", env)


def ask(env, tmp_path, host=()):
    """What a client that steps says, or what stops it."""
    with Process([*host, sys.executable, "-c", ASK], tmp_path / "client", env) as client:
        client.wait(60)
        return client.output()


def _udp_addresses(pid: int) -> set[ipaddress.IPv4Address]:
    """The table is of the whole network namespace, the descriptors are of the process."""
    folder = Path(f"/proc/{pid}/fd")
    own = {os.readlink(entry) for entry in folder.iterdir()}
    rows = [row.split() for row in Path(f"/proc/{pid}/net/udp").read_text().splitlines()[1:]]
    words = [row[1].partition(":")[0] for row in rows if f"socket:[{row[9]}]" in own]
    return {ipaddress.IPv4Address(int(word, 16).to_bytes(4, sys.byteorder)) for word in words}
