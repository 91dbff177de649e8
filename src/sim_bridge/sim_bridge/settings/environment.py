"""The variables that the middleware reads, checked: it says little about wrong ones, or nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from sim_bridge.errors import InvalidRequest, NotFound

PROFILES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
_LAST_DOMAIN = 232  # beyond it there are no UDP ports
_NAMESPACE = re.compile(r"/?([A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*)?/?")


def check_environment(variables: Mapping[str, str]) -> None:
    """InvalidRequest for a domain that does not exist, NotFound for a profiles file that does
    not: without its file, Fast DDS would take its own defaults and reach other machines."""
    domain = variables.get("ROS_DOMAIN_ID", "")
    if domain and not (domain.isdecimal() and int(domain) <= _LAST_DOMAIN):
        raise InvalidRequest(f"the ROS domain is {domain!r}; valid: 0 to {_LAST_DOMAIN}")
    for name in PROFILES:
        if (file := variables.get(name, "")) and not Path(file).is_file():
            raise NotFound(f"no Fast DDS profiles file {file!r} ({name}); valid: an XML file")


def check_namespace(name: str) -> None:
    """InvalidRequest for what ROS does not take as a namespace."""
    if not _NAMESPACE.fullmatch(name):
        raise InvalidRequest(
            f"namespace is {name!r}; valid: letters, digits and underscores, with a slash between "
            "names that do not begin with a digit"
        )
