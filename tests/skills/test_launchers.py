"""How a command starts: from the tree, from a skill folder, with a Python that lacks everything."""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

import _bootstrap
from repository import ROOT
from wandb_toolkit.cli.matplotlib_dir import settle_matplotlib
from wandb_toolkit.commands import COMMANDS

LAUNCHED = {
    skill: sorted(command.name for command in COMMANDS if command.skill == skill)
    for skill in sorted({command.skill for command in COMMANDS})
}
NAMES = sorted(name for names in LAUNCHED.values() for name in names)
LAUNCHERS = sorted(ROOT.glob("skills/*/scripts/*.py"))
SCRIPTS = [ROOT / "scripts" / f"{name}.py" for name in NAMES]

COMMAND = """
import json, os, sys
def main(argv=None):
    words = sys.argv[1:] if argv is None else argv
    guarded = "WANDB_TOOLKIT_RESTARTED" in os.environ
    print(json.dumps({"prefix": sys.prefix, "words": words, "core": __file__, "guarded": guarded}))
    return 4 if "--missing" in words else 0
"""


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


# ---- the files ---------------------------------------------------------------------------------------------------


def test_every_command_has_one_launcher_and_all_are_one_text() -> None:
    found: dict[str, list[str]] = {}
    for path in LAUNCHERS:
        found.setdefault(path.parts[-3], []).append(path.stem)
    assert found == LAUNCHED
    assert len({path.read_text() for path in LAUNCHERS}) == 1


def test_no_links_below_skills() -> None:
    assert [path for path in (ROOT / "skills").rglob("*") if path.is_symlink()] == []


@pytest.mark.parametrize("path", [*LAUNCHERS, *SCRIPTS, Path(_bootstrap.__file__)], ids=ids)
def test_old_pythons_can_read_it(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 6))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported <= {"importlib", "importlib.util", "json", "os", "sys", "_bootstrap"}
    assert not any(isinstance(node, ast.JoinedStr | ast.NamedExpr) for node in ast.walk(tree))
    if path.name != "_bootstrap.py":
        assert os.access(path, os.X_OK)


def test_needs_are_the_dependencies_of_pyproject() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {re.split(r"[<>=!~ ;\[]", line)[0] for line in listed} - {
        "wandb",
        "pandas",
    }  # for --source sdk and Python users alone
    assert {name for name, _ in _bootstrap.NEEDS} == {"yaml" if name == "pyyaml" else name for name in names}
    for name, oldest in _bootstrap.NEEDS:
        if oldest:
            assert f"{name}>={'.'.join(map(str, oldest))}" in listed


@pytest.mark.parametrize("name", NAMES)
def test_scripts_can_be_imported_and_called(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert importlib.import_module(name).main(["--help"]) == 0
    assert "usage:" in capsys.readouterr().out


def test_an_interrupt_while_the_command_is_loaded_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: str) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(_bootstrap, "_run", interrupted)
    assert _bootstrap.run("scripts/list_runs.py") == 130
    assert capsys.readouterr().err == "error: Interrupted.\n"


# ---- which packages count ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "enough"), [("1.5.3", False), ("2.1.4", False), ("2.2.0", True), ("3.0.0rc1", True)]
)
def test_an_old_pandas_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, enough: bool
) -> None:
    package(tmp_path, "oldpandas")
    (tmp_path / f"oldpandas-{version}.dist-info").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert _bootstrap._has("oldpandas", (2, 2)) is enough
    assert _bootstrap._has("oldpandas", ())
    assert not _bootstrap._has("no_such_package", ())


# ---- starting ----------------------------------------------------------------------------------------------------


def package(folder: Path, name: str) -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").touch()


def environment(place: Path, *, complete: bool = False) -> Path:
    """Make an environment without packages, or one with stand-ins for all that is needed; return its Python."""
    venv.create(place, symlinks=True)
    if complete:
        (site,) = place.glob("lib/python3*/site-packages")
        for name, _ in _bootstrap.NEEDS:
            package(site, name)
        (place / _bootstrap.STAMP).touch()
    return place / "bin" / "python"


def core(folder: Path) -> None:
    commands = folder / "wandb_toolkit" / "commands"
    package(commands.parent, "commands")
    (commands.parent / "__init__.py").touch()
    for name in NAMES:
        (commands / f"{name}.py").write_text(COMMAND)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python without any package."""
    return environment(tmp_path_factory.mktemp("bare") / "env")


@pytest.fixture(params=["scripts", "skills/wandb-plot/scripts"])
def script(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """list_runs.py of a repository with a stand-in core, in its two places."""
    repo = tmp_path / "it's a repo"
    core(repo / "scripts")
    for path in [*LAUNCHERS, *SCRIPTS, Path(_bootstrap.__file__)]:
        target = repo / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return repo / str(request.param) / "list_runs.py"


def start(python: Path, script: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    home = script.parents[2] / "home"
    env = {"PATH": os.defpath, "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"} | env
    command = [str(python), str(script), *words]
    return subprocess.run(
        command, env=env, cwd=script.parents[1], capture_output=True, text=True, timeout=60, check=False
    )


def repository(script: Path) -> Path:
    return next(parent for parent in script.parents if parent.name == "it's a repo")


def test_not_set_up_names_the_one_command(bare: Path, script: Path) -> None:
    done = start(bare, script)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    command = done.stderr.strip().split("set up once with: ")[1]
    setup = subprocess.run(["bash", "-c", f"printf %s {command[5:]}"], capture_output=True, text=True, check=True)
    assert setup.stdout == str(repository(script) / ".venv-setup.sh")


def test_not_set_up_with_json(bare: Path, script: Path) -> None:
    error = json.loads(start(bare, script, "--json").stderr)
    assert set(error) == {"type", "message", "hint"}
    assert "numpy" in error["message"]


@pytest.mark.parametrize("path", SCRIPTS, ids=ids)
def test_help_needs_no_set_up(bare: Path, path: Path, tmp_path: Path) -> None:
    """The real commands import nothing heavy on the way to their help."""
    done = start(bare, path, "--help", WANDB_TOOLKIT_VENV=str(tmp_path / "none"))
    assert (done.returncode, done.stderr) == (0, "")
    assert f"usage: {path.stem}" in done.stdout


@pytest.mark.parametrize("place", [".venv", "xdg", "home", "chosen"])
def test_a_bare_python_is_replaced_by_the_environments(bare: Path, script: Path, place: str) -> None:
    repo = repository(script)
    folder, env = {
        ".venv": (repo / ".venv", {}),
        "xdg": (repo / "data" / "wandb-toolkit" / "venv", {"XDG_DATA_HOME": str(repo / "data")}),
        "home": (script.parents[2] / "home" / ".local/share/wandb-toolkit/venv", {"XDG_DATA_HOME": "relative"}),
        "chosen": (repo / "my env", {"WANDB_TOOLKIT_VENV": str(repo / "my env")}),
    }[place]
    environment(folder, complete=True)
    done = start(bare, script, "a b", "--missing", **env)
    assert done.stderr == ""
    assert done.returncode == 4
    told = json.loads(done.stdout)
    assert told["words"] == ["a b", "--missing"]
    assert Path(told["prefix"]) == folder
    assert Path(told["core"]).is_relative_to(repo / "scripts")
    assert not told["guarded"]


def test_a_python_that_has_all_is_used_as_it_is(script: Path, tmp_path: Path) -> None:
    environment(repository(script) / ".venv", complete=True)
    mine = environment(tmp_path / "mine", complete=True)
    assert Path(json.loads(start(mine, script).stdout)["prefix"]) == tmp_path / "mine"


def test_a_half_made_environment_is_not_used(bare: Path, script: Path) -> None:
    environment(repository(script) / ".venv", complete=True)
    (repository(script) / ".venv" / _bootstrap.STAMP).unlink()
    assert start(bare, script).returncode == 1


def test_no_endless_restart(bare: Path, script: Path) -> None:
    folder = repository(script) / ".venv"
    environment(folder)
    (folder / _bootstrap.STAMP).touch()
    done = start(bare, script)
    assert done.returncode == 1
    assert "set up once" in done.stderr


def test_through_a_link_to_the_skill_folder(bare: Path, script: Path, tmp_path: Path) -> None:
    environment(repository(script) / ".venv", complete=True)
    (tmp_path / "client").mkdir()
    (tmp_path / "client" / "link").symlink_to(script.parent)
    assert start(bare, tmp_path / "client" / "link" / script.name).returncode == 0


# ---- a skill folder without its repository -----------------------------------------------------------------------


@pytest.fixture
def lone(tmp_path: Path) -> Path:
    target = tmp_path / "home" / ".codex" / "skills" / "wandb"
    shutil.copytree(ROOT / "skills" / "wandb", target, ignore=shutil.ignore_patterns("__pycache__"))
    return target / "scripts" / "wandb_report.py"


def test_lone_skill_folder_says_what_to_do(bare: Path, lone: Path) -> None:
    done = start(bare, lone)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "bash .venv-setup.sh --shared" in done.stderr
    assert "--shared" in json.loads(start(bare, lone, "--json").stderr)["hint"]


def test_lone_skill_folder_uses_the_shared_environment(bare: Path, lone: Path, tmp_path: Path) -> None:
    place = tmp_path / "data" / "wandb-toolkit" / "venv"
    environment(place, complete=True)
    env = {"XDG_DATA_HOME": str(tmp_path / "data")}
    assert start(bare, lone, **env).returncode == 1  # no core in it, and no endless restart
    (site,) = place.glob("lib/python3*/site-packages")
    core(site)
    done = start(bare, lone, "x", **env)
    assert done.stderr == ""
    told = json.loads(done.stdout)
    assert (Path(told["prefix"]), told["words"], told["guarded"]) == (place, ["x"], False)


def test_lone_skill_folder_with_an_older_core(bare: Path, lone: Path, tmp_path: Path) -> None:
    place = tmp_path / "data" / "wandb-toolkit" / "venv"
    environment(place, complete=True)
    (site,) = place.glob("lib/python3*/site-packages")
    core(site)
    (site / "wandb_toolkit" / "commands" / "wandb_report.py").unlink()
    done = start(bare, lone, XDG_DATA_HOME=str(tmp_path / "data"))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1


def test_lone_skill_folder_uses_an_installed_package(lone: Path, tmp_path: Path) -> None:
    mine = environment(tmp_path / "mine", complete=True)
    (site,) = (tmp_path / "mine").glob("lib/python3*/site-packages")
    core(site)
    assert Path(json.loads(start(mine, lone).stdout)["prefix"]) == tmp_path / "mine"


@pytest.mark.skipif(sys.platform == "darwin", reason="its system Python differs from machine to machine")
def test_starting_loads_nothing_heavy(script: Path) -> None:
    environment(repository(script) / ".venv", complete=True)
    python = repository(script) / ".venv" / "bin" / "python"
    listing = subprocess.run(
        [python, "-X", "importtime", script], capture_output=True, text=True, env={}, check=True
    ).stderr
    loaded = {line.rsplit("|", 1)[-1].strip() for line in listing.splitlines()}
    assert not loaded & {"numpy", "pandas", "matplotlib", "rich", "importlib.metadata", "subprocess"}


# ---- an agent's sandbox: no network, a home that cannot be written ---------------------------------------------------


def test_help_and_a_local_run_with_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": "/dev/null", "TMPDIR": str(tmp_path)}
    for words in (["--help"], ["assets/example.wandb", "--metrics", "train/loss", "--output", str(tmp_path / "out")]):
        script = ROOT / "skills" / "wandb-plot" / "scripts" / "generate_plots.py"
        done = subprocess.run(
            [sys.executable, script, *words],
            cwd=script.parents[1],
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
    assert len(list((tmp_path / "out").glob("train*loss.png"))) == 1


def test_matplotlibs_folder_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MPLCONFIGDIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    settle_matplotlib()
    assert "MPLCONFIGDIR" not in os.environ  # a home that can be written needs nothing
    monkeypatch.setenv("HOME", "/dev/null")
    folder = tmp_path / f"wandb-toolkit-matplotlib-{os.getuid()}"
    folder.symlink_to(tmp_path)
    settle_matplotlib()
    assert "MPLCONFIGDIR" not in os.environ  # somebody laid it there
    folder.unlink()
    monkeypatch.setenv("MPLCONFIGDIR", "")
    settle_matplotlib()
    assert os.environ["MPLCONFIGDIR"] == str(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_set_up_with_a_home_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    """Without network: tests/test_setup.py."""
    repo = tmp_path / "home" / ".claude" / "plugins" / "cache" / "wandb-toolkit"
    (repo / "scripts" / "wandb_toolkit").mkdir(parents=True)
    for name in (".venv-setup.sh", "pyproject.toml"):
        shutil.copy(ROOT / name, repo)
    env = {"PATH": f"{Path(sys.base_prefix) / 'bin'}{os.pathsep}{os.defpath}", "HOME": "/dev/null"}
    command = ["bash", str(repo / ".venv-setup.sh")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "cannot write to /dev/null" in done.stderr
    assert "set WANDB_TOOLKIT_VENV" in done.stderr


def test_skill_folders_hold_the_same_example() -> None:
    texts = [path.read_bytes() for path in sorted(ROOT.glob("skills/*/assets/example.wandb"))]
    assert len(texts) == 2
    assert texts[0] == texts[1]
    assert len(texts[0]) < 30_000
