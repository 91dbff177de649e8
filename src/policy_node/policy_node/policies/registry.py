"""Policy addresses: which implementation an address means, imported only when it is chosen.

``forms()`` lists them: names, model servers (``servers/address.py``), checkpoints.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policy_node.policies.servers.address import SCHEMES, is_server_address, parse_server_address
from policy_node.policy import OpenPolicy, PolicySource
from sim_bridge.errors import InvalidRequest, NotFound, suggestion
from sim_bridge.settings import plugins
from sim_bridge.types import SimSpec


@dataclass(frozen=True)
class Named:
    """A policy by name; ``form`` is the whole address, ``opens`` an ``OpenPolicy``."""

    form: str
    meaning: str
    opens: str


NAMED = {
    "trained": Named(
        "trained",
        "the checkpoint that comes with this package",
        "policy_node.policies.checkpoint.source:open_trained",
    ),
    "expert": Named(
        "expert",
        "the task's own scripted controller",
        "policy_node.policies.builtin.expert:open_source",
    ),
    "hold": Named("hold", "stays where it is", "policy_node.policies.builtin.hold:open_source"),
    "replay": Named(
        "replay:FILE",
        "a recorded trajectory; `?horizon=N` is the length of its chunks",
        "policy_node.policies.builtin.replay:open_source",
    ),
    "python": Named(
        plugins.PYTHON_FORM,
        "your own code: `FUNCTION(spec)` returns a `PolicySource`",
        "policy_node.policies.builtin.custom:open_source",
    ),
}
DEFAULT_POLICY = "trained"
_CHECKPOINT = "policy_node.policies.checkpoint.source:open_source"
_CHECKPOINT_SUFFIXES = (".pt", ".pt2", ".pth", ".onnx", ".safetensors", ".ckpt")
VALID_FORMS = (
    *(named.form for named in NAMED.values()),
    "host:port",
    f"{' '.join(f'{scheme}://' for scheme in SCHEMES)} (model servers)",
    "the path of a checkpoint",
)


def forms() -> list[tuple[str, str]]:
    """Each form of an address, and what it means, for people."""
    servers = ((f"{name}://host:{s.default_port}", s.meaning) for name, s in SCHEMES.items())
    return [
        *((named.form, named.meaning) for named in NAMED.values()),
        *servers,
        ("host:port", "a model server that speaks the protocol of `ws://`"),
        ("a path", "a checkpoint: a file or a folder"),
    ]


def check_address(address: str) -> None:
    """Raise what can be known without a simulator: NotFound for an unknown name or a missing
    file, InvalidRequest for a malformed address or a damaged trajectory."""
    opens, target = _resolve(address)
    if opens == NAMED["replay"].opens:
        from policy_node.policies.builtin.replay import load_replay

        load_replay(target)


def open_policy(address: str, spec: SimSpec) -> PolicySource:
    """Load the policy that ``address`` means for the task that ``spec`` describes.

    Raises NotFound for an unknown address, a missing file or a missing Python module, and what
    the policy itself finds wrong with the task.
    """
    opens, target = _resolve(address)
    open_source: OpenPolicy = plugins.import_function(opens, f"policy {address!r}")
    return open_source(target, spec)


def check_request(address: str) -> None:
    """InvalidRequest for code to run: only whoever starts the node may choose it."""
    if address.startswith(plugins.PYTHON):
        raise InvalidRequest(
            f"policy {address!r} cannot be requested; start the policy node with it instead"
        )


def _resolve(address: str) -> tuple[str, Any]:
    """The ``OpenPolicy`` as ``MODULE:FUNCTION``, and its target."""
    name, _, rest = address.partition(":")
    if name in NAMED:
        if rest and ":" not in NAMED[name].form:
            raise InvalidRequest(f"policy {name!r} takes no argument, got {rest!r}")
        return NAMED[name].opens, rest
    server = parse_server_address(address) if is_server_address(address) else None
    if server and server.scheme in SCHEMES:
        return SCHEMES[server.scheme].opens, server
    if name in plugins.names(plugins.POLICIES):
        return plugins.entry_point(plugins.POLICIES, name), server or rest
    path = Path(address).expanduser()
    if path.exists() and address:
        return _CHECKPOINT, path
    if "/" in address or path.suffix in _CHECKPOINT_SUFFIXES:
        raise NotFound(f"no checkpoint {address!r}: there is no such file or folder")
    installed = plugins.names(plugins.POLICIES)
    near = suggestion(name, (*NAMED, *installed))
    forms = ", ".join((*VALID_FORMS, *installed))
    raise NotFound(f"unknown policy {address!r}; valid: {forms}{near}")
