"""When to speak of a trouble that comes and goes: once, until it has been over for a while."""

from __future__ import annotations


class Trouble:
    def __init__(self, calm_s: float = 5.0) -> None:
        self._calm_s = calm_s
        self._ongoing = False
        self._right_since_s: float | None = None

    def begins(self, wrong: bool, now_s: float) -> bool:
        """Whether this is news; it is over when nothing was wrong for ``calm_s``."""
        if wrong:
            news = not self._ongoing
            self._ongoing, self._right_since_s = True, None
            return news
        if self._right_since_s is None:
            self._right_since_s = now_s
        elif now_s - self._right_since_s > self._calm_s:
            self._ongoing = False
        return False
