"""LeRobot ``pretrained_model`` folders, run by LeRobot itself (imports torch and lerobot)."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np

from policy_node.policies.checkpoint.format import CheckpointError
from policy_node.policy import PolicySpec
from sim_bridge.types import Observation

STATE = "observation.state"
IMAGES = "observation.images."


def lerobot_inputs(
    features: dict[str, Any], observation: Observation
) -> dict[str, np.ndarray | str]:
    """What LeRobot calls a batch, for one observation and without the batch axis.

    ``features`` is ``input_features`` of ``config.json``. The state is the array ``agent_pos``
    if the task has one, else the joint positions; the environment state is the array of that
    name; an image is the camera of that name, as float32 CHW in 0..1. CheckpointError names
    what does not fit.
    """
    inputs: dict[str, Any] = {"task": observation.instruction}
    for name, feature in features.items():
        value = _input(name, observation)
        shape = tuple(feature["shape"])
        if value.shape != shape:
            raise CheckpointError(
                f"the policy needs {name} of shape {shape}; observed: {value.shape}"
            )
        inputs[name] = value
    return inputs


def _input(name: str, observation: Observation) -> np.ndarray:
    if name == STATE:
        state = observation.arrays.get("agent_pos", observation.joint_positions)
        return np.asarray(state, np.float32)
    if name.startswith(IMAGES) or name == "observation.image":
        return _image(name, observation)
    array = name.removeprefix("observation.")
    if array not in observation.arrays:
        known = ", ".join(observation.arrays) or "none"
        raise CheckpointError(f"the policy needs {name}; observed arrays: {known}")
    return np.asarray(observation.arrays[array], np.float32)


def _image(name: str, observation: Observation) -> np.ndarray:
    camera = name.removeprefix(IMAGES)
    images = observation.images
    if camera not in images and not (name == "observation.image" and len(images) == 1):
        known = ", ".join(images) or "none"
        raise CheckpointError(f"the policy needs camera {camera!r}; observed: {known}")
    image = images.get(camera, next(iter(images.values())))
    return np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32) / 255.0


class LeRobotSource:
    """Loads the policy, and its pre- and postprocessors, with LeRobot's own factories."""

    def __init__(self, folder: Path, device: str = "auto") -> None:
        config = json.loads((folder / "config.json").read_text())
        if "type" not in config or "input_features" not in config:
            raise CheckpointError(
                f"{folder / 'config.json'} is not LeRobot's: no type, input_features"
            )
        if importlib.util.find_spec("lerobot") is None:
            raise CheckpointError(
                f"{folder} is a LeRobot {config['type']!r} policy, which needs the Python package "
                "'lerobot': pip install lerobot"
            )
        self._folder = folder
        self.features = config["input_features"]
        self._load(config["type"], device)

    def _load(self, kind: str, device: str) -> None:
        from lerobot.policies.factory import get_policy_class, make_pre_post_processors

        from policy_node.policies.checkpoint.backends import torch_device

        self.device = torch_device(device)
        self._model = get_policy_class(kind).from_pretrained(self._folder).to(self.device).eval()
        self._model.config.device = self.device
        self._before, self._after = make_pre_post_processors(
            self._model.config,
            pretrained_path=str(self._folder),
            preprocessor_overrides={"device_processor": {"device": self.device}},
        )
        images = tuple(n.removeprefix(IMAGES) for n in self.features if n.startswith(IMAGES))
        self.spec = PolicySpec(
            kind="lerobot",
            description=f"LeRobot {kind} policy from {self._folder} on {self.device}",
            horizon=int(getattr(self._model.config, "chunk_size", 1)),
            image_keys=images,
        )

    def for_client(self, client_id: str) -> LeRobotPolicy:
        return LeRobotPolicy(self)

    def close(self) -> None:
        pass

    def run(self, observation: Observation) -> np.ndarray:
        """The whole chunk ``(H, A)``, denormalised."""
        import torch

        inputs = lerobot_inputs(self.features, observation)
        tensors = {
            k: v if isinstance(v, str) else torch.from_numpy(v).to(self.device)
            for k, v in inputs.items()
        }
        with torch.inference_mode():
            chunk = self._model.predict_action_chunk(self._before(tensors))
            return np.stack([self._after(row[None])[0].cpu().numpy() for row in chunk[0]])

    def forget(self) -> None:
        self._model.reset()


class LeRobotPolicy:
    """A client's view; LeRobot's queues are not used, chunks are executed by our strategies."""

    def __init__(self, source: LeRobotSource) -> None:
        self._source = source
        self.spec = source.spec

    def infer(self, observation: Observation) -> np.ndarray:
        return self._source.run(observation)

    def reset(self, seed: int | None = None, instruction: str = "") -> None:
        self._source.forget()

    def close(self) -> None:
        pass
