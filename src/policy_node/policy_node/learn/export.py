"""Turn trained weights into a checkpoint folder that runs without torch (needs torch).

ros2 run policy_node export_policy --run run/ --output checkpoints/so101_pick_place
"""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

try:
    import torch
except ModuleNotFoundError:
    from policy_node.learn import NEEDS_TORCH

    raise SystemExit(NEEDS_TORCH) from None

from policy_node.learn.so101 import SPEC
from policy_node.learn.train import HISTORY_FILE, WEIGHTS_FILE
from policy_node.policies.checkpoint.format import STATISTICS_FILE
from policy_node.policies.checkpoint.network import ChunkTransformer, ModelSettings

MODEL_FILES = {
    "onnx": "policy.onnx",
    "torchscript": "policy.pt",
    "export": "policy.pt2",
    "safetensors": "policy.safetensors",
}
INPUTS = ("states", "given", "frozen")
_OPSET = 17


def load_network(run: Path) -> ChunkTransformer:
    """The trained network of ``train_policy --output run``, ready for inference."""
    settings = ModelSettings(**json.loads((run / HISTORY_FILE).read_text())["network"])
    network = ChunkTransformer(settings)
    network.load_state_dict(torch.load(run / WEIGHTS_FILE, weights_only=True))
    return network.eval()


def export(run: Path, output: Path, kind: str = "onnx") -> None:
    """Write a checkpoint of ``kind`` (a key of ``MODEL_FILES``) to the folder ``output``."""
    network = load_network(run)
    output.mkdir(parents=True, exist_ok=True)
    path = output / MODEL_FILES[kind]
    _WRITERS[kind](network, path)
    spec = replace(SPEC, model=path.name, network=network.settings.to_dict())
    spec.save(output)
    shutil.copy(run / STATISTICS_FILE, output / STATISTICS_FILE)


def _onnx(network: ChunkTransformer, path: Path) -> None:
    torch.onnx.export(
        network,
        _example(network, 2),
        str(path),
        input_names=list(INPUTS),
        output_names=["actions"],
        dynamic_axes={name: {0: "batch"} for name in (*INPUTS, "actions")},
        opset_version=_OPSET,
        dynamo=False,
    )
    _check_onnx(network, path)


def _check_onnx(network: ChunkTransformer, path: Path) -> None:
    """The exported graph must give what the network gives, for another batch size too."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    example = _example(network, 7)
    with torch.no_grad():
        expected = network(*example).numpy()
    feed = {name: value.numpy() for name, value in zip(INPUTS, example, strict=True)}
    (actual,) = session.run(None, feed)
    np.testing.assert_allclose(actual, expected, atol=1e-4)


def _torchscript(network: ChunkTransformer, path: Path) -> None:
    torch.jit.trace(network, _example(network, 2)).save(str(path))


def _export(network: ChunkTransformer, path: Path) -> None:
    batch = torch.export.Dim("batch", min=1, max=1024)
    shapes = tuple({0: batch} for _ in INPUTS)
    program = torch.export.export(network, _example(network, 2), dynamic_shapes=shapes)
    torch.export.save(program, path)


def _safetensors(network: ChunkTransformer, path: Path) -> None:
    from safetensors.torch import save_file

    save_file(network.state_dict(), path)


_WRITERS = {
    "onnx": _onnx,
    "torchscript": _torchscript,
    "export": _export,
    "safetensors": _safetensors,
}


def _example(network: ChunkTransformer, batch: int) -> tuple[torch.Tensor, ...]:
    s = network.settings
    generator = torch.Generator().manual_seed(0)
    frozen = (torch.arange(s.horizon) < 3).float().expand(batch, -1).contiguous()
    return (
        torch.randn(batch, s.state_size, generator=generator),
        torch.randn(batch, s.horizon, s.action_size, generator=generator),
        frozen,
    )


def main(args: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="export_policy", description=__doc__.split("\n\n")[0])
    parser.add_argument("--run", type=Path, required=True, help="output folder of train_policy")
    parser.add_argument("--output", type=Path, required=True, help="checkpoint folder")
    parser.add_argument("--kind", choices=MODEL_FILES, default="onnx")
    chosen = parser.parse_args(args)
    export(chosen.run, chosen.output, chosen.kind)
    size = (chosen.output / MODEL_FILES[chosen.kind]).stat().st_size
    print(f"{chosen.output}: {MODEL_FILES[chosen.kind]}, {size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
