"""Model files by reference: resolve ``package://``, gather an MJCF with its meshes, hash it."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from sim_bridge.errors import NotFound

_FILE_KEYS = (
    "file", "fileup", "filedown", "fileleft", "fileright", "filefront", "fileback",
)  # fmt: skip
_FILE_ELEMENTS = {
    "mesh": "meshdir",
    "texture": "texturedir",
    "hfield": "meshdir",
    "skin": "meshdir",
}


def resolve_uri(uri: str) -> Path:
    """Path of a ``package://PACKAGE/PATH`` or ``file://PATH`` reference.

    A Python package is found without importing it, then a ROS package's share folder is tried.
    Raises NotFound.
    """
    scheme, separator, rest = uri.partition("://")
    if scheme == "file":
        return _existing(Path(rest), uri)
    if not separator or scheme != "package":
        raise NotFound(f"model reference {uri!r}; valid: package://PACKAGE/PATH, file://PATH")
    package, _, path = rest.partition("/")
    return _existing(_package_folder(package) / path, uri)


def _existing(path: Path, uri: str) -> Path:
    if not path.is_file():
        raise NotFound(f"model {uri!r}: no file {path}")
    return path


def _package_folder(package: str) -> Path:
    found = importlib.util.find_spec(package) if package.isidentifier() else None
    if found is not None and found.submodule_search_locations:
        return Path(found.submodule_search_locations[0])
    try:
        from ament_index_python.packages import get_package_share_directory

        return Path(get_package_share_directory(package))
    except (ImportError, LookupError, ValueError):
        raise NotFound(f"no Python or ROS package {package!r} on this machine") from None


def mjcf_files(path: Path) -> dict[str, bytes]:
    """The MJCF at ``path`` and all files it uses, main first, by path relative to its folder.

    Where it uses files beside its folder (``meshdir="../meshes"``), paths are relative to the
    folder that holds them all, so that none leads out of it.
    """
    root = path.parent
    trees: dict[str, ElementTree.Element] = {}
    _read_trees(root, path.name, trees)
    names = list(dict.fromkeys([*trees, *_assets(list(trees.values()))]))
    up = max(map(_levels_up, names))
    here = root.resolve().parts[-up:] if up else ()
    return {os.path.normpath(os.path.join(*here, n)): (root / n).read_bytes() for n in names}


def _levels_up(name: str) -> int:
    """How far above its folder a relative path leads; 0 for one that stays inside."""
    return os.path.normpath(name).split(os.sep).count(os.pardir)


def _read_trees(root: Path, name: str, trees: dict[str, ElementTree.Element]) -> None:
    if name in trees:
        return
    trees[name] = tree = ElementTree.fromstring((root / name).read_bytes())
    for include in tree.iter("include"):
        _read_trees(root, include.get("file", ""), trees)


def _assets(trees: list[ElementTree.Element]) -> Iterator[str]:
    folders = _asset_folders(trees)
    for tree in trees:
        for element in tree.iter():
            for key in _FILE_KEYS if element.tag in _FILE_ELEMENTS else ():
                if file := element.get(key):
                    yield os.path.join(folders[_FILE_ELEMENTS[element.tag]], file)


def _asset_folders(trees: list[ElementTree.Element]) -> dict[str, str]:
    """The compiler's folders hold for the whole model, whichever file sets them."""
    folders = {"meshdir": "", "texturedir": ""}
    for compiler in (element for tree in trees for element in tree.iter("compiler")):
        asset_folder = compiler.get("assetdir", "")
        for key in folders:
            folders[key] = compiler.get(key, asset_folder) or folders[key]
    return folders


def sha256_of(files: dict[str, bytes]) -> str:
    """Digest over names and contents, independent of the order of ``files``."""
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\0{len(files[name])}\0".encode())
        digest.update(files[name])
    return digest.hexdigest()
