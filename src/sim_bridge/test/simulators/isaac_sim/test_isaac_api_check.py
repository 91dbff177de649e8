"""The check of our Isaac calls against published wheels finds what exists and what does not."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

TOOL = Path(__file__).parents[5] / "tools" / "check_isaac_api.py"
EXT = "isaacsim/exts/isaacsim.core.prims_ext"
WHEEL = {
    f"{EXT}/isaacsim/core/prims/__init__.py": "from .impl import *\n",
    f"{EXT}/isaacsim/core/prims/impl/__init__.py": "from .arm import Arm as Arm\n",
    f"{EXT}/isaacsim/core/prims/impl/arm.py": '''
class Base:
    def get_poses(self, *, indices: list | None = None) -> "Base": ...

class Arm(Base):
    def __init__(self, path: str, *, scale: float = 1.0) -> None:
        self.ready = True
    @property
    def camera(self) -> Base: ...
    def set_targets(self, values, *, dof_indices=None) -> None: ...
''',
    f"{EXT}/isaacsim/core/manager.py": '''
class Manager:
    @classmethod
    def step(cls, *, steps: int = 1) -> None: ...
''',
    "isaacsim/extsDeprecated/isaacsim.core.old/isaacsim/core/old/__init__.py": "class Old: ...\n",
    "isaaclab/cfg.py": '''
@configclass
class Cfg:
    width: int = 1
    height: int = 2
''',
}  # fmt: skip


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheels")
    with zipfile.ZipFile(folder / "isaacsim_core-6.2.0.0-py3-none-any.whl", "w") as archive:
        for path, text in WHEEL.items():
            archive.writestr(path, text)
    return folder


def run(wheels, tmp_path, text):
    source = tmp_path / "ours.py"
    source.write_text(text)
    command = [sys.executable, TOOL, "--offline", "--wheels", wheels, source]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_what_exists_passes(wheels, tmp_path):
    done = run(wheels, tmp_path, '''
from isaacsim.core.prims import Arm
from isaacsim.core.manager import Manager
from isaaclab.cfg import Cfg

class World:
    def __init__(self) -> None:
        self._arms = {name: Arm(name, scale=2.0) for name in "ab"}
        self._manager = Manager
        Cfg(width=3)

    def go(self, name):
        arm = self._arms[name]
        arm.set_targets([1.0], dof_indices=[0])
        arm.camera.get_poses(indices=[0])
        self._manager.step(steps=2)
''')  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "isaacsim-core 6.2.0.0" in done.stdout
    for line in (
        "ok  isaacsim.core.prims.impl.arm.Arm.set_targets(_, dof_indices=)",
        "ok  isaacsim.core.prims.impl.arm.Base.get_poses(indices=)",
        "ok  isaacsim.core.manager.Manager.step(steps=)",
    ):
        assert line in done.stdout
    assert done.stdout.rstrip().endswith("symbols, 0 unknown")


ARM = "from isaacsim.core.prims import Arm\n"
MANAGER = "from isaacsim.core.manager import Manager\n"
LOOP = "def go(arms: dict[str, Arm]):\n    for arm in arms.values():\n        arm.fly()\n"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("from isaacsim.core.prims import Leg\n", "isaacsim.core.prims.Leg"),
        ("import isaacsim.core.legs as legs\n", "isaacsim.core.legs"),
        (ARM + "Arm('a').fly()\n", "Arm.fly"),
        (ARM + "Arm('a').set_targets([1], joints=[0])\n", "no parameter 'joints'"),
        (ARM + "Arm('a').set_targets()\n", "parameter 'values' is missing"),
        (ARM + "Arm('a').camera.zoom()\n", "Base.zoom"),
        (ARM + "Arm('a', 2.0)\n", "2 positional arguments"),
        (ARM + LOOP, "Arm.fly"),
        (MANAGER + "Manager.step(2)\n", "1 positional arguments"),
        ("from isaaclab.cfg import Cfg\nCfg(depth=1)\n", "Cfg(depth=)"),
        ("from isaacsim.core.old import Old\n", "deprecated"),
    ],
)
def test_an_invented_or_deprecated_name_fails(wheels, tmp_path, text, named):
    done = run(wheels, tmp_path, text)
    assert done.returncode == 1, done.stdout + done.stderr
    unknown = [line for line in done.stdout.splitlines() if line.startswith("UNKNOWN")]
    assert any(named in line for line in unknown), done.stdout


def test_a_file_without_isaac_is_no_pass(wheels, tmp_path):
    assert run(wheels, tmp_path, "print()\n").returncode == 1
