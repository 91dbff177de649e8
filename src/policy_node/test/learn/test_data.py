"""The data side of learning: files, chunks and the teacher's disturbances (no torch)."""

import numpy as np
import pytest

from policy_node.learn.dataset import Demonstrations, Episode, chunks, split


def episode(seed, steps, followed=None):
    states = np.arange(steps, dtype=np.float32)[:, None] + 100 * seed
    actions = np.column_stack([states[:, 0], -states[:, 0]])
    followed = np.ones(steps, bool) if followed is None else np.array(followed, bool)
    return Episode(seed, states, actions, followed)


def test_demonstrations_survive_the_disk(tmp_path):
    data = Demonstrations((episode(1, 3), episode(2, 5, [1, 0, 1, 1, 1])), {"task": "t"})
    data.save(tmp_path / "demos.npz")
    loaded = Demonstrations.load(tmp_path / "demos.npz")
    assert loaded.settings == {"task": "t"} and loaded.steps == 8
    for a, b in zip(loaded.episodes, data.episodes, strict=True):
        assert a.seed == b.seed
        assert np.array_equal(a.states, b.states) and np.array_equal(a.actions, b.actions)
        assert np.array_equal(a.followed, b.followed)


def test_another_file_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match="other.npz is not a demonstration file"):
        Demonstrations.load(tmp_path / "other.npz")


def test_chunks_stay_within_their_episode():
    data = chunks([episode(0, 3), episode(1, 2)], horizon=2)
    assert data.states[:, 0].tolist() == [0, 1, 2, 100, 101]
    assert data.actions[:, :, 0].tolist() == [[0, 1], [1, 2], [2, 2], [100, 101], [101, 101]]
    assert data.valid.tolist() == [[1, 1], [1, 1], [1, 0], [1, 1], [1, 0]]


def test_what_follows_a_disturbance_is_no_part_of_a_chunk():
    data = chunks([episode(0, 5, [1, 1, 0, 1, 1])], horizon=4)
    # The action at a disturbed step is still the teacher's answer to what it saw.
    assert data.valid.tolist() == [
        [1, 1, 1, 0],
        [1, 1, 0, 0],
        [1, 0, 0, 0],
        [1, 1, 0, 0],
        [1, 0, 0, 0],
    ]


def test_episodes_are_held_out_whole():
    episodes = [episode(i, 4) for i in range(20)]
    training, validation = split(episodes, 0.1, seed=3)
    assert len(validation) == 2 and len(training) == 18
    assert {e.seed for e in training} | {e.seed for e in validation} == set(range(20))
    again = split(episodes, 0.1, seed=3)[1]
    assert [e.seed for e in again] == [e.seed for e in validation]
