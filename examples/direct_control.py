"""Drive a simulator on another machine as if it were here.

tools/run python examples/direct_control.py [--host gpu-server --workspace ~/twinstep]

Without --host, the simulator runs on this machine, in a process of its own.
"""

import argparse
import time

import numpy as np

from sim_bridge import RemoteHost

FORWARD_OPEN = [0.3, 0.0, 0.0, 1.0]  # the task's action: dx dy dz of the hand, gripper
CHUNK = 16


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--host", default="", help="as ssh takes it; empty: this machine")
    parser.add_argument("--workspace", default="", help="path of the workspace on that host")
    given = parser.parse_args()

    with RemoteHost(given.host, workspace=given.workspace, task="SO101PickPlace-v0") as host:
        env = host.env()
        observation, info = env.reset(seed=0)
        print(f"actions: {', '.join(env.sim_spec.action.names)}")
        print(f"observation: {', '.join(f'{k} {v.shape}' for k, v in observation.items())}")

        # One step at a time: a Gymnasium environment like any other.
        observation, reward, terminated, truncated, info = env.step(np.array(FORWARD_OPEN))

        # Many steps in one call: one round trip for all of them.
        start = time.perf_counter()
        _, rewards, *_ = env.step_chunk(np.tile(FORWARD_OPEN, (CHUNK, 1)))
        print(f"{len(rewards)} steps in {1e3 * (time.perf_counter() - start):.1f} ms")

        # Go back, do it differently, and do the same again: the same numbers come out.
        state = env.get_state()
        first = _hold(env)
        env.set_state(state)
        print(f"the same again: {'equal' if np.array_equal(_hold(env), first) else 'different'}")
        print(f"picture: {env.render().shape}")


def _hold(env):
    env.step_chunk(np.tile([0.0, 0.0, 0.0, 1.0], (CHUNK, 1)))
    return env.get_state().joint_positions


if __name__ == "__main__":
    main()
