"""Fast DDS profiles for a graph whose two halves are joined by one forwarded TCP port.

The listening half is reached on its loopback interface only. The connecting half reaches it
through the tunnel, on the same port number (the listener tells its peers that number), and the
processes beside it as usual. ``python -m sim_bridge.remote.profiles FOLDER`` writes both
for the port 42100.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

# Fast DDS 2 (Jazzy) knows the first name, Fast DDS 3 (Kilted) the second.
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
DEFAULT_PORT = 42100

_LISTENER = """\
<?xml version="1.0" encoding="UTF-8"?>
<!-- The far end of a tunnel: one TCP port, on the loopback interface. One process can have it. -->
<dds xmlns="http://www.eprosima.com">
  <profiles>
    <transport_descriptors>
      <transport_descriptor>
        <transport_id>tcp</transport_id>
        <type>TCPv4</type>
        <listening_ports>
          <port>{port}</port>
        </listening_ports>
        <interfaceWhiteList>
          <address>127.0.0.1</address>
        </interfaceWhiteList>
      </transport_descriptor>
    </transport_descriptors>
    <participant profile_name="tcp_listen" is_default_profile="true">
      <rtps>
        <userTransports>
          <transport_id>tcp</transport_id>
        </userTransports>
        <useBuiltinTransports>false</useBuiltinTransports>
      </rtps>
    </participant>
  </profiles>
</dds>
"""

_CONNECTOR = """\
<?xml version="1.0" encoding="UTF-8"?>
<!-- The near end of a tunnel: TCP to the forwarded port, the usual transports on this side. -->
<dds xmlns="http://www.eprosima.com">
  <profiles>
    <transport_descriptors>
      <transport_descriptor>
        <transport_id>tcp</transport_id>
        <type>TCPv4</type>
        <interfaceWhiteList>
          <address>127.0.0.1</address>
        </interfaceWhiteList>
      </transport_descriptor>
      <transport_descriptor>
        <transport_id>shared_memory</transport_id>
        <type>SHM</type>
        <maxMessageSize>2000000</maxMessageSize>
        <segment_size>33554432</segment_size>
      </transport_descriptor>
      <transport_descriptor>
        <transport_id>udp</transport_id>
        <type>UDPv4</type>
        <sendBufferSize>4194304</sendBufferSize>
        <receiveBufferSize>4194304</receiveBufferSize>
      </transport_descriptor>
    </transport_descriptors>
    <participant profile_name="tcp_connect" is_default_profile="true">
      <rtps>
        <userTransports>
          <transport_id>tcp</transport_id>
          <transport_id>shared_memory</transport_id>
          <transport_id>udp</transport_id>
        </userTransports>
        <useBuiltinTransports>false</useBuiltinTransports>
        <builtin>
          <initialPeersList>
{peers}
            <locator>
              <udpv4>
                <address>239.255.0.1</address>
              </udpv4>
            </locator>
          </initialPeersList>
        </builtin>
      </rtps>
    </participant>
  </profiles>
</dds>
"""

_PEER = """\
            <locator>
              <tcpv4>
                <address>127.0.0.1</address>
                <physical_port>{port}</physical_port>
              </tcpv4>
            </locator>"""


def listener_profile(port: int) -> str:
    return _LISTENER.format(port=port)


def connector_profile(ports: Sequence[int]) -> str:
    """For the near ends of several tunnels at once; those that do not exist cost nothing."""
    return _CONNECTOR.format(peers="\n".join(_PEER.format(port=port) for port in ports))


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (folder / "tcp_listen.xml").write_text(listener_profile(DEFAULT_PORT))
    (folder / "tcp_connect.xml").write_text(connector_profile([DEFAULT_PORT]))
