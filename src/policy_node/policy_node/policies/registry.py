"""Policy addresses: which implementation an address means, imported only when it is chosen.

| address                          | policy                                              |
|----------------------------------|-----------------------------------------------------|
| ``trained``                      | the checkpoint that comes with this package         |
| ``expert``                       | the task's own scripted controller                  |
| ``hold``                         | stays where it is                                   |
| ``replay:FILE[?horizon=N]``      | a recorded trajectory                               |
| ``python:MODULE:FUNCTION``       | code of one's own, see ``custom``                   |
| ``host:port``, ``scheme://...``  | a model server, see ``server_address``              |
| a path                           | a checkpoint                                        |
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from policy_node.policies.servers.address import is_server_address, parse_server_address
from policy_node.policy import PolicySource
from sim_bridge.errors import InvalidRequest, NotFound
from sim_bridge.types import SimSpec

# Each module has ``open_source(address, spec) -> PolicySource``; what ``address`` is differs:
# the text after "name:" for built-in ones, a Path for checkpoints, a ServerAddress for servers.
_BUILT_IN = {
    "expert": "builtin.expert",
    "hold": "builtin.hold",
    "replay": "builtin.replay",
    "python": "builtin.custom",
}
_CHECKPOINT = "checkpoint.source"
_PACKAGE = "policy_node.policies"
_CHECKPOINT_SUFFIXES = (".pt", ".pt2", ".pth", ".onnx", ".safetensors", ".ckpt")
_TRAINED = "checkpoints/so101_pick_place"
VALID_FORMS = (
    "trained",
    "expert",
    "hold",
    "replay:FILE",
    "python:MODULE:FUNCTION",
    "host:port",
    "ws:// zmq:// http:// grpc:// ilstudio:// (model servers)",
    "the path of a checkpoint",
)


def check_address(address: str) -> None:
    """Raise what can be known without a simulator: NotFound for an unknown name or a missing
    file, InvalidRequest for a malformed address or a damaged trajectory."""
    module, target = _resolve(address)
    if module == _BUILT_IN["replay"]:
        _import(module, address).load_replay(target)


def open_policy(address: str, spec: SimSpec) -> PolicySource:
    """Load the policy that ``address`` means for the task that ``spec`` describes.

    Raises NotFound for an unknown address, a missing file or a missing Python module, and what
    the policy itself finds wrong with the task.
    """
    module, target = _resolve(address)
    return _import(module, address).open_source(target, spec)


def check_request(address: str) -> None:
    """InvalidRequest for what only who starts the node may choose: code to run."""
    if address.startswith("python:"):
        raise InvalidRequest(
            f"policy {address!r} cannot be asked for; start the policy node with it instead"
        )


def _resolve(address: str) -> tuple[str, Any]:
    """Module name and what to hand to it."""
    if address == "trained":
        return _CHECKPOINT, _trained_checkpoint()
    name, _, rest = address.partition(":")
    if name in _BUILT_IN:
        return _BUILT_IN[name], rest
    if is_server_address(address):
        server = parse_server_address(address)
        return f"servers.{server.kind}", server
    path = Path(address).expanduser()
    if path.exists() and address:
        return _CHECKPOINT, path
    if "/" in address or path.suffix in _CHECKPOINT_SUFFIXES:
        raise NotFound(f"no checkpoint {address!r}: there is no such file or folder")
    raise NotFound(f"unknown policy {address!r}; valid: {', '.join(VALID_FORMS)}")


def _trained_checkpoint() -> Path:
    """In the source tree, or where the package is installed."""
    source = Path(__file__).resolve().parents[2] / _TRAINED
    if source.is_dir():
        return source
    from ament_index_python.packages import get_package_share_path

    return get_package_share_path("policy_node") / _TRAINED


def _import(module: str, address: str) -> Any:
    try:
        return importlib.import_module(f"{_PACKAGE}.{module}")
    except ModuleNotFoundError as error:
        raise NotFound(f"policy {address!r} needs the Python module {error.name!r}") from error
