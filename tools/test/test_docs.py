"""The pages name things that exist: links, pictures, commands, programs, launch arguments."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
from launch_runner.resolve import declared_arguments

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def every_page(test):
    return pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))(test)


def commands(page: Path) -> list[str]:
    """Lines of code blocks, with continued ones joined, and code within lines."""
    text = page.read_text().replace("\\\n", " ")
    parts = text.split("```")
    within = [code for part in parts[::2] for code in re.findall(r"`([^`]+)`", part)]
    return [*within, *(line.strip() for part in parts[1::2] for line in part.splitlines()[1:])]


def stands_for_one(path: str) -> bool:
    """Whether it is a pattern, like launch/FILE."""
    return any(part.isupper() for part in path.split("/"))


def headings(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@every_page
def test_links_and_pictures_lead_somewhere(page):
    for link in LINK.findall(page.read_text()):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in headings(target), link


def test_the_readme_leads_to_every_page():
    readme = (ROOT / "README.md").read_text()
    for page in (ROOT / "docs").rglob("*.md"):
        assert f"({page.relative_to(ROOT)})" in readme, page


@every_page
def test_make_targets_exist(page):
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)[0].split())
    for line in commands(page):
        if found := re.match(r"(?:\w+=\S+ )*make ([a-z][\w-]*)", line):
            assert found[1] in targets, line


@every_page
def test_files_that_are_named_exist(page):
    roots = r"(?:tools|launch|src|examples|benchmarks|requirements)"
    for line in commands(page):
        for name in re.findall(rf"(?<![\w/.-]){roots}/[\w./-]*\w", line):
            assert stands_for_one(name) or (ROOT / name).exists(), line


@every_page
def test_modules_and_programs_exist(page):
    scripts = (ROOT / "docs/reference/commands.md").read_text()
    for line in commands(page):
        for module in re.findall(r"python3? -m ([\w.]+)", line):
            assert importlib.util.find_spec(module), line
        for package, program in re.findall(r"ros2 run (\w+) (\w+)", line):
            if (ROOT / "src" / package).exists():
                assert f"\n### {program}\n" in scripts.partition(f"\n## {package}\n")[2], line


@every_page
def test_launch_arguments_exist(page):
    for line in commands(page):
        found = re.search(r"(?:tools/launch|ros2 launch) (launch/[\w.]+)(.*)", line)
        if found and not stands_for_one(found[1]):
            known = {argument.name for argument in declared_arguments(ROOT / found[1])}
            given = set(re.findall(r"(?:^| )(\w+):=", found[2].partition("#")[0]))
            assert given <= known, line
