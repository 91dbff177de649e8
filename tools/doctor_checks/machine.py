"""GPU, disk, ports, shared memory and Pythons of this machine."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from isaac.environment import find_python
from workspace.checks import BUILD, RUN
from workspace.environment import SetupError

from .finding import Finding, absent, found, missing

# Port and what listens on it.
PORTS = {
    9000: "web monitor",
    42100: "DDS over one SSH tunnel",
    11811: "DDS discovery server",
}
_NEEDED_DISK_GB = 4.0
_NEEDED_SHM_MB = 256
_NEEDED_SOCKET_BUFFER = 4 * 1024 * 1024


def gpu() -> Finding:
    """NVIDIA's driver and cards. Nothing but Isaac Sim's renderer needs one."""
    program = shutil.which("nvidia-smi")
    if not program:
        return absent(
            "GPU",
            "no NVIDIA driver (nvidia-smi not found)",
            "Isaac Lab, MuJoCo and the mirror run on the CPU; Isaac Sim's renderer needs an RTX "
            "GPU and its driver (apt-get install nvidia-driver-580)",
        )
    query = ["--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    done = subprocess.run([program, *query], capture_output=True, text=True, timeout=30)
    if done.returncode:
        problem = (done.stderr or done.stdout).strip().splitlines()[:1]
        return missing(
            "GPU", f"nvidia-smi fails: {' '.join(problem)}", "reload or reinstall the driver"
        )
    cards = "; ".join(line.strip() for line in done.stdout.splitlines())
    return found("GPU", cards)


def pythons() -> list[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    here = f"{version} ({sys.executable})"
    if (3, 10) <= sys.version_info[:2] <= (3, 13):
        first = found("Python", here)
    else:
        first = missing(
            "Python", here, "the ROS 2 wheels are for 3.10 to 3.13: PYTHON=/path/to/python3.12"
        )
    try:
        return [first, found("Python 3.12 for Isaac", str(find_python()))]
    except SetupError as error:
        return [first, absent("Python 3.12 for Isaac", "none", str(error))]


def tools() -> list[Finding]:
    """What building and drawing need, as `make setup` checks it."""
    findings = []
    for requirement in (*BUILD, *RUN):
        if requirement.present():
            findings.append(found(requirement.what, "present"))
        else:
            packages = " ".join(requirement.packages)
            findings.append(missing(requirement.what, "absent", f"apt-get install {packages}"))
    return findings


def disk(root: Path) -> Finding:
    free_gb = shutil.disk_usage(root).free / 1e9
    value = f"{free_gb:.0f} GB free for {root}"
    if free_gb < _NEEDED_DISK_GB:
        return missing(
            "disk", value, f"the environment needs {_NEEDED_DISK_GB:g} GB, Isaac's 10 more"
        )
    return found("disk", value)


def shared_memory(folder: Path = Path("/dev/shm")) -> Finding:
    if not folder.is_dir():
        return missing("shared memory", f"no {folder}", "DDS falls back to UDP: images suffer")
    free_mb = shutil.disk_usage(folder).free / 1e6
    litter = len(list(folder.glob("fastdds*")) + list(folder.glob("fastrtps*")))
    value = f"{free_mb:.0f} MB free in {folder}, {litter} Fast DDS files"
    if free_mb < _NEEDED_SHM_MB:
        remedy = (
            "give the container more (docker run --shm-size=1g), or remove files of dead processes"
        )
        return missing(
            "shared memory", value, f"{remedy}: fastdds shm clean, or rm {folder}/fastdds*"
        )
    return found("shared memory", value)


def socket_buffers(path: Path = Path("/proc/sys/net/core/rmem_max")) -> Finding:
    try:
        size = int(path.read_text())
    except (OSError, ValueError):
        return absent("UDP buffers", f"no {path}", "only Linux has it")
    if size < _NEEDED_SOCKET_BUFFER:
        names = "net.core.rmem_max net.core.wmem_max"
        wanted = " ".join(f"{name}={_NEEDED_SOCKET_BUFFER}" for name in names.split())
        return absent(
            "UDP buffers",
            f"{size / 1024:.0f} kB at most",
            f"raw images between hosts want 4 MB: sysctl -w {wanted}",
        )
    return found("UDP buffers", f"{size / 1024:.0f} kB at most")


def ports() -> list[Finding]:
    return [port(number, what) for number, what in PORTS.items()]


def port(number: int, what: str) -> Finding:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except OSError as error:
            return absent(
                f"port {number}",
                f"{what}: {error.strerror}",
                f"end what holds it (ss -ltnp 'sport = :{number}'), or choose another port",
            )
    return found(f"port {number}", f"{what}: free")


def ros_variables() -> list[Finding]:
    """What of the calling shell changes who can be reached."""
    names = (
        "ROS_DOMAIN_ID",
        "ROS_LOCALHOST_ONLY",
        "ROS_AUTOMATIC_DISCOVERY_RANGE",
        "ROS_STATIC_PEERS",
        "ROS_DISCOVERY_SERVER",
        "FASTDDS_DEFAULT_PROFILES_FILE",
    )
    said = [f"{name}={os.environ[name]}" for name in names if os.environ.get(name)]
    findings = [found("ROS variables", ", ".join(said) or "none set: domain 0, whole subnet")]
    profiles = os.environ.get("FASTDDS_DEFAULT_PROFILES_FILE", "")
    if profiles and not Path(profiles).is_file():
        findings.append(missing("DDS profiles", f"no file {profiles}", "unset it, or name a file"))
    return findings
