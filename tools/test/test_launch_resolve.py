"""Launch XML to commands, without running any."""

from __future__ import annotations

from pathlib import Path

import pytest
from launch_runner.plan import LaunchError, Plan
from launch_runner.resolve import declared_arguments, resolve


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """A prefix with package ``robot`` and its executable ``drive``."""
    folder = tmp_path / "prefix" / "lib" / "robot"
    folder.mkdir(parents=True)
    (folder / "drive").touch()
    return tmp_path / "prefix"


@pytest.fixture
def plan_of(tmp_path: Path, prefix: Path):
    """``plan_of(xml, **values)`` is the plan of a launch file with that content."""

    def make(xml: str, **values: str) -> Plan:
        file = tmp_path / "test.launch.xml"
        file.write_text(f"<launch>{xml}</launch>")
        return resolve(file, values, lambda package: prefix, {"HOME": "/home/me"})

    return make


def test_a_node_becomes_executable_name_namespace_parameters_and_remaps(plan_of, tmp_path, prefix):
    (tmp_path / "p.yaml").touch()
    plan = plan_of(
        """<node pkg="robot" exec="drive" name="wheels" namespace="lab" args="--fast 1">
             <param from="$(dirname)/p.yaml"/>
             <param name="speed" value="2.5"/>
             <remap from="in" to="out"/>
             <env name="COLOR" value="red"/>
           </node>"""
    )
    (process,) = plan.processes
    assert process.name == "drive-1"
    assert process.command == (
        f"{prefix}/lib/robot/drive", "--fast", "1", "--ros-args",
        "-r", "__node:=wheels", "-r", "__ns:=/lab",
        "--params-file", f"{tmp_path}/p.yaml", "-p", "speed:=2.5", "-r", "in:=out",
    )  # fmt: skip
    assert process.environment == {"COLOR": "red"}
    assert not process.required


@pytest.mark.parametrize(
    ("value", "type_name", "expected"),
    [
        ("3", "", "3"),
        ("3", "str", '"3"'),
        ("-1.5e3", "", "-1.5e3"),
        ("true", "", "true"),
        ("", "", '""'),
        ("[1, 2]", "", "[1, 2]"),
        ("SO101PickPlace-v0", "", '"SO101PickPlace-v0"'),
        ('{"a": 1}', "str", '"{\\"a\\": 1}"'),
    ],
)
def test_parameters_keep_the_type_that_launch_infers(plan_of, value, type_name, expected):
    kind = f' type="{type_name}"' if type_name else ""
    text = value.replace('"', "&quot;")
    plan = plan_of(f'<node pkg="robot" exec="drive"><param name="x" value="{text}"{kind}/></node>')
    assert plan.processes[0].command[-1] == f"x:={expected}"


def test_conditions_choose_elements(plan_of):
    xml = """<arg name="gui" default="false"/>
             <executable cmd="viewer" if="$(var gui)"/>
             <executable cmd="headless" unless="$(var gui)"/>"""
    assert [p.name for p in plan_of(xml).processes] == ["headless-1"]
    assert [p.name for p in plan_of(xml, gui="True").processes] == ["viewer-1"]


def test_a_group_is_a_scope_for_values_and_environment(plan_of):
    plan = plan_of(
        """<let name="x" value="1"/>
           <group><let name="x" value="2"/><set_env name="E" value="2"/>
             <executable cmd="in $(var x)"/></group>
           <executable cmd="out $(var x)"/>"""
    )
    assert [p.command for p in plan.processes] == [("in", "2"), ("out", "1")]
    assert [p.environment for p in plan.processes] == [{"E": "2"}, {}]


def test_an_include_has_its_own_folder_and_takes_values(plan_of, tmp_path):
    folder = tmp_path / "sub"
    folder.mkdir()
    (folder / "b.launch.xml").write_text(
        """<launch><arg name="who" default="nobody"/>
           <executable cmd="greet $(var who) $(dirname)"/></launch>"""
    )
    plan = plan_of(
        """<include file="$(dirname)/sub/b.launch.xml"><arg name="who" value="you"/></include>"""
    )
    assert plan.processes[0].command == ("greet", "you", str(folder))


def test_a_substituted_value_stays_one_word(plan_of):
    plan = plan_of(
        '<arg name="a"/><executable cmd="say $(var a) $(env HOME) $(env NO none)"/>', a="x y"
    )
    assert plan.processes[0].command == ("say", "x y", "/home/me", "none")


def test_a_value_is_not_expanded_again(plan_of):
    plan = plan_of(
        '<arg name="a"/><let name="b" value="$(var a)!"/><executable cmd="say $(var b)"/>',
        a="$(env HOME)",
    )
    assert plan.processes[0].command == ("say", "$(env HOME)!")


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        ('<executable cmd="$(env HOME"/>', "a substitution is not closed"),
        ('<push_ros_namespace namespace="x"/>', "<push_ros_namespace> is not supported"),
        ('<executable cmd="x" shell="true"/>', "'shell' of <executable> is not supported"),
        ('<executable cmd="$(anon x)"/>', r"\$\(anon x\) is not supported"),
        ('<executable cmd="$(var x)"/>', "launch argument 'x' is not set"),
        ('<executable cmd="x" on_exit="dance"/>', "'dance'; valid: shutdown"),
        ('<executable cmd="x" if="maybe"/>', "'maybe'; valid: true, false"),
        ('<arg name="x"/>', "give it a value: x:="),
        ('<node pkg="robot" exec="fly"/>', "no executable 'fly'; valid: drive"),
        ('<node pkg="robot" exec="drive"><param from="/no.yaml"/></node>', "/no.yaml does not"),
        ('<node pkg="robot" exec="drive"><param nam="x"/></node>', "'nam' of <param>"),
        ('<include file="/no.xml"/>', "/no.xml: No such file"),
    ],
)
def test_what_is_outside_the_subset_is_named_with_file_and_element(plan_of, xml, message):
    with pytest.raises(LaunchError, match=message) as caught:
        plan_of(xml)
    assert "test.launch.xml" in str(caught.value) or "is not supported in <launch>" in str(
        caught.value
    )


def test_an_unknown_argument_and_a_wrong_choice_name_the_valid_ones(plan_of):
    xml = '<arg name="a" default="x"><choice value="x"/><choice value="y"/></arg>'
    with pytest.raises(LaunchError, match="no argument 'b'; valid: a"):
        plan_of(xml, b="1")
    with pytest.raises(LaunchError, match="is 'z'; valid: x, y"):
        plan_of(xml, a="z")


def test_every_launch_file_here_describes_its_arguments():
    files = sorted(Path(__file__).parents[2].glob("launch/*.launch.xml"))
    assert {"demo.launch.xml", "sim.launch.xml"} <= {file.name for file in files}
    for file in files:
        for argument in declared_arguments(file):
            assert argument.description, f"{file.name}: {argument.name}"
