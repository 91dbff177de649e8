"""What the sources of the three packages may take from rclpy."""

import ast
import inspect
from pathlib import Path

import pytest
import rclpy.node

SRC = Path(__file__).parents[3]
ALONE = SRC / "sim_bridge/sim_bridge/ros/wait_set.py"
SOURCES = [
    path
    for package in ("sim_bridge", "policy_node", "mujoco_mirror")
    for path in sorted((SRC / package / package).rglob("*.py"))
]
# What Node keeps on itself: from its own sources, so that nothing that is set late is missed.
NODE_ATTRIBUTES = {name for name in dir(rclpy.node.Node) if not name.startswith("__")} | {
    item.attr
    for item in ast.walk(ast.parse(inspect.getsource(rclpy.node)))
    if isinstance(item, ast.Attribute)
    and isinstance(item.ctx, ast.Store)
    and isinstance(item.value, ast.Name)
    and item.value.id == "self"
}
# Overriding these is what they are for.
OVERRIDABLE = {"destroy_node"}


def test_the_attributes_of_rclpys_node_are_known():
    assert {"_parameters", "_clients", "executor", "create_timer"} <= NODE_ATTRIBUTES
    assert len(SOURCES) > 100 and ALONE in SOURCES


def imports_rclpy(tree):
    modules = [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    modules += [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
    return any(module.partition(".")[0] == "rclpy" for module in modules)


def private_uses(tree):
    """Places that reach into rclpy: its implementation, private attributes, raw handles."""
    for item in ast.walk(tree):
        if isinstance(item, ast.ImportFrom) and (item.module or "").startswith("rclpy"):
            names = [*item.module.split(".")[1:], *(alias.name for alias in item.names)]
            if any(name == "impl" or name.startswith("_") for name in names):
                yield item.lineno, f"import of {item.module}"
        elif isinstance(item, ast.Import):
            for alias in item.names:
                parts = alias.name.split(".")
                if parts[0] == "rclpy" and any(p == "impl" or p[0] == "_" for p in parts):
                    yield item.lineno, f"import of {alias.name}"
        elif isinstance(item, ast.Attribute):
            own = isinstance(item.value, ast.Name) and item.value.id in ("self", "cls")
            hidden = item.attr.startswith("_") and not item.attr.startswith("__")
            if (hidden and not own) or (item.attr == "handle" and not own):
                yield item.lineno, f".{item.attr}"


@pytest.mark.parametrize(
    "source",
    [
        "from rclpy.impl.implementation_singleton import rclpy_implementation",
        "from rclpy import _rclpy_pybind11",
        "import rclpy.impl",
        "node._clients",
        "self._executor._sigint_gc",
        "client.handle.send_request(1)",
    ],
)
def test_private_uses_are_found(source):
    assert list(private_uses(ast.parse(source)))


@pytest.mark.parametrize("source", ["self._clients", "node.executor.wake()", "self.handle = 1"])
def test_public_uses_are_not(source):
    assert not list(private_uses(ast.parse(source)))


def test_rclpys_private_api_is_used_in_one_file_alone():
    found = {}
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        if imports_rclpy(tree) and (uses := list(private_uses(tree))):
            found[path] = uses
    assert set(found) == {ALONE}, found


def node_classes():
    """``(path, class)`` of all classes that derive, also by another of ours, from Node."""
    classes = [
        (path, item)
        for path in SOURCES
        for item in ast.walk(ast.parse(path.read_text()))
        if isinstance(item, ast.ClassDef)
    ]
    known = {"Node", "LifecycleNode"}
    while True:
        nodes = [(p, c) for p, c in classes if known & {_last(base) for base in c.bases}]
        if known >= {c.name for _, c in nodes}:
            return nodes
        known |= {c.name for _, c in nodes}


def _last(base):
    return base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "")


def shadowed(tree):
    """Names of rclpy's Node that a class defines, assigns or reads although they are private."""
    for item in tree.body:
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef):
            yield item.name, item.lineno
        elif isinstance(item, ast.Assign | ast.AnnAssign):
            targets = item.targets if isinstance(item, ast.Assign) else [item.target]
            for target in targets:
                if isinstance(target, ast.Name):
                    yield target.id, item.lineno
    for item in ast.walk(tree):
        if (
            isinstance(item, ast.Attribute)
            and isinstance(item.value, ast.Name)
            and item.value.id == "self"
            and (isinstance(item.ctx, ast.Store) or item.attr.startswith("_"))
        ):
            yield item.attr, item.lineno


def test_no_node_has_an_attribute_that_rclpys_has():
    nodes = node_classes()
    assert {"SimBridge", "PolicyNode", "MirrorNode", "Monitor"} <= {c.name for _, c in nodes}
    clashes = [
        f"{path.relative_to(SRC)}:{line}: {cls.name}.{name}"
        for path, cls in nodes
        for name, line in shadowed(cls)
        if name in NODE_ATTRIBUTES - OVERRIDABLE
    ]
    assert not clashes, clashes


def test_such_an_attribute_would_be_found():
    tree = ast.parse("class N(Node):\n def __init__(self):\n  self._parameters = 1").body[0]
    assert "_parameters" in {name for name, _ in shadowed(tree)} & NODE_ATTRIBUTES
