"""Gets a model from the bridge, file by file, over the GetModel service."""

from __future__ import annotations

from rclpy.node import Node
from sim_interfaces import srv

from sim_bridge import names
from sim_bridge.errors import OK, NotFound, error_for
from sim_bridge.ros.calls import Caller

_SERVICE_TIMEOUT_S = 30.0
_CALL_TIMEOUT_S = 60.0


def fetch_model(node: Node) -> dict[str, bytes]:
    """Files by path, the main file first. Blocks: call it from a thread of its own.

    NotFound when no bridge answers; the bridge's own error when it refuses.
    """
    caller = Caller(node, srv.GetModel, names.GET_MODEL)
    try:
        if not caller.wait_for_service(_SERVICE_TIMEOUT_S):
            raise NotFound(f"no service {caller.name} to get the model from")
        manifest = _call(caller, "")
        paths = [file.path for file in manifest.files]
        paths.sort(key=lambda path: path != manifest.main_file)
        return {path: bytes(_call(caller, path).files[0].data) for path in paths}
    finally:
        caller.destroy()


def _call(caller: Caller, path: str) -> srv.GetModel.Response:
    response = caller.call(srv.GetModel.Request(path=path), _CALL_TIMEOUT_S)
    if response.result.code != OK:
        raise error_for(response.result.code, response.result.message)
    return response
