"""Python sources out of wheels, by module name."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

# The recommended API is in exts; what NVIDIA has deprecated is in extsDeprecated.
_EXTENSION = re.compile(r"^isaacsim/(exts|extsDeprecated|extscache)/[^/]+/(?:pip_prebundle/)?(.+)$")
TOP_LEVEL = ("isaacsim", "isaaclab", "omni", "mujoco_usd_converter", "ovphysx")


@dataclass
class Sources:
    """Texts by module; a stub (``.pyi``) stands beside the module it describes."""

    modules: dict[str, list[str]] = field(default_factory=dict)
    deprecated: set[str] = field(default_factory=set)
    packages: set[str] = field(default_factory=set)
    versions: dict[str, str] = field(default_factory=dict)

    def add(self, path: str, text: str) -> None:
        """One source file by its path inside a wheel."""
        match = _EXTENSION.match(path)
        inner = PurePosixPath(match[2] if match else path)
        if inner.parts[0].split("_")[0] not in TOP_LEVEL and inner.parts[0] not in TOP_LEVEL:
            return
        parts = list(inner.with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
            self.packages.add(".".join(parts))
        name = ".".join(parts)
        texts = self.modules.setdefault(name, [])
        texts.insert(0, text) if path.endswith(".pyi") else texts.append(text)
        if match and match[1] == "extsDeprecated":
            self.deprecated.add(name)


def download(requirements: list[str], folder: Path) -> None:
    """The published wheels, without dependencies, for Python 3.12 on x86-64 Linux."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder]
    command += ["--python-version", "3.12", "--only-binary=:all:", "--disable-pip-version-check"]
    for platform in ("manylinux_2_35_x86_64", "manylinux_2_34_x86_64", "any"):
        command += ["--platform", platform]
    subprocess.run([str(part) for part in [*command, *requirements]], check=True)


def read_wheels(wheels: list[Path]) -> Sources:
    """All ``.py`` and ``.pyi`` of the wheels, tests aside."""
    sources = Sources()
    for wheel in wheels:
        name, version = wheel.name.split("-")[:2]
        sources.versions[name.replace("_", "-")] = version
        with zipfile.ZipFile(wheel) as archive:
            for path in archive.namelist():
                if path.endswith((".py", ".pyi")) and "/tests/" not in path:
                    sources.add(path, archive.read(path).decode("utf-8", "replace"))
    return sources
