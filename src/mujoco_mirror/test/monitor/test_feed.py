"""What the monitor knows, without ROS and without a server."""

import json
import math
import threading

import numpy as np
import pytest

from mujoco_mirror.monitor.charts import CHARTS, Chart, short_names
from mujoco_mirror.monitor.feed import Cursor, MonitorFeed
from mujoco_mirror.monitor.samples import ChunkSample, Health, StepSample
from mujoco_mirror.monitor.series import Series
from sim_bridge.types import ActionSpec, JointSpec, SimSpec, SimState


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def make_spec(bridge_id="first"):
    joints = (JointSpec("arm/pan", True, -1, 1), JointSpec("arm/finger", False, 0, 1))
    action = ActionSpec(("pan", "finger"), -np.ones(2), np.ones(2), ("rad", "m"), "joint_position")
    return SimSpec(
        simulator="toy",
        simulator_version="toy 1.0",
        task="Toy-v0",
        instruction="do it",
        robot_entities=("arm",),
        base_frames=("arm/base",),
        joints=joints,
        action=action,
        observations=(),
        control_period_s=0.1,
        bridge_id=bridge_id,
    )


def make_state(episode, step, positions=(0.0, 0.0)):
    return SimState(
        time_s=0.1 * step,
        episode=episode,
        step=step,
        joint_names=("arm/pan", "arm/finger"),
        joint_positions=np.array(positions),
    )


def make_step(episode, step, reward=1.0, **outcome):
    return StepSample(episode, step, np.array([0.1, 0.2]), reward, **outcome)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def feed(clock):
    return MonitorFeed(lost_after_s=1.0, clock=clock)


def everything(feed):
    return feed.changes(Cursor())[0]


def link(feed):
    return everything(feed)["status"]["link"]


def test_a_series_gives_each_reader_only_what_is_new():
    series = Series(10)
    series.append(1, [10.0, 20.0])
    series.append(2, [11.0, 21.0])
    assert series.since(-1) == {"reset": True, "x": [1, 2], "y": [[10.0, 11.0], [20.0, 21.0]]}
    seen = series.total
    series.append(3, [12.0, 22.0])
    assert series.since(seen) == {"reset": False, "x": [3], "y": [[12.0], [22.0]]}


def test_a_reader_that_fell_behind_a_bounded_series_starts_over():
    series = Series(3)
    for x in range(10):
        series.append(x, [x])
    assert series.since(2) == {"reset": True, "x": [7, 8, 9], "y": [[7.0, 8.0, 9.0]]}
    assert series.since(8)["reset"] is False
    assert series.since(8)["x"] == [8, 9]


def test_clearing_a_series_reaches_readers_that_had_seen_all_of_it():
    series = Series(3)
    series.append(1, [1.0])
    seen = series.total
    series.clear()
    assert series.total != seen
    assert series.since(seen) == {"reset": True, "x": [], "y": []}


def test_rows_of_another_width_start_a_series_over():
    series = Series(3)
    series.append(1, [1.0, 2.0])
    seen = series.total
    series.append(2, [3.0])
    assert series.since(seen) == {"reset": True, "x": [2], "y": [[3.0]]}


def test_the_simulator_is_waited_for_live_idle_and_lost(feed, clock):
    assert link(feed) == "waiting"
    feed.on_spec(make_spec())
    assert link(feed) == "idle"
    feed.on_state(make_state(1, 0))
    assert link(feed) == "live"
    clock.now += 1.1
    assert link(feed) == "lost"
    feed.on_alive()
    assert link(feed) == "idle"
    clock.now += 1.1
    assert link(feed) == "lost"
    feed.on_state(make_state(1, 1))
    assert link(feed) == "live"


def test_gaps_in_the_steps_count_as_drops_and_steps_backwards_as_disorder(feed):
    for step in (0, 1, 2, 5, 4, 6):
        feed.on_state(make_state(1, step))
    feed.on_state(make_state(2, 0))
    status = everything(feed)["status"]
    assert (status["received"], status["dropped"], status["disordered"]) == (7, 3, 1)


def test_plots_start_over_with_each_episode(feed):
    cursor = Cursor()
    feed.on_state(make_state(1, 0))
    feed.on_state(make_state(1, 1, (0.5, 0.25)))
    feed.on_step(make_step(1, 1))
    first = feed.changes(cursor)[0]["series"]
    assert first["state"]["x"] == [0, 1]
    assert first["state"]["y"] == [[0.0, 0.5], [0.0, 0.25]]
    assert first["action"]["y"] == [[0.1], [0.2]]
    feed.on_state(make_state(2, 0))
    second = feed.changes(cursor)[0]["series"]
    assert second["state"]["reset"] and second["state"]["x"] == [0]
    assert second["action"] == {"reset": True, "x": [], "y": []}


def test_a_step_that_overtakes_its_state_opens_the_episode_once(feed):
    feed.on_state(make_state(1, 0))
    feed.on_step(make_step(2, 1))
    feed.on_state(make_state(2, 1))
    series = everything(feed)["series"]
    assert series["action"]["x"] == [1]
    assert series["state"]["x"] == [1]


def test_chunks_belong_to_their_episode(feed):
    feed.on_state(make_state(2, 0))
    feed.on_chunk(ChunkSample(1, 40, 0.02))  # of the episode before
    feed.on_chunk(ChunkSample(2, 0, 0.03))
    assert everything(feed)["series"]["chunk"]["y"][0] == [30.0]
    feed.on_chunk(ChunkSample(3, 0, 0.04))  # before the state of its own
    feed.on_state(make_state(3, 0))
    assert everything(feed)["series"]["chunk"]["y"][0] == [40.0]


def test_written_states_that_keep_their_step_are_rows_of_their_own(feed):
    for position in (0.0, 0.1, 0.2):
        feed.on_state(make_state(1, 0, (position, 0.0)))
    assert everything(feed)["series"]["state"]["x"] == [0, 1, 2]
    assert everything(feed)["status"]["dropped"] == 0


def test_episodes_end_as_the_task_said_or_stopped(feed):
    feed.on_step(make_step(1, 1, 0.5))
    feed.on_step(make_step(1, 2, 0.25, terminated=True, success=True))
    feed.on_step(make_step(2, 1, terminated=True))
    feed.on_step(make_step(3, 1, truncated=True))
    feed.on_step(make_step(4, 1))
    feed.on_step(make_step(5, 1))
    feed.on_verdict(5)
    episodes = everything(feed)["episodes"]
    outcomes = [e["outcome"] for e in episodes]
    assert outcomes == ["success", "terminated", "truncated", "stopped", "running"]
    assert episodes[0] == {
        "number": 1,
        "steps": 2,
        "return": 0.75,
        "outcome": "success",
        "marked": False,
    }
    assert episodes[-1]["marked"]


def test_the_return_is_unknown_when_steps_were_missed(feed):
    feed.on_step(make_step(1, 7))
    feed.on_step(make_step(1, 8))
    assert everything(feed)["episodes"][0]["return"] is None


def test_the_lag_is_from_a_state_to_its_own_picture(feed, clock):
    feed.on_state(make_state(1, 3))
    clock.now += 0.040
    feed.on_picture(0.1 * 3)
    assert everything(feed)["status"]["picture_lag_ms"] == pytest.approx(40.0)
    feed.on_picture(17.0)  # of a state that was never seen
    assert everything(feed)["status"]["picture_lag_ms"] == pytest.approx(40.0)


MIRROR = (("pictures_to_draw", "900"), ("draw_ms_p50", "700.0"), ("live_lag_ms_p50", "1400.0"))


def test_pictures_that_stop_raise_an_alarm_that_says_by_how_much_and_why(feed, clock):
    def said():
        return [alarm["text"] for alarm in everything(feed)["status"]["alarms"]]

    feed.on_state(make_state(1, 1))
    feed.on_picture(0.1)
    for step in range(2, 30):
        clock.now += 0.1
        feed.on_state(make_state(1, step))
    assert said() == ["The picture is 2.7 s behind the simulator: no mirror reports."]
    assert everything(feed)["status"]["picture_lag_ms"] == pytest.approx(2700.0)
    feed.on_health([Health("mirror", 0, "fine", MIRROR)])
    assert said()[0].endswith("the mirror takes 700.0 ms for one.")
    feed.on_picture(0.1 * 29)
    assert said() == []
    clock.now += 0.5
    assert said() == [], "nothing newer waits for a picture"
    feed.on_state(make_state(1, 30))
    clock.now += 0.6
    feed.on_no_pictures()
    assert said() == [], "nobody looks"


def test_the_lag_survives_times_that_start_over(feed, clock):
    for episode in (1, 2):
        for step in range(20):
            feed.on_state(make_state(episode, step))
            clock.now += 0.01
            feed.on_picture(0.1 * step)
            assert everything(feed)["status"]["picture_lag_ms"] == pytest.approx(10.0)


def test_a_mirror_that_cannot_show_something_says_so_on_the_page(feed):
    feed.on_health([Health("mirror", 1, "not in the model: lid", MIRROR)])
    assert everything(feed)["status"]["alarms"] == [
        {"tone": "warn", "text": "Mirror: not in the model: lid."}
    ]


def test_another_bridge_starts_from_nothing(feed):
    feed.on_spec(make_spec("first"))
    feed.on_state(make_state(9, 4))
    feed.on_spec(make_spec("first"))
    assert everything(feed)["status"]["episode"] == 9
    feed.on_spec(make_spec("second"))
    now = everything(feed)
    assert "episode" not in now["status"]
    assert now["episodes"] == []
    assert now["series"]["state"]["x"] == []


def charts(feed):
    return {chart["name"]: chart for chart in everything(feed)["charts"]}


def test_the_charts_name_joints_with_their_units_and_actions(feed):
    assert charts(feed)["state"]["labels"] == []
    feed.on_spec(make_spec())
    feed.on_state(make_state(1, 0))
    described = charts(feed)
    assert described["state"]["labels"] == ["pan", "finger [m]"]
    assert described["state"]["unit"] == "rad, m"
    assert described["action"]["labels"] == ["pan", "finger"]
    assert described["action"]["unit"] == "joint position"


def test_joints_that_are_alike_but_for_their_robot_keep_their_full_names():
    assert short_names(("left/elbow", "right/elbow")) == ["left/elbow", "right/elbow"]
    assert short_names(("left/elbow", "left/wrist")) == ["elbow", "wrist"]


def test_no_series_arrives_without_the_description_of_its_chart(clock):
    """Whatever is plotted, a reader knows the chart no later than its first row."""
    clock_chart = Chart("clock", "Clock", SimState, lambda s, e: (s.time_s,), "No states yet")
    feed = MonitorFeed(clock=clock, charts=(*CHARTS, clock_chart))
    cursor, known = Cursor(), set()
    steps = (
        lambda: feed.on_chunk(ChunkSample(1, 0, 0.02)),
        lambda: feed.on_step(make_step(1, 1)),
        lambda: feed.on_state(make_state(1, 1)),
        lambda: feed.on_spec(make_spec("another")),
        lambda: feed.on_state(make_state(1, 2)),
    )
    for step in steps:
        step()
        update = feed.changes(cursor)[0]
        known |= {chart["name"] for chart in update.get("charts", [])}
        assert set(update.get("series", {})) <= known
    assert len(known) == len(CHARTS) + 1
    assert everything(feed)["series"]["clock"]["x"] == [1, 2]


def test_statuses_that_are_not_repeated_go_stale(feed, clock):
    cursor = Cursor()
    feed.on_health([Health("mirror", 1, "link error", (("worst_link", "arm/jaw"),))])
    assert feed.changes(cursor)[0]["health"] == [
        {
            "name": "mirror",
            "level": 1,
            "message": "link error",
            "values": [["worst_link", "arm/jaw"]],
        }
    ]
    assert "health" not in feed.changes(cursor)[0]
    clock.now += 11.0
    assert feed.changes(cursor)[0]["health"][0]["level"] == 3


def test_numbers_that_json_cannot_hold_become_null(feed):
    feed.on_state(make_state(1, 0, (math.nan, math.inf)))
    feed.on_step(make_step(1, 1, reward=math.nan))
    feed.on_chunk(ChunkSample(1, 0, 0.02, 0.001))
    now = everything(feed)
    json.dumps(now, allow_nan=False)
    assert now["series"]["state"]["y"] == [[None], [None]]
    assert now["status"]["reward"] is None
    assert now["series"]["chunk"] == {"reset": True, "x": [0], "y": [[20.0], [1.0]]}


def test_memory_is_bounded(feed):
    for step in range(20_000):
        feed.on_state(make_state(1, step))
        feed.on_step(make_step(step, 1))
        feed.on_health([Health(f"status {step}", 0, "")])
    now = everything(feed)
    assert len(now["series"]["state"]["x"]) <= 4000
    assert len(now["episodes"]) <= 50
    assert len(now["health"]) <= 32


def test_readers_and_writers_on_several_threads_lose_nothing(feed):
    total, seen, cursor = 3000, [], Cursor()

    def write():
        for step in range(total):
            feed.on_state(make_state(1, step))

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive() or len(seen) < total:
        rows = feed.changes(cursor)[0].get("series", {}).get("state")
        if rows:
            seen = ([] if rows["reset"] else seen) + rows["x"]
    writer.join()
    assert seen == list(range(total))
