"""Model files by reference: resolve ``package://``, gather an MJCF with its meshes, hash it."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from sim_bridge.errors import NotFound

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
    """The MJCF at ``path`` and all files it uses, by path relative to its folder, main first."""
    files: dict[str, bytes] = {}
    _gather(path.parent, PurePosixPath(path.name), files)
    return files


def _gather(root: Path, name: PurePosixPath, files: dict[str, bytes]) -> None:
    content = (root / name).read_bytes()
    files[str(name)] = content
    tree = ElementTree.fromstring(content)
    for include in tree.iter("include"):
        _gather(root, PurePosixPath(include.get("file", "")), files)
    folders = _asset_folders(tree)
    for element in tree.iter():
        for key in ("file", "fileup", "filedown", "fileleft", "fileright", "filefront", "fileback"):
            if element.tag in _FILE_ELEMENTS and (file := element.get(key)):
                asset = PurePosixPath(folders[_FILE_ELEMENTS[element.tag]]) / file
                files[str(asset)] = (root / asset).read_bytes()


def _asset_folders(tree: ElementTree.Element) -> dict[str, str]:
    folders = {"meshdir": "", "texturedir": ""}
    for compiler in tree.iter("compiler"):
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
