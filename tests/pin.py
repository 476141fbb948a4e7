"""Write tests/constraints.txt: the installed versions of all that the project and its tests need, for CI."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
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


if __name__ == "__main__":
    lines = "".join(f"{name}=={installed}\n" for name, installed in needed().items())
    (ROOT / "tests" / "constraints.txt").write_text(HEAD + lines)
