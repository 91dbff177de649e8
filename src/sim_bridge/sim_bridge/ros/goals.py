"""An action server that carries out one goal at a time in a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

from rclpy.action import ActionServer, CancelResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.node import Node
from rclpy.task import Future

from sim_bridge.errors import OK, Busy, Canceled

Work = Callable[[ServerGoalHandle, Callable[[], bool]], Any]


class GoalWorker:
    """Offers action ``name`` on ``node``; ``work(handle, should_stop)`` returns the result.

    The action's result starts with a ``Result``: its code decides between succeeded, canceled
    and aborted. ``work`` blocks as long as it likes, in its own thread, and must not raise. A
    goal that comes meanwhile is answered BUSY.
    """

    def __init__(self, node: Node, action_type: Any, name: str, work: Work) -> None:
        self._node = node
        self._type = action_type
        self._name = name
        self._work = work
        self._goals: queue.Queue[tuple[ServerGoalHandle, Future] | None] = queue.Queue()
        self._busy = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)
        self._server = ActionServer(
            node,
            action_type,
            name,
            execute_callback=self._execute,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        self._stopping.set()
        self._goals.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    async def _execute(self, handle: ServerGoalHandle) -> Any:
        if self._busy:
            result = self._type.Result()
            result.result.code = Busy.code
            result.result.message = f"a {self._name} is under way; cancel it or wait for its end"
            handle.abort()
            return result
        self._busy = True
        finished: Future = Future(executor=self._node.executor)
        self._goals.put((handle, finished))
        result = await finished
        self._busy = False
        if result.result.code == OK:
            handle.succeed()
        elif result.result.code == Canceled.code and handle.is_cancel_requested:
            handle.canceled()
        else:
            handle.abort()
        return result

    def _loop(self) -> None:
        while (job := self._goals.get()) is not None:
            handle, finished = job

            def should_stop(handle: ServerGoalHandle = handle) -> bool:
                return self._stopping.is_set() or handle.is_cancel_requested

            finished.set_result(self._work(handle, should_stop))
            if self._node.executor is not None:
                self._node.executor.wake()  # a future alone resumes nobody on Jazzy
