"""Write what CI installs: tests/constraints.txt, the installed versions of all that the project and its tests need, and
tests/lock.txt, the same with the SHA-256 of every file that may be installed for them. The second needs uv."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK_HEAD = "# The test environment with hashes: .ci/run installs these files only. Written by `make constraints`.\n"
HEAD = "# The test environment, pinned: used by .ci/run. Written by `make constraints`.\n"


def name_of(requirement: str) -> str:
    """Return the normalised name of a requirement."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\s\[<>=!~;(]", requirement.strip(), maxsplit=1)[0]).lower()


def needed() -> dict[str, str]:
    """Return name → installed version of the project's dependencies, those of its tests, and what they need."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pending = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    found: dict[str, str] = {}
    while pending:
        name = name_of(pending.pop())
        if name in found:
            continue
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # for another system, or an extra that nobody asked for
            continue
        pending += [one for one in requires(name) or () if "extra ==" not in one]
    return dict(sorted(found.items()))


def locked(constraints: Path) -> str:
    """Return the pins of a file with the hashes that the index names, for every platform and Python from 3.11 on."""
    command = [
        "uv", "pip", "compile", "--quiet", "--generate-hashes", "--no-deps", "--universal", "--python-version", "3.11",
        "--no-annotate", "--no-header", "--no-emit-index-url", "--no-config", str(constraints),
    ]  # fmt: skip
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    place = ROOT / "tests" / "constraints.txt"
    place.write_text(HEAD + "".join(f"{name}=={installed}\n" for name, installed in needed().items()))
    if shutil.which("uv") is None:
        raise SystemExit("tests/lock.txt was not written: it needs uv (pip install uv)")
    (ROOT / "tests" / "lock.txt").write_text(LOCK_HEAD + locked(place))
