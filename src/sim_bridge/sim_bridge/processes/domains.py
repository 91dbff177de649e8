"""ROS domains that nobody else on this machine uses."""

from __future__ import annotations

import random
import socket

# Fast DDS listens on 7400 + 250 * domain + 10 (first participant, metatraffic unicast).
_METATRAFFIC_PORT = 7410
_held: list[socket.socket] = []


def free_domain_id() -> int:
    """A ROS domain id that nobody uses on this machine, kept reserved for this process.

    The reservation is a bound TCP port: parallel test processes on one machine never share
    a domain, and the port goes back to the system when the process ends. The search begins
    anywhere, so that other machines of the network rarely come to the same one.
    """
    for domain in random.sample(range(1, 100), 99):
        holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            holder.bind(("127.0.0.1", 57000 + domain))
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.bind(("0.0.0.0", _METATRAFFIC_PORT + 250 * domain))
        except OSError:
            holder.close()
            continue
        _held.append(holder)
        return domain
    raise RuntimeError("no free ROS domain id between 1 and 99")
