"""Follows our files: which Isaac symbols they name, call and reach through typed values.

Types come from imports (also under ``TYPE_CHECKING``), annotations, constructor calls and the
return annotations in the wheels. What has no known type is not followed; annotate it in our
file to have it checked.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .library import Library, Member, Symbol, call_problem
from .wheels import TOP_LEVEL

_CONTAINERS = {"list", "tuple", "dict", "Mapping", "Sequence", "Iterator", "Iterable"}
_VALUES_OF = {"values", "items", "get", "copy"}


@dataclass(frozen=True)
class Use:
    """One use in one of our files. ``problem`` is empty when it exists as used."""

    symbol: str
    where: str
    problem: str = ""


@dataclass(frozen=True)
class Type:
    """A module, class or function (``symbol``), an instance of a class, or a bound member;
    ``many`` for a container of instances."""

    symbol: Symbol
    instance: bool = False
    many: bool = False
    member: Member | None = None


class FileUses(ast.NodeVisitor):
    """The uses in one file."""

    def __init__(self, library: Library, path: Path, name: str) -> None:
        self._library = library
        self._name = name
        self._tree = ast.parse(path.read_text())
        self._names: dict[str, Type] = {}
        self._own: dict[str, Type] = {}
        self._returns: dict[str, Type] = {}
        self.uses: list[Use] = []

    def collect(self) -> list[Use]:
        for node in ast.walk(self._tree):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                self._bind_import(node)
        for node in ast.walk(self._tree):
            if isinstance(node, ast.ClassDef):
                self._bind_class_fields(node)
            if isinstance(node, ast.FunctionDef) and node.returns:
                found = self._annotated(node.returns)
                if found:
                    self._returns[node.name] = found
        for _ in range(2):  # a second pass knows the attributes that the first one found
            self.uses.clear()
            outer = dict(self._names)
            self.visit(self._tree)
            self._names = outer
        for node in ast.walk(self._tree):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                self._check_import(node)
        return self.uses

    def _bind_import(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias, target in _imports(node):
            found = self._resolve(target)
            if found:
                self._names[alias] = Type(found)

    def _resolve(self, target: str) -> Symbol | None:
        module, _, name = target.rpartition(".")
        return self._library.module(target) or (
            self._library.attribute(module, name) if module else None
        )

    def _check_import(self, node: ast.Import | ast.ImportFrom) -> None:
        for _, target in _imports(node):
            if not target.startswith(TOP_LEVEL):
                continue
            found = self._resolve(target)
            module = found.module if found else target.rpartition(".")[0]
            problem = "" if found else "no such module or name"
            if found and {module, target} & self._library.sources.deprecated:
                problem = "deprecated"
            self._use(node, target, problem)

    def _bind_class_fields(self, node: ast.ClassDef) -> None:
        for item in ast.walk(node):
            if isinstance(item, ast.AnnAssign):
                target = ast.unparse(item.target).removeprefix("self.")
                found = self._annotated(item.annotation)
                if found:
                    self._own[target] = found
        for base in node.bases:
            found = self._type(base, quiet=True)
            if found and found.symbol.kind == "class":
                self._own.setdefault("", Type(found.symbol, instance=True))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        outer = dict(self._names)
        for argument in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]:
            found = self._annotated(argument.annotation) if argument.annotation else None
            if found:
                self._names[argument.arg] = found
            else:
                self._names.pop(argument.arg, None)
        self.generic_visit(node)
        self._names = outer

    def visit_Assign(self, node: ast.Assign) -> None:
        self.generic_visit(node)
        found = self._type(node.value, quiet=True)
        for target in node.targets:
            self._assign(target, found)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.generic_visit(node)
        self._assign(node.target, self._annotated(node.annotation))

    def visit_For(self, node: ast.For) -> None:
        self._bind_loop(node.target, node.iter)
        self.generic_visit(node)

    def visit_ListComp(self, node: ast.ListComp) -> None:
        self._comprehension(node)

    visit_SetComp = visit_GeneratorExp = visit_DictComp = visit_ListComp

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self._type(node)

    def visit_Call(self, node: ast.Call) -> None:
        self._type(node)
        for argument in [*node.args, *(k.value for k in node.keywords)]:
            self.visit(argument)

    def _comprehension(self, node) -> None:
        outer = dict(self._names)
        for generator in node.generators:
            self._bind_loop(generator.target, generator.iter)
        self.generic_visit(node)
        self._names = outer

    def _bind_loop(self, target: ast.AST, iterable: ast.AST) -> None:
        found = self._type(iterable, quiet=True)
        element = Type(found.symbol, instance=True) if found and found.many else None
        if isinstance(target, ast.Tuple) and isinstance(iterable, ast.Call):
            # ``for key, value in x.items()``
            self._assign(target.elts[-1], element)
            return
        self._assign(target, element)

    def _assign(self, target: ast.AST, found: Type | None) -> None:
        if isinstance(target, ast.Name):
            if found:
                self._names[target.id] = found
            else:
                self._names.pop(target.id, None)
        elif isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self" and found:
            self._own.setdefault(target.attr, found)

    def _type(self, node: ast.AST, quiet: bool = False) -> Type | None:
        """The type of an expression; records the Isaac symbols in it unless ``quiet``."""
        if isinstance(node, ast.Name):
            return self._names.get(node.id)
        if isinstance(node, ast.Attribute):
            return self._type_of_attribute(node, quiet)
        if isinstance(node, ast.Call):
            return self._type_of_call(node, quiet)
        if isinstance(node, ast.Subscript):
            base = self._type(node.value, quiet)
            return Type(base.symbol, instance=True) if base and base.many else None
        if isinstance(node, ast.IfExp):
            return self._type(node.body, quiet) or self._type(node.orelse, quiet)
        if isinstance(node, (ast.DictComp, ast.ListComp)):
            value = node.value if isinstance(node, ast.DictComp) else node.elt
            found = self._type(value, quiet=True)
            return (
                Type(found.symbol, instance=True, many=True) if found and found.instance else None
            )
        return None

    def _type_of_attribute(self, node: ast.Attribute, quiet: bool) -> Type | None:
        if isinstance(node.value, ast.Name) and node.value.id == "self":
            return self._own_attribute(node, quiet)
        base = self._type(node.value, quiet)
        if base is None or base.member:
            return None
        if base.many:
            return base if node.attr in _VALUES_OF else None
        if base.symbol.kind == "module":
            found = self._library.attribute(base.symbol.module, node.attr)
            self._use(
                node, f"{base.symbol.path}.{node.attr}", "" if found else "no such name", quiet
            )
            return Type(found) if found else None
        if base.symbol.kind != "class":
            return None
        return self._type_of_member(node, base.symbol, quiet)

    def _own_attribute(self, node: ast.Attribute, quiet: bool) -> Type | None:
        if node.attr in self._own:
            return self._own[node.attr]
        if node.attr in self._returns or "" not in self._own or node.attr.startswith("__"):
            return None
        found = self._library.member(self._own[""].symbol, node.attr)
        if not found:
            return None  # an attribute of our own class
        return self._type_of_member(node, self._own[""].symbol, quiet)

    def _type_of_member(self, node: ast.Attribute, cls: Symbol, quiet: bool) -> Type | None:
        found = self._library.member(cls, node.attr)
        self._use(node, f"{cls.path}.{node.attr}", "" if found else "no such member", quiet)
        if not found:
            return None
        if found.is_method:
            return Type(cls, member=found)
        if isinstance(found.node, ast.ClassDef):
            return Type(Symbol("class", found.owner.module, found.name, found.node))
        return self._typed_by(found.annotation, found.owner.module)

    def _type_of_call(self, node: ast.Call, quiet: bool) -> Type | None:
        own = self._returns.get(ast.unparse(node.func).removeprefix("self."))
        if own:
            return own
        called = self._type(node.func, quiet)
        if called is None:
            return None
        if called.many:
            return called
        if called.member:
            bound = not called.member.is_static
            self._check_call(
                node, called.member.node, called.symbol, called.member.name, bound, quiet
            )
            return self._typed_by(called.member.annotation, called.member.owner.module)
        if called.symbol.kind == "function":
            self._check_call(node, called.symbol.node, called.symbol, "", False, quiet)
            return self._typed_by(called.symbol.node.returns, called.symbol.module)
        if called.symbol.kind == "class" and not called.instance:
            self._check_construction(node, called.symbol, quiet)
            return Type(called.symbol, instance=True)
        return None

    def _check_construction(self, node: ast.Call, cls: Symbol, quiet: bool) -> None:
        init = self._library.member(cls, "__init__")
        if init and init.is_method:
            self._check_call(node, init.node, cls, "", True, quiet)
            return
        fields = self._library.fields(cls)
        for keyword in node.keywords:
            if keyword.arg and fields:
                problem = "" if keyword.arg in fields else "no such field"
                self._use(node, f"{cls.path}({keyword.arg}=)", problem, quiet)

    def _check_call(self, node, function, cls: Symbol, name: str, bound: bool, quiet: bool) -> None:
        keywords = [k.arg or "**" for k in node.keywords]
        starred = any(isinstance(a, ast.Starred) for a in node.args)
        positional = 0 if starred else len(node.args)
        shown = [*("*" if starred else "_" for _ in node.args), *(f"{k}=" for k in keywords)]
        problem = call_problem(function, positional, [*keywords, *["*"] * starred], bound)
        path = f"{cls.path}.{name}" if name else cls.path
        self._use(node, f"{path}({', '.join(shown)})", problem, quiet)

    def _annotated(self, node: ast.AST) -> Type | None:
        return self._typed_by(node, None)

    def _typed_by(self, node: ast.AST | None, module: str | None) -> Type | None:
        """The type that an annotation names, in our file (``module`` None) or in a wheel's."""
        if node is None:
            return None
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node = ast.parse(node.value, mode="eval").body
        if isinstance(node, ast.BinOp):
            return self._typed_by(node.left, module) or self._typed_by(node.right, module)
        if isinstance(node, ast.Subscript):
            return self._typed_by_subscript(node, module)
        if module is None:
            found = self._type(node, quiet=True)
            symbol = found.symbol if found and not found.instance else None
        else:
            symbol = self._library.evaluate(node, module)
        if symbol is None or symbol.kind != "class":
            return None
        return Type(symbol, instance=True)

    def _typed_by_subscript(self, node: ast.Subscript, module: str | None) -> Type | None:
        outer = ast.unparse(node.value).rpartition(".")[2]
        inner = node.slice.elts[-1] if isinstance(node.slice, ast.Tuple) else node.slice
        if outer == "Optional":
            return self._typed_by(inner, module)
        found = self._typed_by(inner, module) if outer in _CONTAINERS else None
        return Type(found.symbol, instance=True, many=True) if found else None

    def _use(self, node: ast.AST, symbol: str, problem: str = "", quiet: bool = False) -> None:
        if not quiet and symbol.startswith(TOP_LEVEL):
            self.uses.append(Use(symbol, f"{self._name}:{node.lineno}", problem))


def _imports(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str]]:
    """Bound name and dotted target of each name of an import statement."""
    for alias in node.names:
        if isinstance(node, ast.Import):
            yield (
                alias.asname or alias.name.split(".")[0],
                (alias.name if alias.asname else alias.name.split(".")[0]),
            )
        elif node.module and not node.level:
            yield alias.asname or alias.name, f"{node.module}.{alias.name}"
