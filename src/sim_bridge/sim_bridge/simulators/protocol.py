"""The contract between the bridge and a simulator."""

from __future__ import annotations

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
