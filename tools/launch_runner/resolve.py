"""Launch XML to a Plan: conditions, scopes and substitutions resolved, nothing run."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from sim_bridge.errors import BridgeError, suggestion
from sim_bridge.settings.environment import check_environment, check_namespace

from .parameters import parameter_value
from .plan import Argument, LaunchError, Plan, Process
from .substitutions import Scope

_COMMON = {"if", "unless"}
_PROCESS = _COMMON | {"name", "cwd", "on_exit", "output"}
_ATTRIBUTES = {
    "launch": {"version"},
    "arg": _COMMON | {"name", "default", "description"},
    "choice": {"value"},
    "let": _COMMON | {"name", "value"},
    "set_env": _COMMON | {"name", "value"},
    "group": _COMMON | {"scoped"},
    "include": _COMMON | {"file"},
    "node": _PROCESS | {"pkg", "exec", "namespace", "args"},
    "executable": _PROCESS | {"cmd"},
    "param": _COMMON | {"name", "value", "from", "type"},
    "remap": _COMMON | {"from", "to"},
    "env": {"name", "value"},
}
_CHILDREN = {
    "launch": {"arg", "let", "set_env", "group", "include", "node", "executable"},
    "group": {"let", "set_env", "group", "include", "node", "executable"},
    "arg": {"choice"},
    "include": {"arg", "let"},
    "node": {"param", "remap", "env"},
    "executable": {"env"},
}


def resolve(
    file: Path,
    values: Mapping[str, str],
    package_prefix: Callable[[str], Path],
    inherited: Mapping[str, str],
) -> Plan:
    """The plan of ``file`` with argument ``values``.

    Raises LaunchError for an element, attribute or substitution outside the subset, a missing or
    unknown argument, or a file or executable that does not exist.
    """
    scope = Scope(package_prefix, inherited, dict(values))
    resolver = _Resolver(scope)
    resolver.file(file)
    known = [argument.name for argument in resolver.arguments]
    for name in values:
        if name not in known:
            near = suggestion(name, known)
            raise LaunchError(f"{file}: no argument {name!r}; valid: {', '.join(known)}{near}")
    return Plan(tuple(resolver.arguments), tuple(resolver.processes))


def declared_arguments(file: Path) -> list[Argument]:
    """The arguments of ``file`` and of what it includes by ``$(dirname)``."""
    found: dict[str, Argument] = {}
    for element in _root(file):
        if element.tag == "arg":
            argument = _argument(element)
            found.setdefault(argument.name, argument)
        elif element.tag == "include":
            included = element.get("file", "").replace("$(dirname)", str(file.absolute().parent))
            if "$(" not in included:
                for argument in declared_arguments(Path(included)):
                    found.setdefault(argument.name, argument)
    return list(found.values())


class _Located(LaunchError):
    """Its message already names the innermost file and element."""


class _Resolver:
    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.arguments: list[Argument] = []
        self.processes: list[Process] = []

    def file(self, file: Path) -> None:
        outer, self.scope.file = self.scope.file, file.absolute()
        try:
            self._elements(_root(file))
        finally:
            self.scope.file = outer

    def _elements(self, parent: Iterable[ElementTree.Element]) -> None:
        for element in parent:
            try:
                if self._wanted(element):
                    getattr(self, f"_{element.tag}")(element)
            except _Located:
                raise
            except (LaunchError, BridgeError) as error:
                place = f"{self.scope.file}: {_describe(element)}"
                raise _Located(f"{place}: {error}") from None

    def _wanted(self, element: ElementTree.Element) -> bool:
        _check(element)
        for name, wanted in (("if", True), ("unless", False)):
            if name in element.attrib:
                return _truth(self._get(element, name)) is wanted
        return True

    def _get(self, element: ElementTree.Element, name: str, default: str | None = None) -> str:
        text = element.get(name, default)
        if text is None:
            raise LaunchError(f"attribute {name!r} is missing")
        return self.scope.expand(text)

    def _selected(self, parent: ElementTree.Element, tag: str) -> list[ElementTree.Element]:
        return [element for element in parent.findall(tag) if self._wanted(element)]

    def _arg(self, element: ElementTree.Element) -> None:
        argument = _argument(element)
        if argument.name not in [known.name for known in self.arguments]:
            self.arguments.append(argument)
        configurations = self.scope.configurations
        if argument.name not in configurations:
            if argument.default is None:
                raise LaunchError(f"give it a value: {argument.name}:=...")
            configurations[argument.name] = self.scope.expand(argument.default)
        value = configurations[argument.name]
        if argument.choices and value not in argument.choices:
            near = suggestion(value, argument.choices)
            raise LaunchError(f"is {value!r}; valid: {', '.join(argument.choices)}{near}")

    def _let(self, element: ElementTree.Element) -> None:
        self.scope.configurations[self._get(element, "name")] = self._get(element, "value")

    def _set_env(self, element: ElementTree.Element) -> None:
        self.scope.environment[self._get(element, "name")] = self._get(element, "value")

    def _group(self, element: ElementTree.Element) -> None:
        scope = self.scope
        outer = dict(scope.configurations), dict(scope.environment)
        self._elements(element)
        if _truth(self._get(element, "scoped", "true")):
            scope.configurations, scope.environment = outer

    def _include(self, element: ElementTree.Element) -> None:
        file = Path(self._get(element, "file"))
        for argument in (*self._selected(element, "arg"), *self._selected(element, "let")):
            name = self._get(argument, "name")
            self.scope.configurations[name] = self._get(argument, "value")
        self.file(file)

    def _node(self, element: ElementTree.Element) -> None:
        package, executable = self._get(element, "pkg"), self._get(element, "exec")
        path = self.scope.package_prefix(package) / "lib" / package / executable
        if not path.exists():
            folder = path.parent
            names = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
            raise LaunchError(
                f"package {package!r} has no executable {executable!r}; valid: {', '.join(names)}"
            )
        command = [str(path), *self.scope.words(element.get("args", "")), "--ros-args"]
        if "name" in element.attrib:
            command += ["-r", f"__node:={self._get(element, 'name')}"]
        if "namespace" in element.attrib:
            namespace = self._get(element, "namespace")
            check_namespace(namespace)
            command += ["-r", f"__ns:=/{namespace.strip('/')}"]
        for parameter in self._selected(element, "param"):
            command += self._parameter(parameter)
        for remap in self._selected(element, "remap"):
            command += ["-r", f"{self._get(remap, 'from')}:={self._get(remap, 'to')}"]
        self._process(element, executable, command)

    def _parameter(self, element: ElementTree.Element) -> list[str]:
        if "from" in element.attrib:
            file = self._get(element, "from")
            if not Path(file).is_file():
                raise LaunchError(f"parameter file {file} does not exist")
            return ["--params-file", file]
        value = parameter_value(self._get(element, "value"), element.get("type", ""))
        return ["-p", f"{self._get(element, 'name')}:={value}"]

    def _executable(self, element: ElementTree.Element) -> None:
        command = self.scope.words(element.get("cmd", ""))
        if not command:
            raise LaunchError("attribute 'cmd' is missing")
        self._process(element, self._get(element, "name", Path(command[0]).name), command)

    def _process(self, element: ElementTree.Element, name: str, command: list[str]) -> None:
        required = "on_exit" in element.attrib
        if required and self._get(element, "on_exit") != "shutdown":
            raise LaunchError(f"on_exit is {element.get('on_exit')!r}; valid: shutdown")
        environment = dict(self.scope.environment)
        for variable in self._selected(element, "env"):
            environment[self._get(variable, "name")] = self._get(variable, "value")
        check_environment(environment)
        numbered = f"{name}-{len(self.processes) + 1}"
        folder = self._get(element, "cwd") if "cwd" in element.attrib else None
        process = Process(numbered, tuple(command), environment, folder, required)
        self.processes.append(process)


def _root(file: Path) -> ElementTree.Element:
    try:
        root = ElementTree.parse(file).getroot()
    except OSError as error:
        raise LaunchError(f"{file}: {error.strerror}") from None
    except ElementTree.ParseError as error:
        raise LaunchError(f"{file}: {error}") from None
    if root.tag != "launch":
        raise LaunchError(f"{file}: the root element is <{root.tag}>; valid: <launch>")
    _check(root)
    return root


def _check(element: ElementTree.Element) -> None:
    """Refuse what is outside the subset: attributes, and elements where they do not belong."""
    for name in element.attrib:
        valid = _ATTRIBUTES[element.tag] | ({"value"} if element.tag == "arg" else set())
        if name not in valid:
            raise LaunchError(
                f"attribute {name!r} of <{element.tag}> is not supported; valid: {_list(valid)}"
            )
    for child in element:
        valid = _CHILDREN.get(element.tag, set())
        if child.tag not in valid:
            raise LaunchError(
                f"<{child.tag}> is not supported in <{element.tag}>; valid: {_list(valid)}"
            )


def _argument(element: ElementTree.Element) -> Argument:
    if not element.get("name"):
        raise LaunchError("attribute 'name' is missing")
    choices = tuple(choice.get("value", "") for choice in element.findall("choice"))
    description = " ".join(element.get("description", "").split())
    return Argument(element.get("name", ""), element.get("default"), description, choices)


def _truth(text: str) -> bool:
    if text.lower() in ("true", "1"):
        return True
    if text.lower() in ("false", "0"):
        return False
    raise LaunchError(f"condition is {text!r}; valid: true, false")


def _describe(element: ElementTree.Element) -> str:
    shown = ("name", "pkg", "exec", "cmd", "file")
    keys = [f'{k}="{element.attrib[k]}"' for k in shown if k in element.attrib]
    return f"<{' '.join([element.tag, *keys])}>"


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
