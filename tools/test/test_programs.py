"""The programs from outside: parameters, help, mistakes and Ctrl-C, each in its own process."""

import signal
import subprocess
import sys

import pytest
import rclpy
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import (
    DescribeParameters,
    GetParameters,
    GetParameterTypes,
    ListParameters,
    SetParameters,
    SetParametersAtomically,
)
from rclpy.context import Context
from rclpy.node import Node

from sim_bridge.processes.domains import free_domain_id
from sim_bridge.processes.testing import Process
from sim_bridge.ros.calls import Caller

pytestmark = pytest.mark.process

DEADLINE_S = 60.0
# Node: the package and the program that make it, parameters, one that is read once.
NODES = {
    "sim_bridge": ("sim_bridge", "sim_bridge", ("simulator:=synthetic", "task:=arm"), "lease_s"),
    "replay_server": ("sim_bridge", "replay_server", (), "pid"),
    "policy_node": ("policy_node", "policy_node", ("policy:=hold",), "max_queue"),
    "rollout": ("policy_node", "rollout", (), "step_timeout_s"),
    "mujoco_mirror": ("mujoco_mirror", "mirror", (), "width"),
    "monitor": ("mujoco_mirror", "monitor", ("port:=0",), "data_rate_hz"),
}
RCLPYS = ("use_sim_time", "start_type_description_service")
TWO = ParameterValue(type=ParameterType.PARAMETER_INTEGER, integer_value=2)


def command(package, program, *words):
    code = f"from {package}.entry import {program}; raise SystemExit({program}())"
    return [sys.executable, "-c", code, *words]


def parameter_words(parameters):
    return ["--ros-args", *(word for p in parameters for word in ("-p", p))]


@pytest.fixture
def client():
    context = Context()
    rclpy.init(context=context, domain_id=free_domain_id())
    node = Node("asker", context=context)
    yield node
    node.destroy_node()
    context.try_shutdown()


def ask(client, node, srv_type, service, request):
    caller = Caller(client, srv_type, f"{node}/{service}")
    try:
        assert caller.wait_for_service(DEADLINE_S), f"no {service} of {node}"
        return caller.call(request, DEADLINE_S)
    finally:
        caller.destroy()


@pytest.mark.parametrize("node", NODES)
def test_a_node_answers_every_parameter_request_and_ends_at_ctrl_c(node, client, tmp_path):
    package, program, parameters, read_once = NODES[node]
    env = {"ROS_DOMAIN_ID": str(client.context.get_domain_id())}
    words = command(package, program, *parameter_words(parameters))
    with Process(words, tmp_path / "log", env) as process:
        for _ in range(2):
            listed = ask(client, node, ListParameters, "list_parameters", ListParameters.Request())
            names = listed.result.names
            assert {read_once, "use_sim_time"} <= set(names)
            request = GetParameters.Request(names=names)
            assert len(ask(client, node, GetParameters, "get_parameters", request).values) == len(
                names
            )
            request = GetParameterTypes.Request(names=names)
            types = ask(client, node, GetParameterTypes, "get_parameter_types", request).types
            assert ParameterType.PARAMETER_NOT_SET not in types
            request = DescribeParameters.Request(names=names)
            described = ask(
                client, node, DescribeParameters, "describe_parameters", request
            ).descriptors
            ours = [
                d
                for d in described
                if d.name not in ("use_sim_time", "start_type_description_service")
            ]
            assert all(d.description for d in ours), [d.name for d in ours if not d.description]
            assert {d.name: d.read_only for d in described}[read_once]
            change = [Parameter(name=read_once, value=TWO)]
            request = SetParameters.Request(parameters=change)
            (result,) = ask(client, node, SetParameters, "set_parameters", request).results
            assert not result.successful and result.reason
            request = SetParametersAtomically.Request(parameters=change)
            reply = ask(client, node, SetParametersAtomically, "set_parameters_atomically", request)
            assert not reply.result.successful and reply.result.reason
            assert process.running, process.output()
        process.signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 0
        assert "Traceback" not in process.output()


@pytest.mark.parametrize(
    ("package", "program", "words", "message"),
    [
        ("sim_bridge", "sim_bridge", ["lease_s:=0.0"], "parameter lease_s is 0.0; valid: above 0"),
        ("sim_bridge", "sim_bridge", ["lease_s:=x"], "parameter lease_s is 'x'; valid: a number"),
        ("policy_node", "policy_node", ["max_queue:=0"], "max_queue is 0; valid: 1 or more"),
        ("policy_node", "rollout", ["aggregate:=no"], "aggregate is False; valid: weighted_av"),
        ("mujoco_mirror", "mirror", ["width:=33"], "width is 33; valid: 32 to 4096, in steps"),
        ("mujoco_mirror", "monitor", ["port:=70000"], "port is 70000; valid: 0 to 65535"),
        ("policy_node", "demo", ["episodes:=0"], "episodes is 0; valid: 1 or more"),
        ("sim_bridge", "replay_server", ["1"], "replay_server: ROS arguments: "),
    ],
)
def test_a_mistake_is_one_line_and_status_2(package, program, words, message):
    run = subprocess.run(
        command(package, program, *parameter_words(words)), capture_output=True, text=True
    )
    assert run.returncode == 2
    assert run.stderr.startswith(f"{program}: ") and message in run.stderr
    assert len(run.stderr.splitlines()) == 1


def test_ctrl_c_during_the_imports_leaves_no_trace(tmp_path):
    (tmp_path / "slow.py").write_text(
        "import time\nprint('importing', flush=True)\ntime.sleep(60)\n"
    )
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); "
    code += "from sim_bridge.entry import entry; sys.exit(entry('slow')())"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 130
        assert process.stderr.read() == ""
