"""tools/launch with real processes: exit status, output, Ctrl-C, leftovers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

LAUNCH = Path(__file__).parents[1] / "launch"
# Ignores what asks it to end, and has a child that does the same.
STUBBORN = """
import os, signal, time
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
child = os.fork()
if child:
    print("pids", os.getpid(), child, flush=True)
while True:
    time.sleep(1)
"""


class Run:
    """tools/launch of some executables, given as (Python code, further attributes)."""

    def __init__(self, folder: Path, *executables: tuple[str, str]) -> None:
        lines = []
        for index, (code, attributes) in enumerate(executables):
            script = folder / f"p{index}.py"
            script.write_text(code)
            lines.append(f'<executable cmd="{sys.executable} {script}" name="p" {attributes}/>')
        file = folder / "x.launch.xml"
        file.write_text(f"<launch>{''.join(lines)}</launch>")
        self.process = subprocess.Popen(
            [sys.executable, LAUNCH, file], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True,
        )  # fmt: skip

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The next line of output that matches."""
        assert self.process.stdout
        for line in self.process.stdout:
            if match := re.search(pattern, line):
                return match
        raise AssertionError(f"no {pattern!r} in the output")

    def end(self) -> tuple[int, str]:
        output, _ = self.process.communicate(timeout=60)
        return self.process.returncode, output


@pytest.fixture
def runs() -> Iterator[list[Run]]:
    started: list[Run] = []
    yield started
    for run in started:
        run.process.kill()
        run.process.communicate()


@pytest.fixture
def launch(tmp_path, runs):
    def start(*executables: tuple[str, str]) -> Run:
        runs.append(Run(tmp_path, *executables))
        return runs[-1]

    return start


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("status", [0, 3])
def test_a_required_process_ends_the_others_and_gives_its_status(launch, status):
    endless = "import time\nprint('up', flush=True)\ntime.sleep(600)"
    last = f"import sys, time; time.sleep(0.3); print('bye'); sys.exit({status})"
    code, output = launch((endless, ""), (last, 'on_exit="shutdown"')).end()
    assert code == status
    assert "[p-2] bye" in output
    assert "p-2 ended: shutting down" in output


def test_all_ended_gives_the_first_failure(launch):
    code, output = launch(("import sys; sys.exit(4)", ""), ("print('fine')", "")).end()
    assert code == 4
    assert "[p-2] fine" in output and "p-1 ended with status 4" in output


def test_output_is_prefixed_by_line_and_keeps_the_last_state_of_a_progress_bar(launch):
    _, output = launch(("print('a\\rb\\rc\\nlast', end='')", "")).end()
    lines = [line for line in output.splitlines() if line.startswith("[p-1]")]
    assert lines == ["[p-1] c", "[p-1] last"]


def test_ctrl_c_lets_processes_clean_up_and_gives_130(launch):
    tidy = (
        "import time\nprint('up', flush=True)\n"
        "try: time.sleep(600)\nexcept KeyboardInterrupt: print('tidied')"
    )
    run = launch((tidy, ""))
    run.wait_for("up")
    run.process.send_signal(signal.SIGINT)
    code, output = run.end()
    assert code == 130
    assert "[p-1] tidied" in output


def test_what_ignores_ctrl_c_is_gone_within_three_seconds_with_its_children(launch):
    run = launch((STUBBORN, ""))
    pids = [int(pid) for pid in run.wait_for(r"pids (\d+) (\d+)").groups()]
    start = time.monotonic()
    run.process.send_signal(signal.SIGINT)
    code, _ = run.end()
    assert time.monotonic() - start < 3.0
    assert code == 130
    assert not any(_alive(pid) for pid in pids)


def test_a_killed_launcher_takes_its_processes_along(launch):
    run = launch(("import os, time\nprint('pid', os.getpid(), flush=True)\ntime.sleep(600)", ""))
    pid = int(run.wait_for(r"pid (\d+)$")[1])
    os.kill(run.process.pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _alive(pid)
