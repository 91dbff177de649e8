"""Variables of the middleware that it would not complain about itself."""

import pytest

from sim_bridge.errors import BridgeError, InvalidRequest
from sim_bridge.processes.testing import Process
from sim_bridge.settings.environment import PROFILES, check_environment, check_namespace


@pytest.mark.parametrize("domain", ["233", "-1", "1.5", "abc", "٣x"])
def test_a_domain_that_does_not_exist(domain):
    with pytest.raises(InvalidRequest, match="valid: 0 to 232"):
        check_environment({"ROS_DOMAIN_ID": domain})


def test_what_is_right_or_not_set_is_no_error(tmp_path):
    (tmp_path / "dds.xml").touch()
    check_environment({})
    check_environment({"ROS_DOMAIN_ID": "232", PROFILES[0]: str(tmp_path / "dds.xml")})


@pytest.mark.parametrize("name", ["", "/", "lab", "/lab/arm_1", "lab/_x/"])
def test_namespaces_of_ros(name):
    check_namespace(name)


@pytest.mark.parametrize("name", ["a b", "1st", "a//b", "a-b", "a/2", "~x"])
def test_what_is_not_a_namespace(name):
    with pytest.raises(InvalidRequest, match="valid: letters"):
        check_namespace(name)


@pytest.mark.process
def test_a_profiles_file_that_is_missing_stops_the_program(tmp_path):
    """Fast DDS would go on without it, and reach other machines."""
    missing = str(tmp_path / "no.xml")
    with pytest.raises(BridgeError, match="no Fast DDS profiles file"):
        check_environment({PROFILES[1]: missing})
    with Process.module("sim_bridge", log=tmp_path / "log", env={PROFILES[0]: missing}) as process:
        assert process.wait(60.0) == 2
        (line,) = process.output().splitlines()
        assert line.startswith("sim_bridge: no Fast DDS profiles file") and missing in line
