"""Policies by address, and what runs them: action chunks on request, episodes, evaluations.

    from policy_node import open_policy

- ``policy``: the contract. ``policies``: what fulfils it. ``execution``: chunks into actions.
- ``node``: the policy node. ``rollout``: episodes. ``evaluate``: many. ``demo``: one, shown.
- ``learn``: making the policy of the demo.
"""

from typing import TYPE_CHECKING

from sim_bridge.door import door

if TYPE_CHECKING:
    from policy_node.policies.registry import open_policy as open_policy
    from policy_node.policy import BatchPolicy as BatchPolicy
    from policy_node.policy import Policy as Policy
    from policy_node.policy import PolicySource as PolicySource
    from policy_node.policy import PolicySpec as PolicySpec

_HOMES = {
    "Policy": "policy",
    "BatchPolicy": "policy",
    "PolicySpec": "policy",
    "PolicySource": "policy",
    "open_policy": "policies.registry",
}
__all__ = list(_HOMES)
__getattr__ = door(__name__, _HOMES)
