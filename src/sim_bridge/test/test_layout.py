"""The packages stay houses: few files at the door, and a word in each folder."""

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2]
PACKAGES = [SRC / name / name for name in ("sim_bridge", "policy_node", "mujoco_mirror")]
FOLDERS = sorted({file.parent for package in PACKAGES for file in package.rglob("*.py")})
MOST_FILES = 12


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_few_files_lie_at_the_top(package):
    files = sorted(path.name for path in package.glob("*.py"))
    assert 0 < len(files) <= MOST_FILES, files


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: str(path.relative_to(SRC)))
def test_each_folder_says_what_lives_there(folder):
    init = folder / "__init__.py"
    assert init.exists() and ast.get_docstring(ast.parse(init.read_text()))
