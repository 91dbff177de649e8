"""Executes the first half of each chunk."""

from policy_node.execution.open_loop import OpenLoop


class FirstHalf(OpenLoop):
    def __init__(self, policy, least):
        super().__init__(policy)
        self._least = least

    def next_actions(self, observation):
        actions = super().next_actions(observation)
        return actions[: max(self._least, len(actions) // 2)]


def make(policy, settings):
    return FirstHalf(policy, settings.options().get("least", 1))
