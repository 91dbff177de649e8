"""Children that listen, that do not, and that say odd things."""

import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from sim_bridge.processes import supervise
from sim_bridge.processes.testing import wait_until

pytestmark = pytest.mark.process

FAST = supervise.Patience(0.3, 0.3)
ENDLESS = "import time\nprint('up', flush=True)\ntime.sleep(600)"
STUBBORN = f"""
import os, signal
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
print(os.getpid(), os.fork(), flush=True)
{ENDLESS}
"""


def python(code, **options):
    return supervise.start([sys.executable, "-c", code], **options)


def _says_up(log):
    return "up" in log.read_text()


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_one_that_listens_ends_at_the_first_word_and_a_stubborn_group_at_the_last(tmp_path):
    log = tmp_path / "log"
    listening, stubborn = python(ENDLESS, output=tmp_path / "l"), python(STUBBORN, output=log)
    for name in ("l", "log"):
        wait_until(partial(_says_up, tmp_path / name), 20.0, "both to run")
    pids = [int(pid) for pid in log.read_text().split() if pid not in ("0", "up")]
    start = time.monotonic()
    supervise.end([listening, stubborn], FAST)
    assert time.monotonic() - start >= FAST.interrupt_s + FAST.terminate_s
    assert listening.returncode == -signal.SIGINT and stubborn.returncode == -signal.SIGKILL
    assert len(pids) > 1
    wait_until(lambda: not any(alive(pid) for pid in pids), 5.0, "the end of the whole group")


def test_one_that_was_asked_otherwise_gets_no_interrupt(tmp_path):
    code = "import sys\nsys.stdin.read()\nsys.exit(7)"
    child = python(code, stdin=supervise.PIPE)
    child.stdin.close()
    supervise.end([child], asked=True)
    assert child.returncode == 7


def test_the_first_to_end_is_told_and_a_stop_too():
    endless, short = python(ENDLESS, output=supervise.PIPE), python("raise SystemExit(3)")
    try:
        assert supervise.first_to_end([endless, short], lambda: False) is short
        assert short.returncode == 3
        assert supervise.first_to_end([endless], lambda: True) is None
    finally:
        supervise.end([endless], FAST)


def test_a_tied_child_ends_with_its_parent_although_that_ignores_ctrl_c(tmp_path):
    code = f"""
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
from sim_bridge.processes import supervise
code = "import signal; print(signal.getsignal(signal.SIGINT)); " + {ENDLESS!r}
child = supervise.start([sys.executable, "-c", code])
print(child.pid, flush=True)
child.wait()
"""
    log = tmp_path / "log"
    parent = python(code, output=log)
    wait_until(lambda: "up" in log.read_text(), 20.0, "the child to run")
    (pid,) = (int(word) for word in log.read_text().split() if word.isdigit())
    assert "default_int_handler" in log.read_text()
    os.kill(parent.pid, signal.SIGKILL)
    wait_until(lambda: not alive(pid), 5.0, "the end of the child")
    parent.wait()


@pytest.mark.parametrize(
    ("rewritten", "expected"),
    [(False, ["b", "é", "", "tail"]), (True, ["b\r", "b", "é", "", "tail"])],
)
def test_lines_of_a_progress_bar(rewritten, expected):
    read, write = os.pipe()
    with os.fdopen(read, "rb") as stream:
        told = supervise.lines(stream, rewritten)
        os.write(write, b"a\rb\r")
        first = next(told) if rewritten else None
        os.write(write, "\nx\ré\n\ntail".encode())
        os.close(write)
        assert [*filter(None, [first]), *told] == expected


def test_statuses_are_those_of_a_shell():
    assert [supervise.exit_status(code) for code in (0, 3, -9)] == [0, 3, 137]
    told = [supervise.describe_status(code) for code in (3, -9, 137, 255)]
    assert told == ["status 3", "SIGKILL", "SIGKILL", "status 255"]
