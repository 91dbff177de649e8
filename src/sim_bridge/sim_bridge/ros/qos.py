"""Quality of service, chosen once and named by what the data is."""

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy


def _profile(
    depth: int, reliability: ReliabilityPolicy, durability: DurabilityPolicy
) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability, durability=durability
    )


# One message a control step and none may be missing: a recording has one frame a step.
EVERY_STEP = _profile(1000, ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE)
# Joint states and tf as robot_state_publisher offers them; reliable: any subscriber matches.
ROBOT_STATE = _profile(10, ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE)
# The latest time is all that matters; rclpy's own clock subscription asks for best effort.
CLOCK = _profile(1, ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE)
# Joint targets from any kind of publisher; the newest counts, one lost is soon replaced.
COMMANDS = _profile(10, ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE)
# Images and other bulk sensor data: reliable publishers serve both kinds of subscriber.
IMAGES = _profile(5, ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE)
# Written once, read by whoever comes later.
LATCHED = _profile(1, ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)
# Subscriptions to somebody else's sensors: matches reliable and best-effort publishers.
SENSORS = _profile(100, ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE)
