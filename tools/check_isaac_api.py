#!/usr/bin/env python3
"""Check every Isaac symbol that our files use against NVIDIA's published wheels.

Nothing of Isaac is installed or run: the wheels are downloaded without dependencies (or given),
their Python sources are read, and each module, class, method and keyword in our files must exist
there with a signature that fits. Prints one line per symbol and a closing count; exit status 1
when one is unknown or deprecated.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from isaac_api.library import Library  # noqa: E402
from isaac_api.usage import FileUses, Use  # noqa: E402
from isaac_api.wheels import Sources, download, read_wheels  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
SIMULATORS = ROOT / "src/sim_bridge/sim_bridge/simulators"
ISAAC_SIM, ISAAC_LAB, OVPHYSX = "6.2.0.0", "3.0.0", "0.6.4.72118723"
WHEELS = [
    *(f"isaacsim-{part}=={ISAAC_SIM}" for part in ("kernel", "core", "sensor", "asset")),
    f"isaacsim-extscache-physics=={ISAAC_SIM}",
    f"isaaclab=={ISAAC_LAB}",
    "mujoco-usd-converter==0.6.1",
    f"ovphysx=={OVPHYSX}",
]


def check(sources: Sources, files: list[Path]) -> list[Use]:
    """All uses in ``files``, in file order."""
    library = Library(sources)
    return [use for path in files for use in FileUses(library, path, _name(path)).collect()]


def _name(path: Path) -> str:
    """Below the simulators' folder, where it lies there."""
    path = path.resolve()
    return str(path.relative_to(SIMULATORS)) if path.is_relative_to(SIMULATORS) else path.name


def report(uses: list[Use], versions: dict[str, str]) -> str:
    """Markdown: one line per symbol, with the first place that uses it, and a closing count."""
    first: dict[tuple[str, str], Use] = {}
    for use in uses:
        first.setdefault((use.symbol, use.problem), use)
    lines = [f"{name} {version}" for name, version in sorted(versions.items())]
    lines.append("")
    for use in sorted(first.values(), key=lambda use: use.symbol):
        verdict = "UNKNOWN" if use.problem else "ok"
        lines.append(f"{verdict}  {use.symbol}  {use.where}  {use.problem}".rstrip())
    unknown = sum(bool(use.problem) for use in first.values())
    lines += ["", f"{len(first)} symbols, {unknown} unknown"]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path, help="default: the Isaac simulators")
    parser.add_argument(
        "--wheels", type=Path, default=ROOT / "build-isaac" / "wheels",
        help="folder that has the wheels, or gets them (about 560 MB)",
    )  # fmt: skip
    parser.add_argument("--offline", action="store_true", help="use the wheels that are there")
    parser.add_argument("--report", type=Path, help="also write the report to this Markdown file")
    options = parser.parse_args()
    options.wheels.mkdir(parents=True, exist_ok=True)
    missing = [w for w in WHEELS if not _present(w, options.wheels)]
    if missing and not options.offline:
        print(f"downloading {', '.join(missing)} to {options.wheels}", flush=True)
        download(missing, options.wheels)
    wheels = sorted(options.wheels.glob("*.whl"))
    if not wheels:
        parser.error(f"no wheels in {options.wheels}")
    files = options.files or sorted(SIMULATORS.glob("isaac_*/*.py"))
    uses = check(sources := read_wheels(wheels), files)
    text = report(uses, sources.versions)
    print(text)
    if options.report:
        options.report.write_text(_PAGE.format(text=text))
    return 1 if any(use.problem for use in uses) or not uses else 0


def _present(requirement: str, folder: Path) -> bool:
    name, _, version = requirement.partition("==")
    return any(folder.glob(f"{name.replace('-', '_')}-{version}-*.whl"))


_PAGE = """\
# Isaac API report

Written by `make check-isaac`. Each line is a symbol that the Isaac simulators use, as called, and
the first place that uses it, found by reading the published wheels (nothing was run).

```
{text}
```
"""

if __name__ == "__main__":
    sys.exit(main())
