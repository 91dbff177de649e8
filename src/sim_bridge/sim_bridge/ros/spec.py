"""The latched description of a bridge, received synchronously."""

from __future__ import annotations

from rclpy.node import Node
from sim_interfaces import msg as m

from sim_bridge import names
from sim_bridge.errors import TimedOut
from sim_bridge.ros import qos
from sim_bridge.ros.calls import Receiver
from sim_bridge.ros.convert_spec import from_spec_msg
from sim_bridge.types import SimSpec


def receive_spec(node: Node, namespace: str, timeout_s: float) -> SimSpec:
    """TimedOut when no bridge at ``namespace`` publishes one. ``node`` must not be spun."""
    topic = f"{namespace.rstrip('/')}/{names.SPEC}" if namespace else names.SPEC
    receiver = Receiver(node, m.SimSpec, topic, qos.LATCHED)
    try:
        return from_spec_msg(receiver.take(timeout_s))
    except TimedOut:
        raise TimedOut(
            f"no bridge on {topic!r} within {timeout_s:g} s; is it running, with the same "
            "ROS_DOMAIN_ID and namespace?"
        ) from None
    finally:
        receiver.destroy()
