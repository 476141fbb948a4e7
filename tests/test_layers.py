"""Imports point one way, and heavy libraries stay in their homes: what a command does not need, it does not load."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "scripts" / "wandb_toolkit"
COMMANDS = ("list_projects", "list_runs", "list_metrics", "download_plots", "generate_plots", "wandb_report")
MODULES = sorted(PACKAGE.rglob("*.py"))

ANYWHERE = {"__init__", "errors", "model", "render.text"}  # import nothing of the core but each other
# Part (a module or package of the core) → what else it may import.
ALLOWED: dict[str, set[str]] = {
    **{part: set() for part in ("auth", "resolve", "smoothing", "roles", "stats", "wording", "configs", "artifacts")},
    "image_files": set(),
    "settings": {"configs"},
    "sources": {"resolve", "auth", "sources"},
    "detectors": {"detectors", "smoothing", "stats", "roles", "wording", "configs"},
}
# What a part of the judging layer (each module that is not named: compare, report, charts, ...) may not import.
OUTSIDE = {"commands", "cli", "render", "artifacts", "auth", "resolve", "sources"}
BASE = {"sources.base"}
SOURCE = {f"sources.{name}" for name in ("RunQuery", "Source", "history_of")}  # the package hands these out
NOT_FOR_RENDER = OUTSIDE - {"render"}


# Library → where it may be imported at the top of a module; elsewhere only inside the function that needs it.
HOMES: dict[str, set[str]] = {
    "wandb": set(),
    "matplotlib": {f"render.{path.stem}" for path in MODULES if path.stem.startswith("figure")},
    "pandas": {"smoothing"},
    "pyarrow": set(),
    "yaml": set(),
    "rich": set(),
    "requests": set(),
}
NUMPY_FREE = ("errors", "model", "resolve", "auth", "sources", "commands", "cli", "__init__")


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def typing_only(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports(tree: ast.AST, *, nested: bool) -> Iterator[str]:
    """Yield the imported modules, those for types only left out; `nested`: inside functions, too."""
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


def part_of(name: str) -> str:
    return name.partition(".")[0]


def own(imported: str) -> str | None:
    """Return the part of the core that an import names, None for a foreign one."""
    package, _, rest = imported.partition(".")
    if package != "wandb_toolkit":
        return None
    first = part_of(rest)
    return rest if (PACKAGE / first).is_dir() or (PACKAGE / f"{first}.py").is_file() else "__init__"


def within(name: str, parts: set[str]) -> bool:
    return any(name == part or name.startswith(f"{part}.") for part in parts)


@pytest.mark.parametrize("path", [p for p in MODULES if part_of(name_of(p)) != "commands"], ids=name_of)
def test_a_part_imports_only_what_it_may(path: Path) -> None:
    name = name_of(path)
    found = {inner for one in imports(ast.parse(path.read_text()), nested=True) if (inner := own(one)) is not None}
    if within(name, ANYWHERE):
        assert all(within(inner, ANYWHERE) for inner in found)
        return
    found = {inner for inner in found if not within(inner, ANYWHERE)}
    part = part_of(name)
    if part in ALLOWED:
        wrong = {inner for inner in found if not within(inner, ALLOWED[part])}
    elif part == "cli":
        wrong = {inner for inner in found if within(inner, {"commands"})}
    elif part == "render":
        wrong = {inner for inner in found if within(inner, NOT_FOR_RENDER)}
    else:
        wrong = {inner for inner in found if within(inner, OUTSIDE) and not within(inner, BASE) and inner not in SOURCE}
    assert not wrong, f"{name} may not import {wrong}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_heavy_libraries_stay_at_home(path: Path) -> None:
    name = name_of(path)
    for imported in imports(ast.parse(path.read_text()), nested=False):
        library = imported.partition(".")[0]
        assert library not in HOMES or name in HOMES[library], f"{name} imports {library} at its top"
        if part_of(name) in NUMPY_FREE:
            assert library != "numpy", f"{name} imports numpy at its top"


def test_matplotlib_is_nowhere_else_at_all() -> None:
    for path in MODULES:
        if name_of(path) not in HOMES["matplotlib"]:
            found = [one for one in imports(ast.parse(path.read_text()), nested=True) if one.startswith("matplotlib")]
            assert not found, f"{name_of(path)} imports {found}"


HEAVY = {"wandb", "numpy", "pandas", "matplotlib", "pyarrow", "yaml", "requests", "urllib3"}


def loaded(code: str, *args: str) -> set[str]:
    """Return the heavy libraries that a fresh process has loaded after `code`."""
    report = f"{code}\nprint(sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)"
    words = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT / 'scripts')!r})\n{report}", *args]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return set(ast.literal_eval(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize("command", COMMANDS)
def test_help_loads_nothing_heavy(command: str) -> None:
    code = f"from wandb_toolkit.commands import {command}\n{command}.main(['--help'])"
    assert not loaded(code)


def test_reading_local_runs_loads_no_wandb() -> None:
    example = ROOT / "examples" / "wandb"
    code = (
        "from pathlib import Path\nfrom wandb_toolkit.sources import RunQuery\n"
        "from wandb_toolkit.sources.local import LocalSource\n"
        f"source = LocalSource(Path({str(example)!r}))\nruns = source.runs(RunQuery())\nassert runs\n"
    )
    assert not loaded(code)
    assert loaded(f"{code}list(source.histories(runs[:1]))") == {"numpy"}
