"""Values of parameters on the command line, with the type that ROS 2 launch would infer."""

from __future__ import annotations

import json
import re

from .plan import LaunchError

_NUMBER = re.compile(
    r"[-+]?(\d[\d_]*|\d*\.\d+([eE][-+]?\d+)?|\d+\.\d*([eE][-+]?\d+)?|\.(inf|nan))", re.IGNORECASE
)
_BOOL = {"true", "false", "yes", "no", "on", "off"}


def parameter_value(text: str, type_name: str = "") -> str:
    """``text`` as the YAML of ``-p name:=``: numbers, booleans and lists as they are.

    Anything else, or anything of type ``str``, is quoted: an empty text stays a text.
    """
    if type_name not in ("", "str"):
        raise LaunchError(f"type is {type_name!r}; valid: str")
    plain = _NUMBER.fullmatch(text) or text.lower() in _BOOL
    listed = text.startswith("[") and text.endswith("]")
    return text if not type_name and (plain or listed) else json.dumps(text)
