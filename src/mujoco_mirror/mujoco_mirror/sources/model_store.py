"""Finds the model that a simulator refers to: installed here, seen before, or sent by it."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from sim_bridge.errors import InvalidRequest, NotFound, OperationFailed
from sim_bridge.files.model_files import mjcf_files, resolve_uri, sha256_of
from sim_bridge.types import ModelReference

_log = logging.getLogger(__name__)
_MAIN = "main_file"

Fetch = Callable[[], dict[str, bytes]]


def default_cache() -> Path:
    """``$XDG_CACHE_HOME/twinstep/models``."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "twinstep" / "models"


class ModelStore:
    """Models by the hash of their files, below ``root``."""

    def __init__(self, root: Path | None = None) -> None:
        self._root = root or default_cache()

    def find(self, sha256: str) -> Path | None:
        """Main file of a stored model."""
        marker = self._root / sha256 / _MAIN
        if not sha256 or not marker.is_file():
            return None
        return marker.parent / "files" / marker.read_text()

    def put(self, files: dict[str, bytes], sha256: str = "") -> Path:
        """Store a model, the main file first, and return its main file.

        OperationFailed when the content does not have the expected hash, InvalidRequest for a
        path that would leave the folder.
        """
        if not files:
            raise OperationFailed("the simulator handed out a model without files")
        found = sha256_of(files)
        if sha256 and found != sha256:
            raise OperationFailed(f"the model's files have hash {found}, expected {sha256}")
        for name in files:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or not path.parts:
                raise InvalidRequest(f"model file {name!r}: not a path inside the model")
        return self.find(found) or self._write(files, found)

    def _write(self, files: dict[str, bytes], sha256: str) -> Path:
        """All or nothing: a folder is renamed into place once it is complete."""
        self._root.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(dir=self._root))
        for name, content in files.items():
            target = staged / "files" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        main = next(iter(files))
        (staged / _MAIN).write_text(main)
        try:
            staged.rename(self._root / sha256)
        except OSError:  # another mirror was faster
            _log.debug("model %s was stored meanwhile", sha256)
        return self._root / sha256 / "files" / main


def find_model(reference: ModelReference, store: ModelStore, fetch: Fetch) -> Path:
    """Path of the main file of exactly the model that ``reference`` names.

    A file of the same name but other content is not taken. ``fetch`` gets the files from the
    simulator. Raises NotFound when the simulator has no model, OperationFailed for bad content.
    """
    if not reference.format and not reference.uri:
        raise NotFound("the simulator refers to no model; set the parameter model")
    try:
        local = resolve_uri(reference.uri) if reference.uri else None
    except NotFound as error:
        _log.info("%s: asking the simulator for the model", error)
        local = None
    if local is not None:
        if not reference.sha256 or sha256_of(mjcf_files(local)) == reference.sha256:
            return local
        _log.warning("%s is not the simulator's version of the model: asking it for its own", local)
    return store.find(reference.sha256) or store.put(fetch(), reference.sha256)
