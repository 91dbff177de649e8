"""Pictures and videos: looked at by their pixels and read back from their files."""

import json
import subprocess
import sys

import av
import mujoco
import numpy as np
import pytest
from mirror_scenes import TWO_ARMS, so101_model, state

from mujoco_mirror.drawing.framing import Subject, frame
from mujoco_mirror.drawing.mesh_detail import simplify
from mujoco_mirror.drawing.overlay import state_overlay
from mujoco_mirror.drawing.quality import Quality, quality_named
from mujoco_mirror.drawing.renderer import Renderer
from mujoco_mirror.drawing.scene import load_scene
from mujoco_mirror.drawing.view import View, ViewSettings
from mujoco_mirror.drawing.viewer import Viewer
from mujoco_mirror.model.mirror import Mirror
from mujoco_mirror.recording.recording import Recording, write_png
from mujoco_mirror.recording.video import VideoWriter
from sim_bridge.errors import FeatureUnsupported, InvalidRequest, NotFound, OperationFailed

HOME = dict.fromkeys(
    (
        f"so101/{j}"
        for j in (
            "shoulder_pan",
            "shoulder_lift",
            "elbow_flex",
            "wrist_flex",
            "wrist_roll",
            "gripper",
        )
    ),
    0.0,
)
SMALL = ViewSettings(320, 240, "fast")
BLOCK = {"block": [0.25, -0.05, 0.02, 0, 0, 0, 1]}


@pytest.fixture(scope="module")
def view():
    with View(so101_model(), SMALL) as view:
        yield view


def _share(image, low, high):
    return float(np.mean(np.all((image >= low) & (image <= high), axis=-1)))


def _same(a, b):
    """Equal but for the last bit, where a rasteriser's threads may round differently."""
    return a.shape == b.shape and np.abs(a.astype(int) - b).max() <= 2


def _yellow(image):
    return _share(image, (120, 90, 0), (255, 235, 60))


def _purple(image):
    return _share(image, (60, 20, 60), (200, 110, 200))


def test_the_arm_and_the_cube_are_seen(view):
    image = view.show(state(HOME, BLOCK))
    assert image.shape == (240, 320, 3) and image.dtype == np.uint8
    assert _yellow(image) > 0.04
    assert _purple(image) > 0.01
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])[None]
    assert _yellow(border) == 0.0


def test_the_picture_follows_the_state(view):
    before = view.show(state(HOME, BLOCK))
    moved = view.show(state({**HOME, "so101/shoulder_pan": 0.6}, BLOCK))
    again = view.show(state(HOME, BLOCK))
    assert np.mean(before != moved) > 0.03
    assert _same(before, again)


def test_a_still_is_larger_and_leaves_the_stream_as_it_was(view):
    before = view.show(state(HOME, BLOCK))
    still = view.picture()
    assert still.shape == (480, 640, 3)
    assert _yellow(still) > 0.04
    assert _same(before, view.draw())


def test_a_camera_of_the_model_can_be_chosen_and_an_unknown_one_is_refused():
    settings = ViewSettings(160, 120, "fast", ("front",), dressed=False)
    with View(so101_model(), settings) as front:
        assert front.show(state(HOME, BLOCK)).std() > 10
    with pytest.raises(NotFound, match="unknown camera 'rear'; valid: auto, front"):
        View(so101_model(), ViewSettings(160, 120, "fast", ("rear",)))
    with pytest.raises(NotFound, match="quality 'ultra'; valid: auto, fast, balanced, best"):
        quality_named("ultra")


def test_several_cameras_stand_side_by_side_with_the_overlay_in_the_first(view):
    settings = ViewSettings(320, 240, "fast", ("auto", "front"))
    now = state(HOME, BLOCK, step=7, time_s=0.7)
    with View(so101_model(), settings) as both:
        plain = both.show(now)
        noted = both.show(now, state_overlay(now, lag_s=0.012, worst=("so101/gripper", 1e-4, 1e-5)))
    assert plain.shape == (240, 640, 3) == (*reversed(both.frame_size), 3)
    view.reframe()
    assert _same(plain[:, :320], view.show(now))
    assert np.mean(plain[:, :320] != noted[:, :320]) > 0.01
    assert _same(plain[:, 320:], noted[:, 320:])


def test_less_detail_keeps_the_outline():
    images, faces, camera = [], [], None
    for detail in (quality_named("fast").mesh_detail, 0.0):
        quality = Quality("test", 0, 0, False, detail)
        scene = load_scene(so101_model(), quality)
        mirror = Mirror(scene.drawn)
        mirror.apply(state(HOME, BLOCK))
        camera = camera or frame(Subject(scene.drawn), mirror.data, 4 / 3)
        with Renderer(scene.drawn, 320, 240, quality) as renderer:
            images.append(renderer.draw(mirror.data, camera))
        faces.append(int(scene.drawn.mesh_facenum.sum()))
    assert faces[0] < faces[1] / 5
    yellow = [np.all((i >= (100, 70, 0)) & (i <= (255, 235, 90)), axis=-1) for i in images]
    assert np.sum(yellow[0] & yellow[1]) / np.sum(yellow[0] | yellow[1]) > 0.9


def test_simplified_vertices_stay_within_a_cell_of_the_surface():
    grid = np.linspace(-1, 1, 41)
    x, y = (a.ravel() for a in np.meshgrid(grid, grid))
    vertices = np.stack([x, y, np.zeros_like(x)], axis=1)
    i = np.arange(40)[:, None] * 41 + np.arange(40)
    faces = np.concatenate(
        [
            np.stack([i, i + 1, i + 41], -1).reshape(-1, 3),
            np.stack([i + 1, i + 42, i + 41], -1).reshape(-1, 3),
        ]
    )
    fewer, triangles = simplify(vertices, faces, 0.2)
    assert len(triangles) < len(faces) / 5
    assert np.abs(fewer[:, 2]).max() < 1e-9
    corners = fewer[triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert np.all(normals[:, 2] > 0)
    assert normals[:, 2].sum() / 2 == pytest.approx(4.0, rel=0.2)


def _boxes(path):
    """Names of an mp4's top-level boxes, in order."""
    data, at, names = path.read_bytes(), 0, []
    while at < len(data):
        names.append(data[at + 4 : at + 8].decode())
        at += int.from_bytes(data[at : at + 4], "big")
    return names


def test_a_video_has_one_frame_a_step_at_simulation_time_and_plays_while_loading(tmp_path):
    path = tmp_path / "out.mp4"
    writer = VideoWriter(path, 64, 48, period_s=0.04)
    for level in range(0, 250, 10):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.close()
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        frames = list(container.decode(stream))
    assert [round(f.time, 6) for f in frames] == [round(0.04 * k, 6) for k in range(25)]
    levels = [f.to_ndarray(format="rgb24").mean() for f in frames]
    assert np.allclose(levels, range(0, 250, 10), atol=4)
    boxes = _boxes(path)
    assert boxes.index("moov") < boxes.index("mdat")


def test_a_video_refuses_what_it_cannot_write(tmp_path):
    with pytest.raises(InvalidRequest, match="65x48 px.*must be even"):
        VideoWriter(tmp_path / "odd.mp4", 65, 48, 0.1)
    writer = VideoWriter(tmp_path / "small.mp4", 64, 48, 0.1)
    with pytest.raises(InvalidRequest, match=r"frame \(10, 10, 3\)"):
        writer.write(np.zeros((10, 10, 3), np.uint8))
    writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.close()
    lost = VideoWriter(tmp_path / "nowhere" / "out.mp4", 64, 48, 0.1)
    lost.write(np.zeros((48, 64, 3), np.uint8))
    with pytest.raises(OperationFailed, match="nowhere"):
        lost.close()


def test_a_recording_takes_each_step_once_and_leaves_the_reset_out(tmp_path):
    recording = Recording(tmp_path / "new" / "folder", 64, 48, 0.1)
    image = np.zeros((48, 64, 3), np.uint8)
    for episode, step in ((1, 0), (1, 1), (1, 2), (1, 2), (1, 1), (2, 0), (2, 1)):
        if recording.wants(episode, step):
            recording.add(episode, step, image)
    files = recording.finish(image)
    assert recording.frames == 3
    assert [f.rsplit("/", 1)[1] for f in files] == ["mirror.mp4", "final.png"]
    with av.open(files[0]) as container:
        assert len(list(container.decode(video=0))) == 3
    json.dumps(recording.summary(), allow_nan=False)


def test_a_png_reads_back_the_same(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    with av.open(str(write_png(tmp_path / "a.png", image))) as container:
        assert np.array_equal(next(container.decode(video=0)).to_ndarray(format="rgb24"), image)


@pytest.mark.process
def test_without_egl_osmesa_draws_and_says_so():
    program = (
        "import ctypes.util, logging; logging.basicConfig(); find = ctypes.util.find_library\n"
        "ctypes.util.find_library = lambda n: None if n == 'EGL' else find(n)\n"
        "from mujoco_mirror.drawing.gl import renderer_name, choose_backend\n"
        "print(choose_backend(), renderer_name())"
    )
    result = subprocess.run(
        ["env", "-u", "MUJOCO_GL", "-u", "PYOPENGL_PLATFORM", sys.executable, "-c", program],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    if "install EGL" in result.stderr:
        pytest.skip("no OSMesa on this machine (Debian package libosmesa6)")
    assert result.stdout.startswith("osmesa "), result.stderr
    assert "EGL does not work here (libEGL.so.1 is missing): drawing with OSMesa" in result.stderr


@pytest.mark.process
def test_without_any_opengl_the_packages_are_named():
    program = (
        "import ctypes.util; ctypes.util.find_library = lambda name: None\n"
        "from mujoco_mirror.drawing.gl import renderer_name; renderer_name()"
    )
    result = subprocess.run(
        ["env", "-u", "MUJOCO_GL", "-u", "PYOPENGL_PLATFORM", sys.executable, "-c", program],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert "libegl1 libegl-mesa0 libgl1-mesa-dri" in result.stderr and "libosmesa6" in result.stderr


def test_without_a_display_the_viewer_says_where_to_look_instead(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(FeatureUnsupported, match="no display.*mirror/image_raw"):
        Viewer(mujoco.MjModel.from_xml_string(TWO_ARMS))
