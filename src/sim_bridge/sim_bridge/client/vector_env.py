"""Several remote simulators as one vector environment, stepped at the same time."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array

from sim_bridge.client.env import RemoteEnv
from sim_bridge.errors import BridgeError, InvalidRequest
from sim_bridge.names import namespaces as all_namespaces


class RemoteVectorEnv(VectorEnv):
    """One ``RemoteEnv`` per namespace, each with its own thread and connection.

    The requests of one ``step`` are under way together, so it takes as long as the slowest
    simulator. An environment whose episode ended is reset by the next ``step`` (Gymnasium's
    NEXT_STEP mode: that step's reward is 0 and its observation the first of the new episode).
    """

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(self, namespaces: Sequence[str], **kwargs: Any) -> None:
        if not namespaces:
            raise InvalidRequest("no namespaces; valid: one per bridge, e.g. env_0 env_1")
        self._pool = ThreadPoolExecutor(len(namespaces), thread_name_prefix="remote_env")
        self.envs: list[RemoteEnv] = []
        try:
            self.envs = self._connect(namespaces, kwargs)
            self._check_alike(namespaces)
        except BaseException:
            self.close()
            raise
        first = self.envs[0]
        self.num_envs = len(self.envs)
        self.metadata = {**first.metadata, **self.metadata}
        self.single_observation_space = first.observation_space
        self.single_action_space = first.action_space
        self.observation_space = batch_space(first.observation_space, self.num_envs)
        self.action_space = batch_space(first.action_space, self.num_envs)
        self._ended = np.zeros(self.num_envs, dtype=bool)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """``seed`` is one per environment, or one number s for s, s + 1, ..."""
        if seed is None or isinstance(seed, (int, np.integer)):
            seed = [None if seed is None else int(seed) + i for i in range(self.num_envs)]
        results = self._each(lambda i: self.envs[i].reset(seed=seed[i], options=options))
        self._ended[:] = False
        return self._stack([r[0] for r in results]), self._infos([r[1] for r in results])

    def step(self, actions: Any) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        def advance(i: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
            if self._ended[i]:
                observation, info = self.envs[i].reset()
                return observation, 0.0, False, False, info
            return self.envs[i].step(actions[i])

        observations, rewards, over, cut, infos = zip(*self._each(advance), strict=True)
        terminated, truncated = np.array(over), np.array(cut)
        self._ended = terminated | truncated
        return (
            self._stack(observations),
            np.array(rewards),
            terminated,
            truncated,
            self._infos(infos),
        )

    def close_extras(self, **kwargs: Any) -> None:
        for env in self.envs:
            with contextlib.suppress(BridgeError):
                env.close()
        self._pool.shutdown(wait=True)

    def close(self, **kwargs: Any) -> None:
        if not getattr(self, "closed", False):
            self.close_extras(**kwargs)
            self.closed = True

    def _connect(self, namespaces: Sequence[str], kwargs: dict[str, Any]) -> list[RemoteEnv]:
        futures = [self._pool.submit(RemoteEnv, name, **kwargs) for name in namespaces]
        errors = [f.exception() for f in futures]
        self.envs = [f.result() for f, error in zip(futures, errors, strict=True) if error is None]
        for error in errors:
            if error is not None:
                raise error
        return self.envs

    def _check_alike(self, namespaces: Sequence[str]) -> None:
        first = self.envs[0]
        for name, env in zip(namespaces, self.envs, strict=True):
            if (env.action_space, env.observation_space) != (
                first.action_space,
                first.observation_space,
            ):
                raise InvalidRequest(
                    f"{name} hosts {env.sim_spec.task} with spaces other than those of "
                    f"{namespaces[0]} ({first.sim_spec.task}); all bridges must host the same task"
                )

    def _each(self, call: Any) -> list[Any]:
        return list(self._pool.map(call, range(self.num_envs)))

    def _stack(self, observations: Sequence[Any]) -> Any:
        space = self.single_observation_space
        return concatenate(space, observations, create_empty_array(space, self.num_envs))

    def _infos(self, infos: Sequence[dict[str, Any]]) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for i, info in enumerate(infos):
            merged = self._add_info(merged, info, i)
        return merged


def make_vec(
    num_envs: int = 1, namespaces: Sequence[str] | None = None, **kwargs: Any
) -> RemoteVectorEnv:
    """For ``gymnasium.make_vec``: the bridges at ``namespaces``, else at env_0, env_1, ..."""
    if namespaces is not None and num_envs not in (1, len(namespaces)):
        raise InvalidRequest(f"num_envs is {num_envs}, but there are {len(namespaces)} namespaces")
    return RemoteVectorEnv(all_namespaces(num_envs) if namespaces is None else namespaces, **kwargs)
