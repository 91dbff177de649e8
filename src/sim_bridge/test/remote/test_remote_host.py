"""RemoteHost against a real sshd, and on this machine without one."""

import contextlib
import getpass
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sim_bridge.processes.testing import Process, free_tcp_port, wait_until
from sim_bridge.remote import profiles as remote_host_profiles
from sim_bridge.remote.agent import SESSION_VARIABLE
from sim_bridge.remote.host import BridgeDied, HostUnreachable, RemoteHost, RemoteHostError

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[4]
TRAJECTORY = ROOT / "src/policy_node/data/so101_pick_place.npz"
CLIENT = Path(__file__).with_name("remote_host_client.py")
LIGHT: dict[str, Any] = {"simulator": "mujoco", "task": "so101"}
WAIT_S = 120.0


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Markers of these tests only; all that they start has the folder in its environment."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="module")
def ssh(tmp_path_factory, cache):
    """Options of ssh for the hosts ``loopback`` and, with its own network, ``elsewhere``."""
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if not (sshd and shutil.which("ssh")):
        pytest.skip("needs Debian's openssh-server and openssh-client")
    folder = tmp_path_factory.mktemp("ssh")
    port = free_tcp_port()
    server = _server_config(folder, port, cache)
    command = [sshd, "-D", "-e", "-f", server]
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(Process(command, log=folder / "sshd.log"))
        wait_until(lambda: not process.running or _listens(port), WAIT_S, "sshd")
        if not process.running:
            pytest.skip(f"sshd does not run here: {process.output().strip()[-200:]}")
        elsewhere = stack.enter_context(_network())
        proxy = f"nsenter -t {elsewhere} -n {sshd} -i -f {server}" if elsewhere else ""
        config = _client_config(folder, port, proxy)
        yield ["-F", str(config)]


@contextlib.contextmanager
def _network():
    """A process in a network namespace of its own; its id, or None where that is not allowed."""
    command = ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec cat"]
    try:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    except FileNotFoundError:
        yield None
        return
    with process:
        up = process.stdout.readline() == b"up\n"
        yield process.pid if up else None
        process.stdin.close()


def _server_config(folder, port, cache):
    for name in ("host_key", "user_key"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # its init script's work
    variables = [f"XDG_CACHE_HOME={cache}"]
    variables += [f"{n}={os.environ[n]}" for n in ("ROS_DISTRO", "PYTHON") if os.environ.get(n)]
    config = folder / "sshd_config"
    config.write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder}/host_key\n"
        f"AuthorizedKeysFile {folder}/user_key.pub\nStrictModes no\nUsePAM no\n"
        f"PasswordAuthentication no\nPidFile none\nSetEnv {' '.join(variables)}\n"
    )
    return config


def _client_config(folder, port, proxy):
    config = folder / "ssh_config"
    config.write_text(
        f"Host loopback\n  HostName 127.0.0.1\n  Port {port}\n"
        + (f"Host elsewhere\n  ProxyCommand {proxy}\n" if proxy else "")
        + "Host nowhere\n  HostName nowhere.invalid\n"
        f"Host *\n  User {getpass.getuser()}\n  IdentityFile {folder}/user_key\n"
        "  IdentitiesOnly yes\n  StrictHostKeyChecking no\n"
        f"  UserKnownHostsFile {folder}/known_hosts\n  LogLevel ERROR\n"
    )
    return config


@pytest.fixture
def far(ssh):
    """A host that shares nothing with this side's network, if the system lets us make one."""
    return "elsewhere" if "elsewhere" in Path(ssh[1]).read_text() else "loopback"


@pytest.fixture(autouse=True)
def nothing_stays(cache):
    yield
    wait_until(lambda: not _started(cache), WAIT_S, "the end of all that was started")
    sessions = cache / "twinstep/sessions"
    wait_until(lambda: not list(sessions.glob("*.session")), WAIT_S, "the end of the markers")


def _started(cache):
    """All processes below the agents of these tests."""
    return {
        int(path.parent.name)
        for path, words in _environments()
        if f"XDG_CACHE_HOME={cache}".encode() in words
        and any(w.startswith(SESSION_VARIABLE.encode()) for w in words)
    }


def _environments():
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            yield path, path.read_bytes().split(b"\0")


def _commands(pids, text):
    for pid in pids:
        with contextlib.suppress(OSError):
            if text.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                yield pid


def _bridge(cache):
    """The one running bridge process; the launcher's command line ends in arguments."""
    (pid,) = _commands(_started(cache), "lib/sim_bridge/sim_bridge")
    return pid


def _listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _client(tmp_path, **arguments):
    command = [sys.executable, str(CLIENT), json.dumps(arguments)]
    return Process(command, log=tmp_path / "client.log")


def _told(process, key):
    """The line of the client that has ``key``."""

    def look():
        for line in process.output().splitlines():
            if line.startswith("{") and key in json.loads(line):
                return json.loads(line)
        assert process.running, process.output()
        return None

    return wait_until(look, WAIT_S, f"{key} from the client")


def test_replays_an_episode_through_the_tunnel_and_ends_with_the_connection(
    ssh, far, cache, tmp_path
):
    arguments = {"host": far, "workspace": str(ROOT), "ssh_options": ssh}
    with _client(tmp_path, **arguments, trajectory=str(TRAJECTORY)) as client:
        replayed = _told(client, "success")
        assert replayed == {"success": True, "steps": 47, "joint_error": 0.0}
        told = _told(client, "ssh")
        if far == "elsewhere":
            there = os.readlink(f"/proc/{_bridge(cache)}/ns/net")
            assert there != os.readlink("/proc/self/ns/net")  # no way but the tunnel
        os.kill(told["ssh"], signal.SIGKILL)
        ended = _told(client, "error")
        assert ended["error"] == "HostUnreachable" and far in ended["message"]
        assert client.wait(WAIT_S) == 0
    wait_until(lambda: not _started(cache), WAIT_S, "the end of the bridge")
    profile = told["environment"].get("FASTDDS_DEFAULT_PROFILES_FILE")
    if far == "elsewhere":
        assert not Path(profile).exists()
    assert not Path(f"/proc/{told['ssh']}").exists()


def test_ctrl_c_ends_everything(ssh, cache, tmp_path):
    arguments = {"host": "loopback", "workspace": str(ROOT), "ssh_options": ssh, **LIGHT}
    with _client(tmp_path, **arguments) as client:
        told = _told(client, "ssh")
        client.signal(signal.SIGINT)
        assert _told(client, "error")["error"] == "KeyboardInterrupt"
        assert client.wait(WAIT_S) == 0
        assert not Path(f"/proc/{told['ssh']}").exists()
        assert not _started(cache)


def test_a_bridge_that_dies_is_told_with_its_last_lines(ssh, cache):
    lines = []
    with RemoteHost(
        "loopback", workspace=str(ROOT), ssh_options=ssh, on_log=lines.append, **LIGHT
    ) as host:
        env = host.env()
        env.reset(seed=0)
        os.kill(_bridge(cache), signal.SIGKILL)
        with pytest.raises(BridgeDied, match=r"on loopback ended with SIGKILL(.|\n)*SIGKILL"):
            wait_until(lambda: env.get_state() and False, WAIT_S, "the news")
        with pytest.raises(BridgeDied):
            host.check()
    assert any("sim_bridge-1 started" in line for line in lines)


def test_a_stale_bridge_is_stopped_and_a_living_one_is_not(cache):
    with RemoteHost(**LIGHT) as first:
        stale = _bridge(cache)
        os.kill(stale, signal.SIGSTOP)  # so that it cannot end with its parent
        for pid in [first.pid, *(_started(cache) - {stale})]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: _started(cache) == {stale}, WAIT_S, "the end of the agent")
        with RemoteHost(**LIGHT) as second:
            assert stale not in _started(cache)
            second.env().reset(seed=0)
            alive = _bridge(cache)
            with pytest.raises(BridgeDied, match="unknown simulator|valid: "):
                RemoteHost(simulator="none").__enter__()
            assert _bridge(cache) == alive
            second.check()


@pytest.mark.parametrize("why", ["input closed", "silence"])
def test_the_far_side_ends_by_itself_when_nobody_is_there(why, cache, tmp_path):
    launcher = tmp_path / "tools/launch"
    launcher.parent.mkdir()
    launcher.write_text("import time\nprint('launched', flush=True)\ntime.sleep(1000)\n")
    code = f"""
import sys
from sim_bridge import remote_host_agent as agent
agent.SILENCE_S = {1.0 if why == "silence" else WAIT_S}
sys.exit(agent.main(["--domain", "1", "x.launch.xml"]))
"""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as agent:
        assert '"started"' in agent.stdout.readline() + agent.stdout.readline()
        assert len(_started(cache)) == 1
        if why == "input closed":
            agent.stdin.close()
        assert agent.wait(WAIT_S) == 0
        assert f'"why": "{why}"' in agent.stdout.read()
        assert not _started(cache)


def test_arguments_and_paths_are_never_run_by_a_shell(ssh, tmp_path):
    workspace = tmp_path / "it's a $(touch there); workspace"
    workspace.symlink_to(ROOT)
    evil = f"x'; touch {tmp_path}/done; `touch {tmp_path}/done` '"
    host = RemoteHost("loopback", workspace=str(workspace), ssh_options=ssh, simulator=evil)
    with pytest.raises(BridgeDied, match="unknown simulator"), host:
        pass
    assert not (tmp_path / "done").exists()


def test_errors_name_host_and_workspace(ssh, tmp_path):
    with pytest.raises(HostUnreachable, match="no ssh connection to nowhere(.|\n)*resolve"):
        RemoteHost("nowhere", workspace="~/x", ssh_options=ssh).__enter__()
    with pytest.raises(RemoteHostError, match="could not start on loopback(.|\n)*no/such"):
        RemoteHost("loopback", workspace="/no/such", ssh_options=ssh).__enter__()
    with pytest.raises(RemoteHostError, match="is not a Twinstep workspace"):
        RemoteHost("loopback", workspace=str(tmp_path), ssh_options=ssh).__enter__()


def test_the_profiles_in_launch_are_those_of_remote_host():
    folder, port = ROOT / "launch/dds", remote_host_profiles.DEFAULT_PORT
    listener = remote_host_profiles.listener_profile(port)
    assert (folder / "tcp_listen.xml").read_text() == listener
    connector = remote_host_profiles.connector_profile([port])
    assert (folder / "tcp_connect.xml").read_text() == connector
