"""Where a model comes from, and that it is the right one."""

import mujoco
import pytest
from mirror_scenes import TWO_ARMS

from mujoco_mirror.sources.model_store import ModelStore, find_model
from mujoco_mirror.sources.urdf import for_mujoco
from sim_bridge.errors import InvalidRequest, NotFound, OperationFailed
from sim_bridge.files.model_files import mjcf_files, sha256_of
from sim_bridge.types import ModelReference

URDF = """
<robot name="arm">
  <link name="base"><visual><geometry><box size="0.1 0.1 0.1"/></geometry></visual></link>
  <link name="upper">
    <visual><geometry><mesh filename="package://no_such_package/upper.stl"/></geometry></visual>
    <visual><geometry><mesh filename="file://{dae}"/></geometry></visual>
    <collision><geometry><cylinder radius="0.02" length="0.3"/></geometry></collision>
  </link>
  <link name="tool"/>
  <joint name="shoulder" type="revolute">
    <parent link="base"/><child link="upper"/><axis xyz="0 0 1"/>
    <limit lower="-1" upper="1" effort="1" velocity="1"/>
  </joint>
  <joint name="flange" type="fixed"><parent link="upper"/><child link="tool"/>
    <origin xyz="0.3 0 0"/></joint>
</robot>
"""


def _never():
    raise AssertionError("asked the simulator although the model was here")


@pytest.fixture
def store(tmp_path):
    return ModelStore(tmp_path / "cache")


@pytest.fixture
def local(tmp_path):
    path = tmp_path / "scene.xml"
    path.write_text(TWO_ARMS)
    return path


def test_an_installed_model_of_the_right_content_is_used(local, store):
    reference = ModelReference("mjcf", f"file://{local}", sha256_of(mjcf_files(local)))
    assert find_model(reference, store, _never) == local


def test_another_version_of_the_file_is_not_taken_for_it(local, store):
    original = {"scene.xml": TWO_ARMS.encode()}
    local.write_text(TWO_ARMS.replace("0.3 0 0", "0.4 0 0"))
    reference = ModelReference("mjcf", f"file://{local}", sha256_of(original))
    found = find_model(reference, store, lambda: original)
    assert found != local and found.read_text() == TWO_ARMS
    assert find_model(reference, store, _never) == found


def test_a_model_with_folders_is_kept_whole_and_found_again(store):
    files = {
        "scene.xml": b"<mujoco/>",
        "assets/mesh/a.stl": b"solid",
        "parts/arm.xml": b"<mujoco/>",
    }
    reference = ModelReference("mjcf", "package://not_installed/scene.xml", sha256_of(files))
    path = find_model(reference, store, lambda: files)
    assert path.name == "scene.xml"
    assert (path.parent / "assets/mesh/a.stl").read_bytes() == b"solid"
    assert find_model(reference, store, _never) == path


def test_wrong_content_and_hostile_paths_are_refused(store, tmp_path):
    reference = ModelReference("mjcf", "", "0" * 64)
    with pytest.raises(OperationFailed, match="expected 0000"):
        find_model(reference, store, lambda: {"a.xml": b""})
    for name in ("../evil.xml", "/etc/evil.xml", "a/../../evil.xml"):
        with pytest.raises(InvalidRequest, match="not a path inside the model"):
            store.put({name: b""})
    assert not list(tmp_path.rglob("evil.xml"))
    with pytest.raises(NotFound, match="refers to no model"):
        find_model(ModelReference(), store, _never)


def test_a_published_urdf_loads_without_the_meshes_that_are_not_here(tmp_path, caplog):
    dae = tmp_path / "upper.dae"
    dae.write_text("")
    model = mujoco.MjModel.from_xml_string(for_mujoco(URDF.format(dae=dae)))
    assert [model.joint(j).name for j in range(model.njnt)] == ["shoulder"]
    assert {model.body(b).name for b in range(1, model.nbody)} == {"base", "upper", "tool"}
    assert "link upper is drawn without a mesh" in caplog.text
    assert "MuJoCo cannot read" in caplog.text
    for text, match in (("<sdf/>", "<sdf>"), ("no xml", "not XML")):
        with pytest.raises(InvalidRequest, match=match):
            for_mujoco(text)
