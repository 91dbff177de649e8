"""Topics, services and actions: who offers and who uses each, found in the sources.

A name on the wire stands in ``sim_bridge/names.py``, with its meaning behind it, and every use
names it as ``names.NAME`` in one call or tuple with its type; that is what is looked for here.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .markdown import code, page, table

# The verb of each call, and the program of each folder, the longest prefix first.
VERBS = {
    "create_publisher": "publishes",
    "create_subscription": "subscribes",
    "subscribe": "subscribes",
    "Receiver": "subscribes",
    "create_service": "offers",
    "add": "offers",
    "add_deferred": "offers",
    "GoalWorker": "offers",
    "ActionServer": "offers",
    "Caller": "uses",
    "create_client": "uses",
    "ActionClient": "uses",
}
# Calls that name no topic, because theirs is always the same: constant, type, profile.
FIXED = {"SpecWatch": ("SPEC", "sim_interfaces/msg/SimSpec", "LATCHED")}
PROGRAMS = {
    "sim_bridge/bridge/": "sim_bridge",
    "sim_bridge/client/": "clients",
    "sim_bridge/ros/spec": "clients",
    "sim_bridge/trajectories/": "replay_server",
    "policy_node/node/": "policy_node",
    "policy_node/rollout/": "rollout",
    "policy_node/demo/": "demo",
    "policy_node/evaluate/": "evaluate",
    "mujoco_mirror/monitor/": "monitor",
    "mujoco_mirror/": "mirror",
}


@dataclass
class Endpoint:
    """A topic, service or action as the sources use it."""

    types: set[str] = field(default_factory=set)
    profiles: set[str] = field(default_factory=set)
    programs: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))


def text(source: Path) -> str:
    """The page for the packages below ``source``."""
    found = endpoints(source)
    meanings = _comments(source / "sim_bridge/sim_bridge/names.py")
    topics, services, actions = [], [], []
    for key, endpoint in found.items():
        name = code(wire_name(key))
        kinds = ", ".join(map(code, sorted(endpoint.types)))
        meaning = meanings[key.partition("/")[0]]
        if endpoint.profiles:
            who = _who(endpoint, "publishes"), _who(endpoint, "subscribes")
            profiles = ", ".join(sorted(endpoint.profiles))
            topics.append((name, kinds, profiles, *who, meaning))
        else:
            who = _who(endpoint, "offers"), _who(endpoint, "uses")
            is_action = all("/action/" in t for t in endpoint.types)
            (actions if is_action else services).append((name, kinds, *who, meaning))
    head = ("name", "type", "offered by", "used by", "meaning")
    return page(
        "Topics, services and actions",
        "Names are relative: they live in the namespace of the node and can be remapped. A topic "
        "that nobody subscribes to costs nothing: no message is built for it. The fields of "
        "each type are in [messages](messages.md). *clients* are `RemoteEnv` and all others that "
        "drive a bridge from Python.",
        "## Topics",
        table(("name", "type", "quality", "published by", "subscribed by", "meaning"), topics),
        "## Services",
        table(head, services),
        "## Actions",
        table(head, actions),
        "## Quality of service",
        table(("name", "profile", "for"), _profiles(source / "sim_bridge/sim_bridge/ros/qos.py")),
    )


def endpoints(source: Path) -> dict[str, Endpoint]:
    """By the constant of ``names.py`` (``NAME`` or ``NAME/suffix``), in the order of that file."""
    found: dict[str, Endpoint] = defaultdict(Endpoint)
    for path in sorted(source.glob("*/*/**/*.py")):
        module = path.relative_to(source).as_posix().partition("/")[2]
        if module.startswith("test/"):
            continue
        program = next((p for prefix, p in PROGRAMS.items() if module.startswith(prefix)), "")
        for key, kind, profile, verb in _Module(ast.parse(path.read_text())).uses():
            endpoint = found[key]
            endpoint.types.add(kind)
            endpoint.profiles |= {profile} - {""}
            endpoint.programs[verb].add(program or module)
    order = list(_comments(source / "sim_bridge/sim_bridge/names.py"))
    return dict(sorted(found.items(), key=lambda pair: (order.index(pair[0].split("/")[0]), pair)))


class _Module:
    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree
        self._packages: dict[str, str] = {}
        self._aliases: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    self._packages[alias.asname or alias.name] = f"{node.module}.{alias.name}"
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                if key := _wire_key(node.value, {}):
                    self._aliases[node.targets[0].id] = key

    def uses(self) -> Iterator[tuple[str, str, str, str]]:
        """Constant, type, profile (empty for a service) and verb of each use."""
        for group, verb in _groups(self._tree):
            key = next((k for e in group if (k := _wire_key(e, self._aliases))), "")
            kinds = [k for e in group if (k := self._type(e))]
            profiles = [p for e in group if (p := _attribute(e, "qos"))]
            if key and kinds:
                yield key, kinds[0], profiles[0] if profiles else "", verb
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                if node.func.id in FIXED:
                    yield *FIXED[node.func.id], "subscribes"

    def _type(self, node: ast.expr) -> str:
        """``package/msg/Type``; empty for anything else."""
        text = ast.unparse(node)
        head, _, rest = text.partition(".")
        full = self._packages.get(head, "") + (f".{rest}" if rest else "")
        match = re.fullmatch(r"(\w+)\.(msg|srv|action)\.([A-Z]\w+)", full)
        return "/".join(match.groups()) if match else ""


def _groups(tree: ast.Module) -> Iterator[tuple[list[ast.expr], str]]:
    """Expressions that belong together, with what is done with them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).rpartition(".")[2]
            if name in VERBS:
                yield node.args, VERBS[name]
        elif isinstance(node, ast.Tuple):  # a table of services
            yield node.elts, "offers"


def _wire_key(node: ast.expr, aliases: dict[str, str]) -> str:
    """``NAME`` of ``names.NAME`` in the expression, with what an f-string appends."""
    for inner in ast.walk(node):
        key = _attribute(inner, "names")
        if not key and isinstance(inner, ast.Name):
            key = aliases.get(inner.id, "")
        if key:
            is_appended = isinstance(node, ast.JoinedStr) and isinstance(
                node.values[-1], ast.Constant
            )
            return key + node.values[-1].value if is_appended else key
    return ""


def _attribute(node: ast.AST, owner: str) -> str:
    is_one = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    return node.attr if is_one and node.value.id == owner and node.attr.isupper() else ""


def _who(endpoint: Endpoint, verb: str) -> str:
    return ", ".join(sorted(endpoint.programs[verb]))


def wire_name(key: str) -> str:
    """The relative name, for a key of ``endpoints``."""
    from sim_bridge import names

    constant, slash, suffix = key.partition("/")
    return getattr(names, constant).replace("{}", "NAME") + slash + suffix


def _comments(path: Path) -> dict[str, str]:
    """Constant: the comment behind it."""
    pattern = re.compile(r'^([A-Z_]+) = (?:"[^"]*"|_profile\(.*?\))(?:  # (.+))?$', re.MULTILINE)
    return {name: comment or "" for name, comment in pattern.findall(path.read_text())}


def _profiles(path: Path) -> Iterator[tuple[str, str, str]]:
    from sim_bridge.ros import qos

    pattern = re.compile(r"((?:^# .+\n)+)^([A-Z_]+) = _profile", re.MULTILINE)
    for comment, name in pattern.findall(path.read_text()):
        profile = getattr(qos, name)
        words = profile.reliability.name.lower().replace("_", " ")
        latched = ", latched" if profile.durability.name == "TRANSIENT_LOCAL" else ""
        words += f"{latched}, last {profile.depth}"
        yield code(name), words, comment.replace("# ", " ").strip()
