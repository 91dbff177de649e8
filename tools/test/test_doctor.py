"""tools/doctor: what it finds, and the remedies for what it does not."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOOLS))

from doctor_checks import machine  # noqa: E402
from doctor_checks.finding import absent, found, missing, render  # noqa: E402
from isaac.environment import IsaacEnvironment, find_python  # noqa: E402
from workspace.environment import SetupError  # noqa: E402


def program(folder, name, text):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_the_report_aligns_and_shows_remedies_only_where_needed():
    text = render(
        [found("GPU", "one"), absent("port 1", "taken", "free it"), missing("x", "no", "y")]
    )
    assert text.splitlines() == [
        "[ok] GPU     one",
        "[--] port 1  taken",
        "             -> free it",
        "[!!] x       no",
        "             -> y",
    ]


def test_a_taken_port_names_how_to_find_its_owner():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        number = holder.getsockname()[1]
        finding = machine.port(number, "web monitor")
    assert finding.state == "--" and f"sport = :{number}" in finding.remedy
    assert machine.port(number, "web monitor").state == "ok"


def test_no_driver_is_no_failure_and_says_who_needs_one(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    finding = machine.gpu()
    assert finding.state == "--" and "Isaac Sim" in finding.remedy


@pytest.mark.process
def test_a_card_and_its_driver_are_read(monkeypatch, tmp_path):
    program(tmp_path, "nvidia-smi", "echo 'NVIDIA RTX 6000, 580.65, 49140 MiB'")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert machine.gpu().value == "NVIDIA RTX 6000, 580.65, 49140 MiB"


@pytest.mark.process
def test_a_broken_driver_is_a_failure(monkeypatch, tmp_path):
    program(tmp_path, "nvidia-smi", "echo 'Driver/library version mismatch'; exit 18")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    finding = machine.gpu()
    assert finding.state == "!!" and "mismatch" in finding.value


def test_small_socket_buffers_get_a_command(tmp_path):
    (tmp_path / "rmem_max").write_text("212992\n")
    finding = machine.socket_buffers(tmp_path / "rmem_max")
    assert finding.state == "--" and "sysctl -w net.core.rmem_max=4194304" in finding.remedy


def test_profiles_that_do_not_exist_are_named(monkeypatch):
    monkeypatch.setenv("FASTDDS_DEFAULT_PROFILES_FILE", "/nowhere.xml")
    assert any("no file /nowhere.xml" in finding.value for finding in machine.ros_variables())


@pytest.mark.process
def test_python_312_is_asked_for_its_version_not_its_name(tmp_path):
    """A pyenv shim is on PATH also where that Python is not chosen."""
    if sys.version_info[:2] == (3, 12):
        pytest.skip("the running Python is the wanted one")
    program(tmp_path, "python3.12", "exit 127")
    real = tmp_path / "pyenv/versions/3.12.1/bin"
    real.mkdir(parents=True)
    program(real, "python", "echo 3 12")
    variables = {
        "PATH": str(tmp_path),
        "PYENV_ROOT": str(tmp_path / "pyenv"),
        "HOME": str(tmp_path),
    }
    assert find_python(variables) == real / "python"


@pytest.mark.process
def test_without_python_312_the_remedy_names_what_was_looked_at(tmp_path):
    wrong = program(tmp_path, "python", "echo 3 11")
    with pytest.raises(SetupError, match=f"looked at: {wrong}.*PYTHON312="):
        find_python({"PYTHON312": str(wrong), "PATH": "", "HOME": str(tmp_path)})


def test_the_isaac_environment_can_live_elsewhere(monkeypatch, tmp_path):
    monkeypatch.setenv("TWINSTEP_ISAAC_VENV", str(tmp_path / "shared"))
    environment = IsaacEnvironment()
    assert environment.venv == tmp_path / "shared"
    assert environment.build.parent == environment.install.parent == environment.root
    monkeypatch.delenv("TWINSTEP_ISAAC_VENV")
    assert IsaacEnvironment().venv == environment.root / ".venv-isaac"


def test_a_full_disk_is_said_before_the_download(monkeypatch, tmp_path):
    from isaac import cli

    monkeypatch.setenv("TWINSTEP_ISAAC_VENV", str(tmp_path / "v"))
    monkeypatch.setattr(cli, "NEEDED_DISK_GB", 1e9)
    with pytest.raises(SetupError, match="GB free on the disk of .*TWINSTEP_ISAAC_VENV"):
        cli._check_disk(tmp_path / "v")


@pytest.mark.process
def test_run_isaac_without_an_environment_says_make_isaac(tmp_path):
    done = subprocess.run(
        [sys.executable, TOOLS / "run_isaac", "python", "-V"],
        env={**os.environ, "TWINSTEP_ISAAC_VENV": str(tmp_path / "none")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1 and "make isaac" in done.stderr


@pytest.mark.process
def test_the_doctor_finds_itself_over_dds():
    """The whole report on this machine, with its own listener as the other host."""
    if not (TOOLS.parent / "install").is_dir():
        pytest.skip("the workspace is not built")
    variables = {**os.environ, "ROS_DOMAIN_ID": "96"}
    listener = subprocess.Popen(
        [sys.executable, TOOLS / "doctor", "--listen"],
        env=variables,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert listener.stdout.readline().strip() == "listening"
        done = subprocess.run(
            [sys.executable, TOOLS / "doctor", "--host", "127.0.0.1"],
            env=variables,
            capture_output=True,
            text=True,
            timeout=170,
        )
    finally:
        listener.terminate()
        listener.wait(timeout=30)
    assert "[ok] DDS here" in done.stdout, done.stdout + done.stderr
    assert "[ok] DDS to 127.0.0.1" in done.stdout, done.stdout + done.stderr
    assert "looked at" in done.stdout.splitlines()[-1]
