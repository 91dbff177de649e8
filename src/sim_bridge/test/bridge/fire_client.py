"""Steps the bridge's scene along the script below; killed and started again by test_fire.py.

    python fire_client.py DOMAIN_ID STEPS

connects, prints ``ready``, waits for a line, then resumes (or resets when nothing was done yet)
and prints how many steps are done after every call.
"""

import sys

import numpy as np

from sim_bridge.client.env import RemoteEnv
from sim_bridge.errors import IncorrectState

CLIENT_ID = "fire"
SEED = 7
_LONGEST_CHUNK = 32


def chunk_after(step: int, low: np.ndarray, high: np.ndarray, steps: int) -> np.ndarray:
    """Actions ``(n, A)`` that follow after ``step`` steps: a function of the step alone.

    One call in two takes a single step. The targets stay in the middle half of the limits.
    """
    random = np.random.default_rng(step)
    length = int(random.integers(2, _LONGEST_CHUNK + 1)) if random.random() < 0.5 else 1
    length = min(length, steps - step)
    times = np.arange(step, step + length)[:, None] * np.linspace(0.01, 0.03, len(low))
    return (low + high) / 2 + (high - low) / 4 * np.sin(times)


def main() -> None:
    domain_id, steps = int(sys.argv[1]), int(sys.argv[2])
    env = RemoteEnv(domain_id=domain_id, connect_timeout_s=60.0, client_id=CLIENT_ID)
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        step = env.resume().step
    except IncorrectState:  # the first of us: no episode yet
        env.reset(seed=SEED)
        step = 0
    while step < steps:
        actions = chunk_after(step, env.sim_spec.action.low, env.sim_spec.action.high, steps)
        step += len(env.step_chunk(actions)[1])
        print(step, flush=True)


if __name__ == "__main__":
    main()
