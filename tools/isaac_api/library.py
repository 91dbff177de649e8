"""Modules, classes, functions and their signatures, looked up in source texts."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from .wheels import Sources

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Symbol:
    """``kind`` is module, class, function or value; ``module`` is where it is defined."""

    kind: str
    module: str
    name: str = ""
    node: ast.AST | None = None

    @property
    def path(self) -> str:
        return f"{self.module}.{self.name}" if self.name else self.module


@dataclass(frozen=True)
class Member:
    """Of a class: ``node`` is the function, or the annotation of an attribute (None: unknown)."""

    owner: Symbol
    name: str
    node: ast.AST | None

    @property
    def is_method(self) -> bool:
        return isinstance(self.node, _FUNCTIONS) and not self.is_property

    @property
    def is_property(self) -> bool:
        return isinstance(self.node, _FUNCTIONS) and any(
            "property" in ast.unparse(d) for d in self.node.decorator_list
        )

    @property
    def is_static(self) -> bool:
        return isinstance(self.node, _FUNCTIONS) and any(
            ast.unparse(d) == "staticmethod" for d in self.node.decorator_list
        )

    @property
    def annotation(self) -> ast.AST | None:
        return self.node.returns if isinstance(self.node, _FUNCTIONS) else self.node


class Library:
    """Answers questions about the sources; every lookup follows imports and base classes."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self._parsed: dict[str, tuple[ast.Module, ...]] = {}
        self._namespaces = {
            ".".join(name.split(".")[:i])
            for name in sources.modules
            for i in range(1, name.count(".") + 1)
        }

    def module(self, name: str) -> Symbol | None:
        known = name in self.sources.modules or name in self._namespaces
        return Symbol("module", name) if known else None

    def attribute(self, module: str, name: str) -> Symbol | None:
        """What ``module.name`` is, through re-exports; None when there is no such name."""
        return self._attribute(module, name, frozenset())

    def _attribute(self, module: str, name: str, seen: frozenset) -> Symbol | None:
        if (module, name) in seen:
            return None
        seen |= {(module, name)}
        stars: list[str] = []
        announced: Symbol | None = None
        for tree in self._trees(module):
            for node in _statements(tree):
                found = self._binding(node, module, name, seen, stars)
                if found and found.kind != "value":
                    return found
                announced = announced or found
        for star in stars:
            found = self._attribute(star, name, seen)
            if found:
                return found
        return (
            announced or self.module(f"{module}.{name}") or self._nested_import(module, name, seen)
        )

    def _binding(self, node, module, name, seen, stars) -> Symbol | None:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return Symbol("class", module, name, node)
        if isinstance(node, _FUNCTIONS) and node.name == name:
            return Symbol("function", module, name, node)
        if isinstance(node, ast.ImportFrom):
            return self._imported(node, module, name, seen, stars)
        if isinstance(node, ast.Import):
            for alias in node.names:
                if (alias.asname or alias.name.split(".")[0]) == name:
                    return self.module(alias.name if alias.asname else name)
        targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and any(
            isinstance(t, ast.Name) and t.id == name for t in targets
        ):
            # In a stub, ``X = ...`` only announces that the name exists.
            return Symbol("value", module, name, node)
        return None

    def _imported(self, node, module, name, seen, stars) -> Symbol | None:
        source = self._absolute(node, module)
        for alias in node.names:
            if alias.name == "*":
                stars.append(source)
            elif (alias.asname or alias.name) == name:
                found = self._attribute(source, alias.name, seen)
                if found:
                    return found
        return None

    def _nested_import(self, module: str, name: str, seen: frozenset) -> Symbol | None:
        """A name that a module binds in a function or with a ``try`` (SimulationApp)."""
        for tree in self._trees(module):
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom) and node not in tree.body:
                    found = self._imported(node, module, name, seen, [])
                    if found:
                        return found
        return None

    def _absolute(self, node: ast.ImportFrom, module: str) -> str:
        if not node.level:
            return node.module or ""
        parts = module.split(".")
        if module not in self.sources.packages:
            parts.pop()
        parts = parts[: len(parts) - (node.level - 1)]
        return ".".join([*parts, *filter(None, [node.module])])

    def member(self, cls: Symbol, name: str, seen: frozenset = frozenset()) -> Member | None:
        """A method, property or attribute of a class or of its bases."""
        if cls.path in seen:
            return None
        nested: Member | None = None
        for node in cls.node.body:
            if isinstance(node, _FUNCTIONS) and node.name == name:
                if not any("setter" in ast.unparse(d) for d in node.decorator_list):
                    return Member(cls, name, node)
            elif isinstance(node, ast.ClassDef) and node.name == name:
                return Member(cls, name, node)
            elif isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == name:
                return Member(cls, name, node.annotation)
            elif isinstance(node, ast.Assign) and any(
                isinstance(t, ast.Name) and t.id == name for t in node.targets
            ):
                nested = Member(cls, name, None)
        if nested:
            return nested
        return self._set_in_a_method(cls, name) or self._of_bases(cls, name, seen | {cls.path})

    def _set_in_a_method(self, cls: Symbol, name: str) -> Member | None:
        for node in ast.walk(cls.node):
            if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == f"self.{name}":
                return Member(cls, name, node.annotation)
        for node in ast.walk(cls.node):
            if isinstance(node, ast.Assign) and any(
                ast.unparse(t) == f"self.{name}" for t in node.targets
            ):
                return Member(cls, name, None)
        return None

    def _of_bases(self, cls: Symbol, name: str, seen: frozenset) -> Member | None:
        for base in self.bases(cls):
            found = self.member(base, name, seen)
            if found:
                return found
        return None

    def bases(self, cls: Symbol) -> Iterator[Symbol]:
        for base in cls.node.bases:
            found = self.evaluate(base, cls.module)
            if found and found.kind == "class":
                yield found

    def evaluate(self, node: ast.AST, module: str) -> Symbol | None:
        """The symbol that a dotted expression names in the scope of ``module``."""
        if isinstance(node, ast.Subscript):
            return self.evaluate(node.value, module)
        if isinstance(node, ast.Name):
            return self.attribute(module, node.id)
        if isinstance(node, ast.Attribute):
            base = self.evaluate(node.value, module)
            if base and base.kind == "module":
                return self.attribute(base.path, node.attr)
            nested = self.member(base, node.attr) if base and base.kind == "class" else None
            if nested and isinstance(nested.node, ast.ClassDef):
                return Symbol("class", nested.owner.module, nested.name, nested.node)
        return None

    def fields(self, cls: Symbol) -> set[str]:
        """Names that a dataclass-like constructor takes."""
        names: set[str] = set()
        for base in self.bases(cls):
            names |= self.fields(base)
        for node in cls.node.body:
            if isinstance(node, ast.AnnAssign) and "ClassVar" not in ast.unparse(node.annotation):
                names.add(ast.unparse(node.target))
            elif isinstance(node, ast.Assign):
                names.update(t.id for t in node.targets if isinstance(t, ast.Name))
        return names

    def _trees(self, module: str) -> tuple[ast.Module, ...]:
        if module not in self._parsed:
            trees = []
            for text in self.sources.modules.get(module, []):
                try:
                    trees.append(ast.parse(text))
                except SyntaxError:
                    continue
            self._parsed[module] = tuple(trees)
        return self._parsed[module]


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Module level statements, also inside ``if`` and ``try``."""
    for node in getattr(tree, "body", []):
        if isinstance(node, (ast.If, ast.Try, ast.With)):
            yield from _statements(node)
            for part in ("orelse", "finalbody"):
                yield from _statements(ast.Module(getattr(node, part, []), []))
            for handler in getattr(node, "handlers", []):
                yield from _statements(handler)
        else:
            yield node


def call_problem(function: ast.AST, positional: int, keywords: list[str], bound: bool) -> str:
    """What is wrong with a call of this signature; empty when it fits."""
    arguments = function.args
    names = [a.arg for a in [*arguments.posonlyargs, *arguments.args]]
    if bound and names:
        names = names[1:]
    known = {*names, *(a.arg for a in arguments.kwonlyargs)}
    for keyword in keywords:
        if keyword not in known and not arguments.kwarg:
            return f"no parameter {keyword!r} (has: {', '.join(sorted(known)) or 'none'})"
    if positional > len(names) and not arguments.vararg:
        return f"{positional} positional arguments, takes {len(names)}"
    required = names[: len(names) - len(arguments.defaults)]
    required += [
        a.arg for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is None
    ]
    for index, name in enumerate(required):
        given = name in keywords or (name in names and index < positional)
        if not given and "**" not in keywords and "*" not in keywords:
            return f"parameter {name!r} is missing"
    return ""
