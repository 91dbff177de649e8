"""Statistics, settings and the result folder of an evaluation, without simulators."""

import json
from dataclasses import replace

import pytest

from policy_node.evaluate.settings import EvaluationSettings, parse
from policy_node.evaluate.store import EPISODES_FILE, ResultStore, summary
from policy_node.rollout.episodes import episode_line
from sim_bridge.episodes.success_rate import wilson_interval
from sim_bridge.errors import IncorrectState, InvalidRequest, NotFound
from sim_bridge.types import EpisodeResult


def line(index, success=True, steps=40):
    episode = EpisodeResult(
        seed=100 + index, success=success, steps=steps, total_reward=float(success)
    )
    return episode_line(index, episode)


@pytest.mark.parametrize(
    "successes, trials, low, high",
    [
        # Brown, Cai and DasGupta 2001 give Wilson intervals; these by their formula (4).
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (40, 50, 0.6696, 0.8876),
        (50, 50, 0.9287, 1.0),
    ],
)
def test_wilson_interval(successes, trials, low, high):
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=1e-4)


def test_wilson_interval_at_the_edges():
    assert wilson_interval(0, 0) == (0.0, 1.0)
    narrow, wide = wilson_interval(5, 10, 0.5), wilson_interval(5, 10, 0.99)
    assert wide[0] < narrow[0] < 0.5 < narrow[1] < wide[1]
    with pytest.raises(ValueError, match="3 successes of 2"):
        wilson_interval(3, 2)


def test_summary_does_not_depend_on_the_order_of_finishing():
    lines = [line(0), line(1, False, 300), line(2), line(3)]
    result = summary(lines)
    assert result == summary(lines[::-1])
    assert result["success_rate"] == 0.75
    assert result["failed_seeds"] == [101]
    assert result["mean_steps"] == 105


def test_episodes_are_on_disk_as_soon_as_they_are_added(tmp_path):
    store = ResultStore(tmp_path, {"policy": "expert"})
    store.add(line(3))
    assert [
        json.loads(t)["index"] for t in (tmp_path / EPISODES_FILE).read_text().splitlines()
    ] == [3]
    again = ResultStore(tmp_path, {"policy": "expert"})
    assert again.finished == {3}


def test_a_line_cut_short_by_a_crash_is_run_again(tmp_path):
    store = ResultStore(tmp_path, {})
    store.add(line(0))
    store.add(line(1))
    store.close()
    path = tmp_path / EPISODES_FILE
    path.write_text(path.read_text()[:-7])
    again = ResultStore(tmp_path, {})
    assert again.finished == {0}
    again.add(line(1))
    assert [json.loads(t)["index"] for t in path.read_text().splitlines()] == [0, 1]


def test_other_settings_are_refused_by_name(tmp_path):
    settings = EvaluationSettings(policy="expert", seed=0)
    ResultStore(tmp_path, settings.identity())
    ResultStore(tmp_path, replace(settings, num_envs=4, videos=2).identity())
    with pytest.raises(IncorrectState, match="seed: 0 there, 7 now"):
        ResultStore(tmp_path, replace(settings, seed=7).identity())
    with pytest.raises(IncorrectState, match="execution"):
        execution = replace(settings.execution, strategy="asynchronous")
        ResultStore(tmp_path, replace(settings, execution=execution).identity())


def test_a_retrained_checkpoint_is_another_policy(tmp_path):
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "weights").write_bytes(b"1")
    settings = EvaluationSettings(policy=str(checkpoint))
    ResultStore(tmp_path / "out", settings.identity())
    (checkpoint / "weights").write_bytes(b"2")
    with pytest.raises(IncorrectState, match="checkpoint_sha256"):
        ResultStore(tmp_path / "out", settings.identity())


def test_command_line_wins_over_the_config_file(tmp_path):
    config = tmp_path / "evaluation.yaml"
    config.write_text("policy: expert\nepisodes: 7\nstrategy: asynchronous\nthreshold: 0.25\n")
    settings = parse(["--config", str(config), "--episodes", "3"])
    assert (settings.policy, settings.episodes) == ("expert", 3)
    assert settings.execution.strategy == "asynchronous"
    assert settings.execution.threshold == 0.25


def test_mistakes_in_the_config_file_are_named(tmp_path):
    config = tmp_path / "evaluation.yaml"
    config.write_text("policy: expert\nepisode: 7\n")
    with pytest.raises(InvalidRequest, match="unknown episode; valid: .*episodes"):
        parse(["--config", str(config)])
    config.write_text("policy: expert\nstrategy: guess\n")
    with pytest.raises(NotFound, match="unknown strategy 'guess'; valid: open_loop"):
        parse(["--config", str(config)])
    with pytest.raises(InvalidRequest, match="episodes is 0"):
        parse(["--policy", "expert", "--episodes", "0"])


def test_a_policy_must_be_given(capsys):
    with pytest.raises(SystemExit):
        parse([])
    assert "--policy" in capsys.readouterr().err


def test_running_bridges_decide_the_number_of_environments():
    settings = parse(["--policy", "expert", "--bridges", "robot_a", "robot_b"])
    assert settings.bridges == ("robot_a", "robot_b") and settings.num_envs == 2
