"""Gymnasium knows ``twinstep/Remote-v0`` as soon as both it and this package are imported.

In whichever order: importing Gymnasium takes longer than a program that only wants a type should
wait, and Gymnasium looks for no entry points.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

ENV_ID = "twinstep/Remote-v0"


def register_when_imported() -> None:
    if "gymnasium" in sys.modules:
        _register(sys.modules["gymnasium"])
    else:
        sys.meta_path.insert(0, _Notice())


def _register(gymnasium: ModuleType) -> None:
    gymnasium.register(
        ENV_ID,
        entry_point="sim_bridge.client.env:RemoteEnv",
        vector_entry_point="sim_bridge.client.vector_env:make_vec",
    )


class _Notice:
    """Steps aside at the first import of Gymnasium, and registers after it."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "gymnasium":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_and_register(module: ModuleType) -> None:
                load(module)
                _register(module)

            spec.loader.exec_module = load_and_register  # type: ignore[method-assign]  # of this one
        return spec
