"""For all tests: drawing without a display, Ctrl-C, and a summary of what ran."""

import os
import signal

# Whichever test imports MuJoCo first.
os.environ.setdefault("MUJOCO_GL", "egl")

# A shell's background job, and all that it starts, ignores Ctrl-C; the tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


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
