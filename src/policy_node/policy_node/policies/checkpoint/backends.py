"""Networks of chunk policies in the formats that people keep them in.

| model file           | what runs it                                          |
|----------------------|-------------------------------------------------------|
| ``*.onnx``           | ONNX Runtime                                          |
| ``*.pt``, ``*.ts``   | torch (TorchScript)                                   |
| ``*.pt2``            | torch (``torch.export``)                              |
| ``*.safetensors``    | torch, weights of ``network``                           |

All take normalised ``states (B, S)``, ``given (B, H, A)`` and ``frozen (B, H)``, float32, and
give normalised actions ``(B, H, A)``; see ``network``. torch is imported only
for a file that needs it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from policy_node.policies.checkpoint.format import CheckpointError, ChunkPolicySpec

log = logging.getLogger(__name__)

Network = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
INPUTS = ("states", "given", "frozen")


def load_network(folder: Path, spec: ChunkPolicySpec, device: str = "auto") -> tuple[Network, str]:
    """The network of a checkpoint and the device it runs on (``cpu``, ``cuda`` or ``cuda:N``).

    A device that is not there is replaced by the CPU with a warning. CheckpointError when the
    file, its reader or its kind is missing or unknown.
    """
    path = folder / spec.model
    if not path.is_file():
        raise CheckpointError(f"{folder / 'spec.json'} names {spec.model!r}, which is not there")
    try:
        load = _LOADERS[path.suffix]
    except KeyError:
        valid = ", ".join(_LOADERS)
        raise CheckpointError(f"unknown kind of model file {path.name!r}; valid: {valid}") from None
    try:
        return load(path, spec, device)
    except ModuleNotFoundError as error:
        raise CheckpointError(
            f"{path.name} needs the Python module {error.name!r}, which is not installed: "
            f"pip install {error.name}"
        ) from None


def torch_device(wanted: str) -> str:
    """``wanted`` if torch has it, else ``cpu`` with a warning; ``auto`` takes a GPU if any."""
    import torch

    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return _checked_device(wanted, count)


def _checked_device(wanted: str, gpus: int) -> str:
    name, _, index = wanted.partition(":")
    if name not in ("cpu", "cuda") or (index and not index.isdigit()):
        raise CheckpointError(f"unknown device {wanted!r}; valid: auto, cpu, cuda, cuda:N")
    if name == "cuda" and int(index or 0) >= gpus:
        log.warning("device %s is not available (%d GPU found); using the CPU", wanted, gpus)
        return "cpu"
    return wanted


def _onnx(path: Path, spec: ChunkPolicySpec, device: str) -> tuple[Network, str]:
    import onnxruntime

    available = onnxruntime.get_available_providers()
    gpus = 1 if "CUDAExecutionProvider" in available else 0
    device = ("cuda" if gpus else "cpu") if device == "auto" else _checked_device(device, gpus)
    options = onnxruntime.SessionOptions()
    # The network is small: handing parts of it to other threads costs more than it saves.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    providers: list[Any] = ["CPUExecutionProvider"]
    if device != "cpu":
        gpu = {"device_id": device.partition(":")[2] or "0"}
        providers.insert(0, ("CUDAExecutionProvider", gpu))
    session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    names = tuple(i.name for i in session.get_inputs())
    if names != INPUTS:
        raise CheckpointError(f"{path.name} has inputs {names}; valid: {INPUTS}")

    def run(*inputs: np.ndarray) -> np.ndarray:
        return session.run(None, dict(zip(INPUTS, inputs, strict=True)))[0]

    return run, device


def _torchscript(path: Path, spec: ChunkPolicySpec, device: str) -> tuple[Network, str]:
    import torch

    device = torch_device(device)
    return _torch_network(torch.jit.load(str(path), map_location=device).eval(), device), device


def _exported(path: Path, spec: ChunkPolicySpec, device: str) -> tuple[Network, str]:
    import torch

    device = torch_device(device)
    if device != "cpu":
        log.warning("%s was exported for the CPU and stays there", path.name)
        device = "cpu"
    return _torch_network(torch.export.load(path).module(), device), device


def _safetensors(path: Path, spec: ChunkPolicySpec, device: str) -> tuple[Network, str]:
    import safetensors.torch

    from policy_node.policies.checkpoint.network import ChunkTransformer, ModelSettings

    device = torch_device(device)
    try:
        network = ChunkTransformer(ModelSettings(**spec.network))
        network.load_state_dict(safetensors.torch.load_file(path))
    except (TypeError, RuntimeError) as error:
        raise CheckpointError(
            f"{path.name} does not fit the network of the spec: {error}"
        ) from None
    return _torch_network(network.to(device).eval(), device), device


def _torch_network(module: Any, device: str) -> Network:
    import torch

    def run(*inputs: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return module(*(torch.from_numpy(i).to(device) for i in inputs)).cpu().numpy()

    return run


_LOADERS = {
    ".onnx": _onnx,
    ".pt": _torchscript,
    ".ts": _torchscript,
    ".pt2": _exported,
    ".safetensors": _safetensors,
}
