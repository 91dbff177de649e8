"""The examples of the how-to pages, as packages outside of the workspace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

HOW_TO = Path(__file__).resolve().parents[2] / "docs/how-to"
TASK = """
import numpy as np
from sim_bridge.simulators.registry import open_simulator
from sim_bridge.types import Observation
spec = open_simulator("synthetic", "any").spec
joints = tuple(joint.name for joint in spec.joints)
zeros = np.zeros(len(joints))
seen = Observation(0.0, 1, 0, joints, zeros, zeros, {}, {}, "")
"""


def install(page: str, module: str, folder: Path) -> None:
    """The page's Python block as ``module``, and the metadata that its TOML block asks for."""
    text = (HOW_TO / page).read_text()
    code, settings = (text.split(f"```{kind}\n")[1].split("```")[0] for kind in ("python", "toml"))
    (folder / f"{module}.py").write_text(code)
    metadata = folder / f"{module}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    entries = settings.replace('project.entry-points."', "").replace('"]', "]").replace('"', "")
    (metadata / "entry_points.txt").write_text(entries)


def run(code: str, folder: Path) -> str:
    paths = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", TASK + code],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("name", ["first_half", "python:halves:make"])
@pytest.mark.parametrize("options, executed", [("", 4), ('{"least": 6}', 6)])
def test_a_strategy(name, options, executed, tmp_path):
    install("add-a-chunk-strategy.md", "halves", tmp_path)
    code = f"""
from policy_node.execution.settings import ExecutionSettings, make_strategy
class Zeros:
    def infer(self, observation): return np.zeros((8, 2))
    def reset(self, seed=None, instruction=""): pass
strategy = make_strategy(ExecutionSettings({name!r}, {options!r}), Zeros())
strategy.reset()
print(len(strategy.next_actions(seen)))
"""
    assert run(code, tmp_path) == str(executed)


def test_a_policy_server(tmp_path):
    install("add-a-policy-server.md", "json_policy", tmp_path)
    requests = []

    class Server(BaseHTTPRequestHandler):
        def do_POST(self):
            requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            body = json.dumps([[0.5] * len(requests[-1]["joints"])] * 3).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        code = f"""
from policy_node.policies.registry import open_policy
source = open_policy("json://127.0.0.1:{server.server_port}", spec)
print(source.for_client("me").infer(seen).tolist())
"""
        chunk = json.loads(run(code, tmp_path))
        server.shutdown()
    assert len(chunk) == 3 and set(chunk[0]) == {0.5}
    assert len(requests[0]["joints"]) == len(chunk[0])
