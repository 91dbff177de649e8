"""A MuJoCo model that follows a simulator: pictures, video, fidelity, a web page.

    from mujoco_mirror import Mirror, View, ViewSettings

- ``model``: names to addresses to MjData. ``sources``: where states and models come from.
- ``drawing``: pictures. ``late``: what to show meanwhile. ``fidelity``: is it true.
- ``recording``: video and files. ``node``: the mirror node. ``monitor``: the page.
"""

from typing import TYPE_CHECKING

from sim_bridge.door import door

if TYPE_CHECKING:
    from mujoco_mirror.drawing.view import View as View
    from mujoco_mirror.drawing.view import ViewSettings as ViewSettings
    from mujoco_mirror.model.map_rules import MapRules as MapRules
    from mujoco_mirror.model.mirror import Mirror as Mirror

_HOMES = {
    "Mirror": "model.mirror",
    "MapRules": "model.map_rules",
    "View": "drawing.view",
    "ViewSettings": "drawing.view",
}
__all__ = list(_HOMES)
__getattr__ = door(__name__, _HOMES)
