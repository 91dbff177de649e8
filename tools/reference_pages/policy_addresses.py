"""Forms of a policy's address, from the tables that resolve them."""

from __future__ import annotations

from policy_node.policies.registry import forms
from policy_node.policies.servers.address import COMMON_OPTIONS, TOKEN_VARIABLE

from .markdown import code, page, table


def text() -> str:
    intro = (
        "What the parameter and launch argument `policy` and the option `--policy` may be. "
        "[Use a model server](../how-to/model-servers.md) has the options of each server; "
        "[add a policy server](../how-to/add-a-policy-server.md) says how a package adds one."
    )
    rows = [(code(form), meaning) for form, meaning in forms()]
    common = (
        f"Model servers take the options {', '.join(map(code, COMMON_OPTIONS))}, as in "
        "`ws://gpu:8000?map=openpi_droid&timeout_s=20`; a port that is not given is the one above. "
        f"Without `token`, the environment variable `{TOKEN_VARIABLE}` is read."
    )
    return page("Policy addresses", intro, table(("address", "policy"), rows), common)
