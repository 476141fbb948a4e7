"""Imports point one way, and heavy libraries stay in their homes: what a command does not need, it does not load.

The table of packages is in CONTRIBUTING.md, where people read it; these tests hold the tree to it.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from repository import ROOT
from wandb_toolkit.commands import NAMES

PACKAGE = ROOT / "scripts" / "wandb_toolkit"
MODULES = sorted(PACKAGE.rglob("*.py"))
ROW = re.compile(r"^\| `(?P<name>[a-z_/]+)` \| [^|]+ \| (?P<imports>[^|]+) \|$", re.MULTILINE)

# Library → the packages that may import it at the top of a module; elsewhere only inside the function that needs it.
HOMES: dict[str, set[str]] = {
    "wandb": set(),
    "matplotlib": {"plots/figures"},
    "pandas": {"plots"},
    "pyarrow": set(),
    "yaml": set(),
    "rich": set(),
    "requests": set(),
}
# Modules of arrays throughout: imported, outside of themselves, inside functions only.
OF_ARRAYS = {f"sources.wandb_log.{name}" for name in ("checksums", "condense", "vectors")}
NUMPY_FREE = {"errors", "model", "text", "jsontext", "resolve", "output", "commands", "cli", "listing"}


def package_of(dotted: str) -> str:
    """Return the row of the table that a module belongs to: its package, else the module's own name."""
    parts = dotted.split(".")
    for depth in (2, 1):
        if len(parts) >= depth and PACKAGE.joinpath(*parts[:depth]).is_dir():
            return "/".join(parts[:depth])
    return parts[0] if parts[0] != "__init__" and (PACKAGE / f"{parts[0]}.py").is_file() else "version"


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def typing_only(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports(tree: ast.AST, *, nested: bool) -> Iterator[str]:
    """Yield the imported names, those for types only left out; `nested`: inside functions, too."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.stmt) and typing_only(node):
            continue
        elif nested or not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield from imports(node, nested=nested)


def table() -> dict[str, set[str]]:
    """Return what each package may import, as CONTRIBUTING.md says it, in its order."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    rows: dict[str, set[str]] = {}
    for row in ROW.finditer(text):
        said = row["imports"].strip()
        rows[row["name"]] = set(rows) if said == "all above" else set(re.findall(r"[a-z_/]+", said)) - {"nothing"}
    return rows


def graph() -> dict[str, set[str]]:
    """Return what each package does import, the package's version left out."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in MODULES:
        package = package_of(name_of(path))
        found[package] |= set()
        for node in ast.walk(ast.parse(path.read_text())):  # what is imported for types only counts here
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("wandb_toolkit."):
                found[package].add(package_of(str(node.module).removeprefix("wandb_toolkit.")))
            elif isinstance(node, ast.ImportFrom) and node.module == "wandb_toolkit":
                found[package] |= {package_of(alias.name) for alias in node.names}
        found[package] -= {package, "version"}
    del found["version"]
    return dict(found)


def kin(first: str, second: str) -> bool:
    """Tell whether two packages are one floor: a package and its own subpackage."""
    return first.startswith(f"{second}/") or second.startswith(f"{first}/")


def test_the_packages_import_what_contributing_says_and_nothing_else() -> None:
    said, done = table(), graph()
    assert set(said) == set(done), "CONTRIBUTING.md has a row for each package, and no other"
    order = list(said)
    for package, imported in done.items():
        assert imported <= said[package], f"{package} may not import {imported - said[package]}"
        below = {other for other in imported if order.index(other) > order.index(package) and not kin(other, package)}
        assert not below, f"{package} stands above {below} in the table and imports it: a circle, or a wrong order"
    unused = {package: said[package] - done[package] for package in order if package != "commands"}
    assert not any(unused.values()), f"CONTRIBUTING.md allows imports that nobody makes: {unused}"


def test_heavy_libraries_stay_at_home() -> None:
    for path in MODULES:
        package = package_of(name_of(path))
        for imported in imports(ast.parse(path.read_text()), nested=False):
            library = imported.partition(".")[0]
            assert library not in HOMES or package in HOMES[library], f"{path} imports {library} at its top"
            free = (package in NUMPY_FREE or package.startswith("sources")) and name_of(path) not in OF_ARRAYS
            assert library != "numpy" or not free, f"{path} imports numpy at its top"
            module = imported.removeprefix("wandb_toolkit.").rpartition(".")[0]
            assert not free or module not in OF_ARRAYS, f"{path} imports {module} at its top"


def test_matplotlib_is_nowhere_else_at_all() -> None:
    for path in MODULES:
        if package_of(name_of(path)) not in HOMES["matplotlib"]:
            found = [one for one in imports(ast.parse(path.read_text()), nested=True) if one.startswith("matplotlib")]
            assert not found, f"{path} imports {found}"


def test_argparse_is_in_the_command_line_only() -> None:
    homes = {package_of(name_of(path)) for path in MODULES if re.search(r"\bargparse\b", path.read_text())}
    assert homes <= {"cli", "commands"}


HEAVY = {"wandb", "numpy", "pandas", "matplotlib", "pyarrow", "yaml", "requests", "urllib3"}


def loaded(code: str, *args: str) -> set[str]:
    """Return the heavy libraries that a fresh process has loaded after `code`."""
    report = f"{code}\nprint(sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)"
    words = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT / 'scripts')!r})\n{report}", *args]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return set(ast.literal_eval(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize("command", NAMES)
def test_help_loads_nothing_heavy(command: str) -> None:
    code = f"from wandb_toolkit.commands import {command}\n{command}.main(['--help'])"
    assert not loaded(code)


def test_reading_local_runs_loads_no_wandb() -> None:
    example = ROOT / "examples" / "wandb"
    code = (
        "from pathlib import Path\nfrom wandb_toolkit.sources import RunQuery\n"
        "from wandb_toolkit.sources.local.source import LocalSource\n"
        f"source = LocalSource(Path({str(example)!r}))\nruns = source.runs(RunQuery())\nassert runs\n"
    )
    assert not loaded(code)
    assert loaded(f"{code}list(source.histories(runs[:1]))") == {"numpy"}
