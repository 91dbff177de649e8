"""Collect an episode on another machine, then replay it in the mirror, here, without it.

tools/run python examples/collect_then_replay.py [--host gpu-server --workspace ~/twinstep]

Leaves the trajectory, a video of it and its last picture in --output.
"""

import argparse
from pathlib import Path

from mujoco_mirror.recording import film
from policy_node.policies.registry import open_policy
from sim_bridge import RemoteHost
from sim_bridge.progress import Stage
from sim_bridge.trajectories.trajectory import TrajectoryRecorder


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--host", default="", help="as ssh takes it; empty: this machine")
    parser.add_argument("--workspace", default="", help="path of the workspace on that host")
    parser.add_argument("--policy", default="expert", help="policy address")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-steps", type=int, default=200)
    parser.add_argument("--size", default="640x480", help="of the video [px]")
    parser.add_argument("--output", type=Path, default=Path("output/collected"))
    given = parser.parse_args()

    with RemoteHost(given.host, workspace=given.workspace, task="SO101PickPlace-v0") as host:
        env = host.env(joints=True)  # the expert looks at the joints
        policy = open_policy(given.policy, env.sim_spec).for_client("example")
        trajectory = collect(env, policy, given.seed, given.max_steps)
    file = trajectory.save(given.output / "episode.npz")
    print(f"{file}: {trajectory.num_steps} steps, {'' if trajectory.success else 'no '}success")

    # The simulator is gone: the mirror needs nothing but the states in the file.
    film.main([str(file), "--output", str(given.output), "--size", given.size])


def collect(env, policy, seed, max_steps):
    """One episode with every state, a control step at a time."""
    env.reset(seed=seed)
    policy.reset(seed)
    recorder = TrajectoryRecorder(env.sim_spec, seed, env.get_state())
    done, info = False, {"success": False}
    with Stage("collecting", "step", max_steps) as stage:
        while not done and stage.count < max_steps:
            for action in policy.infer(env.last_observation):
                _, reward, terminated, truncated, info = env.step(action)
                recorder.add(action, env.get_state(), reward)
                stage.advance()
                done = terminated or truncated
                if done or stage.count >= max_steps:
                    break
    return recorder.finish(info["success"])


if __name__ == "__main__":
    main()
