"""What a user's script does with a RemoteHost, told in lines of JSON; run as a process.

A process of its own, because Fast DDS reads the tunnel's profile once, before all nodes.
"""

import json
import sys

from sim_bridge.remote.host import RemoteHost, RemoteHostError
from sim_bridge.trajectories.trajectory import load_trajectory


def tell(**values):
    print(json.dumps(values), flush=True)


def replay(env, trajectory):
    env.reset(seed=trajectory.seed, options={"state": trajectory.state(0)})
    _, rewards, _, _, info = env.step_chunk(trajectory.actions)
    off = abs(env.get_state().joint_positions - trajectory.joint_positions[-1]).max()
    tell(success=info["success"], steps=len(rewards), joint_error=off)


def main():
    given = json.loads(sys.argv[1])
    file = given.pop("trajectory", None)
    try:
        with RemoteHost(**given, on_log=lambda line: None) as host:
            env = host.env(timeout_s=60.0)
            if file:
                replay(env, load_trajectory(file))
            env.reset(seed=0)
            tell(ssh=host.pid, environment=host.environment())
            while True:
                env.get_state()
    except RemoteHostError as error:
        tell(error=type(error).__name__, message=str(error))
    except KeyboardInterrupt:
        tell(error="KeyboardInterrupt")


if __name__ == "__main__":
    main()
