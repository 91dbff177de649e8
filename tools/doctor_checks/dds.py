"""Reachability over DDS: between two processes here, and to another host."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from workspace.environment import Environment

from sim_bridge.processes import supervise

from .finding import Finding, absent, found, missing

PEER = Path(__file__).with_name("dds_peer.py")
_WAIT_S = 15.0
_CALLS = 50
# Nobody's default, so that the check meets only itself.
_DOMAIN = "97"


def between_processes(environment: Environment) -> Finding:
    """A service call between two processes of this environment, in a domain of their own."""
    variables = {**environment.variables(os.environ), "ROS_DOMAIN_ID": _DOMAIN}
    command = _command(environment, "serve", str(2 * _WAIT_S))
    server = supervise.start(command, output=supervise.PIPE, env=variables)
    try:
        server.stdout.readline()
        done = _ask(environment, variables)
    finally:
        supervise.end([server])
    with server.stdout as output:
        errors = output.read().decode(errors="replace")
    if done.returncode:
        reason = (done.stderr or errors).strip().splitlines()[-1:] or ["no answer"]
        return missing(
            "DDS here",
            reason[0][:160],
            "is loopback multicast off, or /dev/shm full? try FASTDDS_BUILTIN_TRANSPORTS=UDPv4",
        )
    return found("DDS here", f"{done.stdout.strip()} us median round trip between two processes")


def to_host(environment: Environment, host: str) -> list[Finding]:
    """Name, SSH port, and a listener (`tools/doctor --listen`) on ``host`` over DDS."""
    try:
        address = socket.getaddrinfo(host, 22, proto=socket.IPPROTO_TCP)[0][4][0]
    except OSError as error:
        return [missing(f"host {host}", str(error), "check the name, or use its address")]
    findings = [found(f"host {host}", address), _ssh(host)]
    static = ";".join(filter(None, [os.environ.get("ROS_STATIC_PEERS", ""), address]))
    variables = {**environment.variables(os.environ), "ROS_STATIC_PEERS": static}
    done = _ask(environment, variables)
    if done.returncode == 0:
        value = f"{done.stdout.strip()} us median round trip"
        return [*findings, found(f"DDS to {host}", value)]
    domain = variables.get("ROS_DOMAIN_ID", "0")
    first = 7400 + 250 * int(domain)
    remedy = (
        f"run `tools/doctor --listen` there with ROS_DOMAIN_ID={domain}; if it runs, UDP is "
        f"blocked: open ports {first} to {first + 249}, or use one SSH tunnel (docs/how-to)"
    )
    return [*findings, missing(f"DDS to {host}", f"no answer in {_WAIT_S:g} s", remedy)]


def listen(environment: Environment) -> int:
    """Answer other hosts' `tools/doctor --host` until Ctrl-C; replaces this process."""
    command = _command(environment, "serve")
    os.execvpe(command[0], command, environment.variables(os.environ))


def _ssh(host: str) -> Finding:
    try:
        with socket.create_connection((host, 22), timeout=5.0):
            return found(f"SSH to {host}", "port 22 open")
    except OSError as error:
        return absent(
            f"SSH to {host}", f"port 22: {error}", "start an SSH server there, or use the LAN"
        )


def _ask(
    environment: Environment, variables: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _command(environment, "ask", str(_WAIT_S), str(_CALLS)),
        capture_output=True,
        text=True,
        timeout=4 * _WAIT_S,
        env=dict(variables),
    )


def _command(environment: Environment, *arguments: str) -> list[str]:
    python = environment.python if environment.python.exists() else sys.executable
    return [str(python), str(PEER), *arguments]
