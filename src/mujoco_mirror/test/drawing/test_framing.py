"""What the automatic camera keeps in the picture, projected by hand."""

from pathlib import Path

import mujoco
import numpy as np
import pytest
from mirror_scenes import TWO_ARMS

from mujoco_mirror.drawing.framing import Cameraman, Subject, frame
from mujoco_mirror.drawing.quality import quality_named
from mujoco_mirror.drawing.scene import load_scene
from mujoco_mirror.model.mirror import Mirror
from sim_bridge.files.model_files import resolve_uri
from sim_bridge.simulators.registry import open_simulator

ASPECT = 4 / 3
STEPS = 150
# Of the actions' range: wide enough to fall over, slow enough for a stable simulation.
SWING = 0.5
TASKS = {
    "Ant-v5": "gymnasium",
    "Humanoid-v5": "gymnasium",
    "HalfCheetah-v5": "gymnasium",
    "Pusher-v5": "gymnasium",
    "AlohaTransferCube-v0": "gym_aloha",
    "SO101PickPlace-v0": "lerobot_env_so101",
}
WITH_GOALS = """
<mujoco>
  <worldbody>
    <body name="arm">
      <joint type="hinge" axis="0 0 1"/>
      <geom type="box" size="0.1 0.1 0.1"/>
    </body>
    <site name="target_site" pos="2 0 0" size="0.05" group="4" rgba="0 1 0 0"/>
    <site name="frame" pos="0 9 0" size="0.05"/>
    <body name="goal" pos="0 3 0"><geom type="sphere" size="0.1" rgba="1 0 0 0.5"/></body>
    <body name="mark" mocap="true" pos="0 0 1"><geom type="sphere" size="0.1"/></body>
    <geom name="table" type="box" size="0.1 0.1 0.1" pos="-9 0 0"/>
  </worldbody>
</mujoco>
"""


def _moving_corners(model, data):
    """Corners of the boxes around all drawn geoms that are not fixed to the world."""
    found = []
    for geom in range(model.ngeom):
        if model.geom_group[geom] < 3 and model.body_weldid[model.geom_bodyid[geom]] != 0:
            middle, half = model.geom_aabb[geom, :3], model.geom_aabb[geom, 3:]
            for signs in np.ndindex(2, 2, 2):
                corner = middle + half * (2 * np.array(signs) - 1)
                found.append(data.geom_xpos[geom] + data.geom_xmat[geom].reshape(3, 3) @ corner)
    return np.array(found)


def _on_screen(model, camera, points, aspect=ASPECT):
    """``(2, n)``: right and up, -1 to 1 from edge to edge of the picture."""
    az, el = np.radians(camera.azimuth), np.radians(camera.elevation)
    forward = np.array([np.cos(el) * np.cos(az), np.cos(el) * np.sin(az), np.sin(el)])
    right = np.cross(forward, [0, 0, 1]) / np.cos(el)
    rays = points - (camera.lookat - camera.distance * forward)
    depth = rays @ forward
    assert np.all(depth > 0)
    tan_y = np.tan(np.radians(model.vis.global_.fovy) / 2)
    sides = np.stack([rays @ right / aspect, rays @ np.cross(right, forward)])
    return sides / depth / tan_y


@pytest.mark.parametrize("task", TASKS)
def test_all_that_moves_is_in_the_picture_over_a_whole_episode(task, tmp_path):
    pytest.importorskip(TASKS[task])
    simulator = open_simulator("gymnasium", task)
    uri = simulator.spec.model.uri
    if not uri:
        for name, content in simulator.model_files().items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(content)
    path = resolve_uri(uri) if uri else tmp_path / next(iter(simulator.model_files()))
    mirror = Mirror(mujoco.MjModel.from_xml_path(str(path)))
    man = Cameraman(Subject(mirror.model), ASPECT)
    simulator.reset(seed=1)
    action, worst = simulator.spec.action, 0.0
    phase = np.random.default_rng(0).uniform(0, 6, action.low.shape)
    for step in range(STEPS):
        mirror.apply(simulator.state())
        camera = man.camera(mirror.data)
        corners = _moving_corners(mirror.model, mirror.data)
        worst = max(worst, np.abs(_on_screen(mirror.model, camera, corners)).max())
        swing = SWING * np.sin(0.1 * step + phase) * (action.high - action.low) / 2
        outcome = simulator.step((action.low + action.high) / 2 + swing)
        if outcome.terminated or outcome.truncated:
            break
    simulator.close()
    assert 0.5 < worst < 0.94


@pytest.mark.parametrize("aspect", [4 / 3, 16 / 9, 0.5])
def test_the_camera_is_as_close_as_the_margin_allows(aspect):
    model = mujoco.MjModel.from_xml_string(TWO_ARMS)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    subject = Subject(model)
    camera = frame(subject, data, aspect, margin=0.1)
    on_screen = _on_screen(model, camera, subject.points(data), aspect)
    assert np.abs(on_screen).max() == pytest.approx(0.8, abs=0.01)


def test_the_camera_follows_without_haste_and_starts_anew_with_an_episode():
    model = mujoco.MjModel.from_xml_string(TWO_ARMS)
    data, man = mujoco.MjData(model), Cameraman(Subject(model), ASPECT)

    def look(time_s, cube_x):
        data.time, data.joint("cube_free").qpos[0] = time_s, cube_x
        mujoco.mj_forward(model, data)
        camera = man.camera(data)
        assert np.abs(_on_screen(model, camera, _moving_corners(model, data))).max() < 0.94
        return np.array([*camera.lookat, camera.distance])

    start = look(0.0, 3.0)
    assert np.array_equal(look(0.0, 0.4), start)
    soon, late = look(0.1, 0.4), look(20.0, 0.4)
    framed = frame(Subject(model), data, ASPECT)
    assert np.allclose(late, [*framed.lookat, framed.distance], atol=1e-3)
    assert late[3] < soon[3]
    look(20.01, 3.0)  # a jump stays in the picture, however sudden
    assert np.allclose(look(0.0, 3.0), start)


def test_goals_are_drawn_and_in_the_picture_and_other_marks_are_not(tmp_path):
    path = Path(tmp_path) / "goals.xml"
    path.write_text(WITH_GOALS)
    model = load_scene(path, quality_named("fast")).drawn
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    points = Subject(model).points(data)
    assert np.allclose(points.max(axis=0), [2.05, 3.1, 1.1])
    assert points.min() > -1
    site = model.site("target_site")
    assert site.group[0] < 3 and site.rgba[3] > 0.3
