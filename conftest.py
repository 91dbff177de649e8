"""For all tests: drawing without a display, Ctrl-C, who may start processes, what ran."""

import os
import signal
import sys
from types import FrameType

import pytest

# Whichever test imports MuJoCo first.
os.environ.setdefault("MUJOCO_GL", "egl")

# A shell's background job, and all that it starts, ignores Ctrl-C; the tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_STARTS = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"}
_STARTING_FIXTURES = {"bridge", "replay_on"}
_running: list[pytest.Item] = []
_started: list[object] = []


def _on_audit(event: str, arguments: tuple[object, ...]) -> None:
    if event not in _STARTS or not _running or _running[0].get_closest_marker("process"):
        return
    if not _looks_for_libraries():
        _started.append(arguments[1] if event == "subprocess.Popen" else event)


def _looks_for_libraries() -> bool:
    """As some packages do when they are imported; ctypes, and platform for the processor, too."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith("<frozen importlib") or file.endswith(
            ("ctypes/util.py", "/platform.py")
        ):
            return True
        frame = frame.f_back
    return False


sys.addaudithook(_on_audit)


def pytest_collection_modifyitems(items):
    for item in items:
        if _STARTING_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.process)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    _running[:], _started[:] = [item], []
    try:
        return (yield)
    finally:
        _running.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    return _without_children((yield))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    return _without_children((yield))


def _without_children(result):
    """`make test-fast` leaves out what starts processes: a test that does has to say so."""
    if _started:
        pytest.fail(f"starts {_started[0]}; mark it with pytest.mark.process", pytrace=False)
    return result


def pytest_terminal_summary(terminalreporter):
    """Which simulators the conformance suite ran on; from reports, which workers send as well."""
    ran = _conformance_cases(terminalreporter.getreports("passed"))
    skipped = {
        f"{name} ({reason})"
        for name, reason in _conformance_cases(terminalreporter.getreports("skipped")).items()
        if "no Python module" in reason
    }
    if ran:
        terminalreporter.write_line(
            f"conformance: {', '.join(ran)}"
            + (f"; skipped: {', '.join(sorted(skipped))}" if skipped else "")
        )


def _conformance_cases(reports):
    """Reason to skip (empty when it passed) by simulator."""
    return {
        report.nodeid.rpartition("[")[2].rstrip("]"): str(report.longrepr[2]).removeprefix(
            "Skipped: "
        )
        if report.longrepr
        else ""
        for report in reports
        if "TestConformance" in report.nodeid
    }
