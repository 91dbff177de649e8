"""MuJoCo's interactive window on the mirror's scene, where there is a display."""

from __future__ import annotations

import os
import sys

import mujoco

from sim_bridge.errors import FeatureUnsupported


class Viewer:
    """A window to look around in; the mirror's own data stays untouched by it.

    FeatureUnsupported, with what to do, on a machine without a display.
    """

    def __init__(self, model: mujoco.MjModel) -> None:
        if sys.platform == "linux" and not (
            os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        ):
            raise FeatureUnsupported(
                "no display for the interactive viewer (DISPLAY is not set): "
                "leave the parameter viewer off and look at mirror/image_raw or the web monitor"
            )
        import mujoco.viewer

        self._data = mujoco.MjData(model)
        self._window = mujoco.viewer.launch_passive(
            model, self._data, show_left_ui=False, show_right_ui=False
        )

    @property
    def is_open(self) -> bool:
        return self._window.is_running()

    def show(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        with self._window.lock():
            self._data.qpos[:] = data.qpos
            self._data.mocap_pos[:], self._data.mocap_quat[:] = data.mocap_pos, data.mocap_quat
            mujoco.mj_forward(model, self._data)
        self._window.sync()

    def close(self) -> None:
        self._window.close()
