"""Parts by name: the table, entry points of installed packages, and ``python:``."""

import pytest

from sim_bridge.errors import InvalidRequest, NotFound, OperationFailed
from sim_bridge.settings import plugins

GROUP = "twinstep.test_parts"
SHIPPED = {"path": "pathlib:PurePosixPath", "lost": "no_such_module_here:thing"}


def install(folder, package: str, code: str, **entry_points: str) -> None:
    """A package as pip leaves it in a folder."""
    (folder / f"{package}.py").write_text(code)
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = [f"[{GROUP}]", *(f"{name} = {value}" for name, value in entry_points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines))


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def find(name: str):
    return plugins.find("part", name, SHIPPED, GROUP)


def test_a_name_of_the_table_is_imported_when_chosen():
    assert str(find("path")("a", "b")) == "a/b"


def test_a_missing_module_is_named():
    with pytest.raises(NotFound, match="part 'lost' needs the Python module 'no_such_module_here'"):
        find("lost")


def test_an_installed_package_offers_a_part(site):
    install(site, "outside_parts", "def make():\n    return 7\n", seven="outside_parts:make")
    assert plugins.names(GROUP) == ("seven",)
    assert find("seven")() == 7


def test_an_unknown_name_lists_all_that_would_do(site):
    install(site, "listed_parts", "", eight="listed_parts:make")
    with pytest.raises(NotFound, match="unknown part 'nine'; valid: path, lost, eight, python:MOD"):
        find("nine")


def test_two_packages_with_one_name_are_refused(site):
    install(site, "first_parts", "", same="first_parts:make")
    install(site, "second_parts", "", same="second_parts:make")
    with pytest.raises(InvalidRequest, match="by first_parts and second_parts in"):
        find("same")


def test_an_entry_point_without_its_function_says_what_the_module_has(site):
    install(site, "short_parts", "def make():\n    pass\n", short="short_parts:mak")
    with pytest.raises(NotFound, match=r"function of short_parts for .* 'mak'; valid: make"):
        find("short")


def test_own_code_by_module_and_function():
    assert find("python:os.path:join")("a", "b") == "a/b"


@pytest.mark.parametrize("name", ["python:", "python:os", "python:os:", "python::f"])
def test_a_malformed_name_shows_the_form(name):
    with pytest.raises(InvalidRequest, match="valid: MODULE:FUNCTION"):
        find(name)


def test_what_cannot_be_called_is_refused():
    with pytest.raises(InvalidRequest, match="os:sep is a str, not a function"):
        find("python:os:sep")


def test_a_module_that_fails_while_imported_is_an_error_of_ours(site):
    (site / "broken_parts.py").write_text("1 / 0\n")
    with pytest.raises(OperationFailed, match="importing broken_parts failed: ZeroDivisionError"):
        find("python:broken_parts:make")
