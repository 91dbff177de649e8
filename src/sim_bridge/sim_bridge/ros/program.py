"""What every program on the graph does around its work; for programs alone.

rclpy leaves signals to us: see ``interrupts``. The order of the end: the executor, its thread,
the node, the context. A ``BridgeError`` becomes one line on stderr and exit status 2.
"""

from __future__ import annotations

import _thread
import argparse
import contextlib
import logging
import os
import signal
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args

from sim_bridge.entry import exit_status
from sim_bridge.errors import InvalidRequest
from sim_bridge.ros.interrupts import StopFlag
from sim_bridge.settings.environment import check_environment
from sim_bridge.settings.parameters import ParameterInfo, describe, help_text

N = TypeVar("N", bound=Node)
Work = Callable[[StopFlag, argparse.Namespace], int | None]
_WAIT_S = 0.2
_JOIN_S = 2.0
_COLUMNS = 96
_PACKAGES = ("sim_bridge", "policy_node", "mujoco_mirror")
# The core logs with Python's logging; this is how ROS 2's console looks.
_LOG_FORMAT = "[%(levelname)s] [%(created)f] [%(name)s]: %(message)s"


@dataclass(frozen=True)
class Program:
    """``parameters`` are dataclasses of ``settings.parameters``, ``prefixed`` ones with what
    stands before their fields' names. ``interrupted`` is said after Ctrl-C."""

    name: str
    description: str
    parameters: tuple[type, ...] = ()
    prefixed: tuple[tuple[type, str], ...] = ()
    add_arguments: Callable[[argparse.ArgumentParser], None] = lambda parser: None
    interrupted: str = ""

    def infos(self) -> list[ParameterInfo]:
        """All parameters that may be given."""
        pairs = [*((cls, "") for cls in self.parameters), *self.prefixed]
        return [info for cls, prefix in pairs for info in describe(cls, prefix)]

    def parser(self) -> argparse.ArgumentParser:
        infos = self.infos()
        parser = argparse.ArgumentParser(
            prog=self.name,
            description="\n\n".join(
                textwrap.fill(part, _COLUMNS) for part in self.description.split("\n\n")
            ),
            epilog=f"parameters (--ros-args -p NAME:=VALUE):\n{help_text(infos)}" if infos else "",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.add_arguments(parser)
        return parser

    def run(self, work: Work, args: list[str] | None = None) -> int:
        """The exit status of ``work(stop, given)``; ``args`` as in ``sys.argv``. ``work`` ends
        soon after ``stop.requested``; at a second Ctrl-C it is interrupted."""
        try:
            return exit_status(self.name, lambda: self._run(work, args), self.interrupted)
        finally:
            rclpy.try_shutdown()

    def _run(self, work: Work, args: list[str] | None) -> int | None:
        with _ros_arguments():
            words = remove_ros_args(sys.argv if args is None else args)[1:]
        given = self.parser().parse_args(words)
        stop = StopFlag().install()
        _log_to_console()
        check_environment(os.environ)
        with _ros_arguments():
            rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
        return work(stop, given)


@contextlib.contextmanager
def _ros_arguments() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # the type is private
        raise InvalidRequest(f"ROS arguments: {str(error).splitlines()[0]}") from None


def _log_to_console() -> None:
    logging.basicConfig(level=logging.WARNING, format=_LOG_FORMAT)
    for package in _PACKAGES:
        logging.getLogger(package).setLevel(logging.INFO)


def spin(node: Node, stop: StopFlag) -> None:
    """Serve ``node`` in this thread until asked to stop, then destroy it."""
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    try:
        while not stop.requested:
            executor.spin_once(timeout_sec=_WAIT_S)
    finally:
        executor.shutdown()
        node.destroy_node()


@contextlib.contextmanager
def spinning(node: N) -> Iterator[N]:
    """Serve ``node`` in another thread for the block's length, then destroy it.

    What a callback raises interrupts this thread as Ctrl-C does, and is raised at the end.
    """
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    failures: list[Exception] = []

    def serve() -> None:
        try:
            executor.spin()
        except ExternalShutdownException:
            pass
        except Exception as error:
            failures.append(error)
            _thread.interrupt_main(signal.SIGINT)

    thread = threading.Thread(target=serve, name="executor", daemon=True)
    thread.start()
    try:
        yield node
    finally:
        executor.shutdown()
        thread.join(_JOIN_S)
        node.destroy_node()
        if failures:
            raise failures[0]
