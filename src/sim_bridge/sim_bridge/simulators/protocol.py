"""The contract between the bridge and a simulator: how it is made, and what it does.

``conformance`` holds the tests of this contract, for every simulator, also of other packages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from sim_bridge.types import LinkPoses, SimSpec, SimState, StepOutcome


class Simulator(Protocol):
    """A scene that can be reset, stepped, read and written.

    All calls come from one thread. Inputs are validated before they get here (sizes, names,
    finite values); a simulator raises ``BridgeError`` for what only it can know.
    """

    @property
    def spec(self) -> SimSpec: ...

    def reset(
        self,
        seed: int | None = None,
        state: SimState | None = None,
        options: dict[str, Any] | None = None,
    ) -> StepOutcome:
        """Start an episode; with ``state``, from that state after a normal reset."""

    def step(self, action: np.ndarray) -> StepOutcome:
        """Advance one control period with ``action (A,)``."""

    def state(self, native: bool = False) -> SimState:
        """The state now; ``native`` adds the opaque engine block. Counters are left at 0."""

    def set_state(self, state: SimState) -> StepOutcome:
        """Write the joints and bodies that ``state`` names, keep the others; zero reward."""

    def link_poses(self) -> LinkPoses:
        """World poses of all links now."""

    def render(self, camera: str) -> np.ndarray:
        """RGB image ``(h, w, 3)`` uint8 of a camera in ``spec.cameras``."""

    def model_files(self) -> dict[str, bytes]:
        """Files of the kinematic model by relative path, the main file first; may be empty."""

    def close(self) -> None: ...


class SimulatorFactory(Protocol):
    """Makes a simulator: a class or a function, as an entry point of ``twinstep.simulators`` or
    as ``python:MODULE:FUNCTION``. Called once, by the thread that makes all later calls."""

    def __call__(
        self, task: str, *, kwargs: Mapping[str, Any], image_width: int, image_height: int
    ) -> Simulator:
        """Open ``task``; empty asks for the simulator's default, and ``spec.task`` says which.

        ``kwargs`` are the user's ``task_options`` (``settings.options.read_options`` checks
        them), the size [px] is that of all cameras. Raises NotFound for an unknown task or a
        missing package, InvalidRequest for bad options, FeatureUnsupported for what the engine
        cannot do, each naming the valid choices.
        """
