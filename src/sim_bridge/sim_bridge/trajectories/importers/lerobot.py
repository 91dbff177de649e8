"""LeRobot datasets on disk, codebase versions 2.1 and 3.0: parquet tables and videos.

2.1 keeps one parquet file and one video an episode and lists episodes in ``episodes.jsonl``; 3.0
keeps many episodes a file and lists them, with their rows and time spans, in parquet files under
``meta/episodes``. Both describe their columns in ``meta/info.json``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sim_bridge.errors import InvalidRequest, NotFound, unknown
from sim_bridge.trajectories.importers.episode import RawEpisode
from sim_bridge.trajectories.importers.options import ImportOptions

ACTION, STATE = "action", "observation.state"
_VERSIONS = ("v2.1", "v3.0")
_VIDEO_SLACK_S = 1e-4


def recognises(path: Path) -> bool:
    return (path / "meta" / "info.json").is_file()


def read(path: Path, options: ImportOptions) -> RawEpisode:
    """InvalidRequest when it is not such a dataset or lacks the episode."""
    try:
        return _read(LeRobotFolder(path), options)
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise InvalidRequest(f"{path} is not a readable LeRobot dataset: {error!r}") from None


def _read(folder: LeRobotFolder, options: ImportOptions) -> RawEpisode:
    columns = [ACTION, *([STATE] if STATE in folder.features else [])]
    columns += [name for name in ("next.reward", "next.success") if name in folder.features]
    table = folder.episode_table(options.episode, columns)
    actions = _matrix(table, ACTION)
    states = _matrix(table, STATE) if STATE in columns else np.zeros((0, 0))
    rewards = _matrix(table, "next.reward")[:, 0] if "next.reward" in columns else np.zeros(0)
    success = "next.success" in columns and bool(_matrix(table, "next.success").any())
    return RawEpisode(
        path=folder.path,
        task=folder.task(options.episode),
        source=f"LeRobot {folder.version} ({folder.info.get('robot_type')})",
        actions=actions,
        action_names=options.action_names or folder.names(ACTION),
        period_s=1.0 / folder.info["fps"],
        rewards=rewards,
        success=success,
        joint_names=folder.names(STATE) if len(states) else (),
        joint_positions=states,
        meta={"robot_type": folder.info.get("robot_type"), "episode": options.episode},
    )


class LeRobotFolder:
    """Reads one dataset folder. InvalidRequest for another codebase version."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.info: dict[str, Any] = json.loads((path / "meta" / "info.json").read_text())
        self.version = str(self.info.get("codebase_version"))
        if self.version not in _VERSIONS:
            raise InvalidRequest(
                f"{path} has LeRobot format {self.version}; valid: {', '.join(_VERSIONS)}"
            )
        self.features: dict[str, Any] = self.info["features"]

    @property
    def num_episodes(self) -> int:
        return int(self.info["total_episodes"])

    def names(self, feature: str) -> tuple[str, ...]:
        """Names of the elements of a one-dimensional feature, ``feature[i]`` where it has none."""
        size = int(self.features[feature]["shape"][0])
        names = self.features[feature].get("names")
        if isinstance(names, dict):  # e.g. {"motors": [...]} or {name: index}
            lists = [value for value in names.values() if isinstance(value, list)]
            names = lists[0] if lists else sorted(names, key=names.__getitem__)
        if not isinstance(names, list) or len(names) != size or len(set(names)) != size:
            return tuple(f"{feature}[{i}]" for i in range(size))
        return tuple(map(str, names))

    def task(self, episode: int) -> str:
        """The instruction of the episode, or the dataset's name."""
        tasks = self._episode_row(episode).get("tasks")
        return str(tasks[0]) if tasks is not None and len(tasks) else self.path.name

    def episode_table(self, episode: int, columns: list[str]):
        """The rows of one episode as a ``pyarrow.Table``, in time order."""
        import pyarrow.compute as compute
        import pyarrow.parquet as parquet

        row = self._episode_row(episode)
        path = self.path / self._format(self.info["data_path"], row, "data")
        wanted = list(dict.fromkeys([*columns, "episode_index", "frame_index"]))
        table = parquet.read_table(path, columns=wanted)
        table = table.filter(compute.equal(table["episode_index"], episode))
        return table.sort_by("frame_index")

    def frames(self, episode: int, camera: str) -> Iterator[np.ndarray]:
        """Images ``(h, w, 3)`` RGB uint8 of one episode's video, e.g. ``observation.images.top``.

        NotFound for an unknown camera; needs PyAV.
        """
        import av

        videos = [name for name, f in self.features.items() if f.get("dtype") == "video"]
        if camera not in videos:
            raise unknown("video", camera, videos)
        row = self._episode_row(episode)
        path = self.path / self._format(self.info["video_path"], row, f"videos/{camera}", camera)
        start_s = float(row.get(f"videos/{camera}/from_timestamp", 0.0))
        with av.open(str(path)) as container:
            remaining = int(row["length"])
            for frame in container.decode(video=0):
                if remaining and frame.time >= start_s - _VIDEO_SLACK_S:
                    remaining -= 1
                    yield frame.to_ndarray(format="rgb24")
                if not remaining:
                    return

    def _episode_row(self, episode: int) -> dict[str, Any]:
        if not 0 <= episode < self.num_episodes:
            last = self.num_episodes - 1
            raise InvalidRequest(f"{self.path}: no episode {episode}; valid: 0 to {last}")
        for row in self._episode_rows():
            if row["episode_index"] == episode:
                return row
        raise NotFound(f"{self.path}: episode {episode} is not listed under meta")

    def _episode_rows(self) -> Iterator[dict[str, Any]]:
        if self.version == "v2.1":
            for line in (self.path / "meta" / "episodes.jsonl").read_text().splitlines():
                yield json.loads(line)
            return
        import pyarrow.parquet as parquet

        for path in sorted((self.path / "meta" / "episodes").rglob("*.parquet")):
            file = parquet.ParquetFile(path)
            # The statistics of every feature are columns too: leave them.
            names = [n for n in file.schema_arrow.names if not n.startswith("stats/")]
            yield from file.read(columns=names).to_pylist()

    def _format(self, pattern: str, row: dict[str, Any], prefix: str, camera: str = "") -> str:
        if self.version == "v2.1":
            episode = row["episode_index"]
            chunk = episode // int(self.info["chunks_size"])
            return pattern.format(episode_chunk=chunk, episode_index=episode, video_key=camera)
        return pattern.format(
            chunk_index=row[f"{prefix}/chunk_index"],
            file_index=row[f"{prefix}/file_index"],
            video_key=camera,
        )


def _matrix(table: Any, column: str) -> np.ndarray:
    """``(rows, width)`` float64 of a list column, ``(rows, 1)`` of a plain one."""
    values = np.array(table[column].to_pylist(), dtype=np.float64)
    return values.reshape(len(values), -1)
