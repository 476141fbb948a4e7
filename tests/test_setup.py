"""`.venv-setup.sh` with stand-ins for Python, pip and uv on PATH, so that nothing is downloaded."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from repository import ROOT

TOOLS = """
bash cat cksum cp dirname find grep mkdir mv ps rm rmdir sed sh sleep sort tail touch uname
""".split()  # noqa: SIM905 - a list would be a line each

# Answers the version question itself and makes an environment without ensurepip, which takes seconds.
PYTHON = """#!/bin/sh
case "$*" in
  *sys.executable*) echo "{version} {fits} $0" ;;
  *ensurepip*) exit {no_venv} ;;
  *'-m venv'*)
    for last; do :; done
    '{real}' -m venv --without-pip "$last" && cp -R '{pip}' "$last"/lib/python3*/site-packages ;;
  *) exec '{real}' "$@" ;;
esac
"""
UV = """#!/bin/sh
echo "uv $*" >> '{log}'
[ {code} = 0 ] || {{ echo 'no such index' >&2; exit {code}; }}
for last; do :; done
case "$1" in
  venv) '{real}' -m venv --without-pip "$last" ;;
  pip) cat "$last" >> '{log}' ;;
esac
"""
# Notes the requirements; "installs" a pytest that tells how it was called.
PIP = """
import os, pathlib, sys, sysconfig, time
log = pathlib.Path({log!r})
wanted = pathlib.Path(sys.argv[sys.argv.index("-r") + 1]).read_text()
with log.open("a") as file:
    file.write("pip " + " ".join(wanted.split("\\n")) + "\\n")
time.sleep(float(os.environ.get("SLOW_PIP", "0")))
if "FAILING_PIP" in os.environ:
    sys.exit(os.environ["FAILING_PIP"])
if "pytest" in wanted:
    target = pathlib.Path(sysconfig.get_path("purelib"), "pytest.py")
    target.write_text("import os, sys; print('pytest', sys.argv[1:], os.getcwd())")
"""
PYPROJECT = """[project]
dependencies = ["numpy>=1", "pyyaml; python_version >= '3.8'"]
[project.optional-dependencies]
test = ["pytest"]
"""


class Machine:
    """A small computer: the tools of TOOLS, a home, a repository, and Pythons as they are added."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "a home"
        self.bin = folder / "bin"
        self.log = folder / "log.txt"
        for path in (self.home, self.bin, folder / "pip"):
            path.mkdir()
        self.log.touch()
        for tool in TOOLS:
            if found := shutil.which(tool):
                (self.bin / tool).symlink_to(found)
        (folder / "pip" / "__init__.py").touch()
        (folder / "pip" / "__main__.py").write_text(PIP.format(log=str(self.log)))
        self.env = {"PATH": str(self.bin), "HOME": str(self.home)}
        self.repo = self.checkout(folder / "my repo")

    def checkout(self, at: Path) -> Path:
        """Put a repository with the set-up script and a tiny core at `at`."""
        core = at / "scripts" / "wandb_toolkit"
        core.mkdir(parents=True)
        (core / "__init__.py").write_text("__version__ = '1'\n")
        (at / "scripts" / "demo.py").write_text("import os, sys; print(sys.prefix, sys.argv[1:], os.getcwd())")
        (at / "pyproject.toml").write_text(PYPROJECT)
        shutil.copy(ROOT / ".venv-setup.sh", at)
        return at

    def program(self, name: str, text: str) -> None:
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def python(self, name: str = "python3", version: str = "3.11.4", *, venv: bool = True) -> None:
        fits = tuple(map(int, version.split("."))) >= (3, 11)
        real, pip = os.path.realpath(sys.executable), self.folder / "pip"
        self.program(name, PYTHON.format(version=version, fits=fits, no_venv=int(not venv), real=real, pip=pip))

    def uv(self, code: int = 0) -> None:
        self.program("uv", UV.format(log=self.log, real=os.path.realpath(sys.executable), code=code))

    def start(
        self, *args: str, repo: Path | None = None, env: dict[str, str] | None = None, **more: str
    ) -> subprocess.Popen[str]:
        command = ["bash", str((repo or self.repo) / ".venv-setup.sh"), *args]
        return subprocess.Popen(
            command,
            env=self.env | (env or {}) | more,
            cwd=self.folder,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(
        self, *args: str, repo: Path | None = None, env: dict[str, str] | None = None, **more: str
    ) -> tuple[int, str, str]:
        """Run to the end: exit code, stdout, stderr."""
        process = self.start(*args, repo=repo, env=env, **more)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def calls(self) -> list[str]:
        return self.log.read_text().splitlines()

    @property
    def venv(self) -> Path:
        return self.repo / ".venv"

    def left_nothing(self) -> bool:
        return not self.venv.exists() and not self.venv.with_name(".venv.lock").exists()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    made.python()
    return made


def error_line(err: str) -> str:
    assert "Traceback" not in err
    return err.splitlines()[-1]


def test_prints_only_the_interpreter_and_does_nothing_the_second_time(machine: Machine) -> None:
    code, out, err = machine.run()
    assert (code, out) == (0, f"{machine.venv}/bin/python\n")
    assert "setting up" in err
    assert machine.calls() == ["pip numpy>=1 pyyaml; python_version >= '3.8' "]
    assert machine.run() == (0, out, "")
    assert len(machine.calls()) == 1
    assert not (machine.repo / ".venv.lock").exists()


def test_test_adds_the_extra_and_runs_pytest_in_the_repository(machine: Machine) -> None:
    machine.run()
    code, out, _ = machine.run("test", "-k", "two words")
    assert (code, out) == (0, f"pytest ['-k', 'two words'] {machine.repo}\n")
    assert machine.calls()[1] == "pip numpy>=1 pyyaml; python_version >= '3.8' pytest "
    machine.run()
    machine.run("test")
    assert len(machine.calls()) == 2


def test_demo_runs_where_it_was_started(machine: Machine) -> None:
    code, out, _ = machine.run("demo", "--out", "x y")
    assert (code, out) == (0, f"{machine.venv} ['--out', 'x y'] {machine.folder}\n")


def test_help_and_unknown_words(machine: Machine) -> None:
    code, out, err = machine.run("--help")
    assert (code, err) == (0, "")
    assert "WANDB_TOOLKIT_VENV" in out
    code, out, err = machine.run("tset")
    assert (code, out) == (2, "")
    assert "tset" in error_line(err)
    assert machine.left_nothing()


def test_a_changed_pyproject_is_installed(machine: Machine) -> None:
    machine.run()
    (machine.repo / "pyproject.toml").write_text(PYPROJECT.replace("numpy>=1", "numpy>=2"))
    assert machine.run()[0] == 0
    assert "numpy>=2" in machine.calls()[1]


def test_uv_is_used_when_there(machine: Machine) -> None:
    machine.uv()
    code, out, _ = machine.run()
    assert (code, out) == (0, f"{machine.venv}/bin/python\n")
    made, installed, *wanted = machine.calls()
    assert made.startswith("uv venv")
    assert installed.startswith("uv pip install")
    assert wanted[0] == "numpy>=1"


def test_uv_needs_no_other_python(machine: Machine) -> None:
    machine.uv()
    machine.python(version="3.9.2")
    assert machine.run()[0] == 0
    assert "--python >=3.11" in machine.calls()[0]


def test_pip_takes_over_when_uv_fails(machine: Machine) -> None:
    machine.uv(code=1)
    code, out, err = machine.run()
    assert (code, out) == (0, f"{machine.venv}/bin/python\n")
    assert "uv failed (no such index); trying pip" in err
    assert [call.split()[0] for call in machine.calls()] == ["uv", "pip"]


def test_next_python_when_the_first_is_too_old(machine: Machine) -> None:
    machine.python(version="3.9.2")
    machine.python("python3.12", version="3.12.1")
    assert machine.run()[0] == 0


def test_python_variable_is_tried_first(machine: Machine) -> None:
    machine.python(version="3.9.2")
    machine.python("my own", version="3.13.0")
    assert machine.run(PYTHON="my own")[0] == 0


@pytest.mark.parametrize(
    ("version", "said"), [("3.9.2", "found 3.9.2"), ("2.7.18", "found 2.7.18"), ("", "found none")]
)
def test_no_python_that_is_new_enough(machine: Machine, version: str, said: str) -> None:
    machine.python(version=version) if version else (machine.bin / "python3").unlink()
    code, out, err = machine.run()
    assert (code, out) == (1, "")
    assert "needs Python 3.11 or newer" in error_line(err)
    assert said in error_line(err)
    assert machine.left_nothing()


def test_python_without_venv_module(machine: Machine) -> None:
    machine.python(venv=False)
    code, _, err = machine.run()
    assert code == 1
    assert "apt install python3-venv" in error_line(err)
    assert "uv" in error_line(err)
    assert machine.left_nothing()


def test_failed_install_shows_pips_words_and_leaves_nothing(machine: Machine) -> None:
    words = "ERROR: Failed to establish a new connection: Temporary failure in name resolution"
    code, out, err = machine.run(FAILING_PIP=words)
    assert (code, out) == (1, "")
    assert words in err
    assert "no network" in error_line(err)
    assert "Inside a sandbox, run this command outside of it" in error_line(err)
    assert machine.left_nothing()
    assert machine.run()[0] == 0


def test_failed_extra_keeps_the_working_environment(machine: Machine) -> None:
    machine.run()
    assert machine.run("test", FAILING_PIP="no such package")[0] == 1
    assert machine.run()[0] == 0
    assert len(machine.calls()) == 2


@pytest.mark.parametrize("damage", ["no stamp", "no python", "only the mark", "empty folder"])
def test_broken_off_set_up_is_repaired(machine: Machine, damage: str) -> None:
    machine.run()
    if damage == "no stamp":
        (machine.venv / "wandb-toolkit.stamp").unlink()
    elif damage == "no python":
        (machine.venv / "bin" / "python").unlink()
        (machine.venv / "bin" / "python").symlink_to(machine.folder / "gone")
    else:
        shutil.rmtree(machine.venv)
        machine.venv.mkdir()
        if damage == "only the mark":
            (machine.venv / "wandb-toolkit.made").touch()
    code, out, _ = machine.run()
    assert code == 0
    assert subprocess.run([out.strip(), "-c", ""], check=False).returncode == 0
    assert len(machine.calls()) == 2


def test_a_folder_of_someone_else_is_left_alone(machine: Machine) -> None:
    (machine.folder / "data").mkdir()
    (machine.folder / "data" / "thesis.tex").touch()
    code, _, err = machine.run(WANDB_TOOLKIT_VENV=str(machine.folder / "data"))
    assert code == 1
    assert "is no environment" in error_line(err)
    assert [path.name for path in (machine.folder / "data").iterdir()] == ["thesis.tex"]


def test_place_that_cannot_be_written(machine: Machine) -> None:
    (machine.folder / "file").touch()
    code, _, err = machine.run(WANDB_TOOLKIT_VENV=str(machine.folder / "file" / "venv"))
    assert code == 1
    assert "cannot write to" in error_line(err)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_checkout(machine: Machine) -> None:
    machine.repo.chmod(0o555)
    code, _, err = machine.run()
    machine.repo.chmod(0o755)
    assert code == 1
    assert "set WANDB_TOOLKIT_VENV" in error_line(err)


CLIENT_FOLDERS = [
    ".claude/plugins/cache/market/wandb-toolkit/0.1.0",
    ".claude/plugins/marketplaces/market",
    ".claude/skills/wandb-toolkit",
    ".codex/plugins/cache/market/wandb-toolkit/0.1.0",
    ".agents/skills/wandb-toolkit",
    ".gemini/extensions/wandb-toolkit",
    ".config/opencode/skills/wandb-toolkit",
    "codex-home/plugins/cache/market/wandb-toolkit/0.1.0",
]


@pytest.mark.parametrize("place", CLIENT_FOLDERS)
def test_in_a_clients_folder_the_environment_is_outside(machine: Machine, place: str) -> None:
    repo = machine.checkout(machine.home / place)
    _, out, _ = machine.run(repo=repo)
    assert out == f"{machine.home}/.local/share/wandb-toolkit/venv/bin/python\n"
    assert not (repo / ".venv").exists()


@pytest.mark.parametrize("place", ["src/wandb-toolkit", "p/.claude/worktrees/fix", "skills/x", ".hidden/x"])
def test_elsewhere_it_is_in_the_checkout(machine: Machine, place: str) -> None:
    repo = machine.checkout(machine.home / place)
    _, out, _ = machine.run(repo=repo)
    assert out == f"{repo}/.venv/bin/python\n"


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"XDG_DATA_HOME": "/{folder}/xdg data"}, "xdg data/wandb-toolkit/venv"),
        ({"XDG_DATA_HOME": "relative"}, "a home/.local/share/wandb-toolkit/venv"),
        ({"WANDB_TOOLKIT_VENV": "/{folder}/my venv/"}, "my venv"),
        ({"WANDB_TOOLKIT_VENV": "my venv"}, "my venv"),
    ],
)
def test_shared_environment_holds_the_core(machine: Machine, env: dict[str, str], expected: str) -> None:
    env = {key: value.replace("/{folder}", str(machine.folder)) for key, value in env.items()}
    code, out, _ = machine.run("--shared", env=env)
    assert (code, out) == (0, f"{machine.folder}/{expected}/bin/python\n")
    version = [out.strip(), "-c", "import wandb_toolkit; print(wandb_toolkit.__version__)"]
    assert subprocess.check_output(version, text=True) == "1\n"
    # An update of the core reaches the copy.
    (machine.repo / "scripts" / "wandb_toolkit" / "__init__.py").write_text("__version__ = '2 new'\n")
    machine.run("--shared", env=env)
    assert subprocess.check_output(version, text=True) == "2 new\n"


def test_home_may_be_empty_or_missing(machine: Machine) -> None:
    assert machine.run(HOME="")[0] == 0
    del machine.env["HOME"]
    assert machine.run()[0] == 0


def test_two_at_once_install_once(machine: Machine) -> None:
    processes = [machine.start(SLOW_PIP="0.7") for _ in range(3)]
    for process in processes:
        out, _ = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, f"{machine.venv}/bin/python\n")
    assert len(machine.calls()) == 1


def lock(machine: Machine, owner: str) -> Path:
    path = machine.repo / ".venv.lock"
    path.mkdir()
    (path / "owner").write_text(owner)
    return path


def test_lock_of_a_dead_process_is_taken_over(machine: Machine) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    path = lock(machine, f"{gone.pid} {os.uname().nodename}\n")
    assert machine.run()[0] == 0
    assert not path.exists()


@pytest.mark.parametrize("host", [os.uname().nodename, "another-host"])
def test_waiting_for_a_live_lock_ends(machine: Machine, host: str) -> None:
    path = lock(machine, f"{os.getpid()} {host}\n")
    code, _, err = machine.run(WANDB_TOOLKIT_SETUP_WAIT="1")
    assert code == 1
    assert f"rm -r '{path}'" in error_line(err)
    assert path.exists()


def test_a_signal_leaves_nothing_behind(machine: Machine) -> None:
    process = machine.start(SLOW_PIP="1")
    while process.poll() is None and not machine.calls():
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143
    assert machine.left_nothing()


SHELL_FILES = [ROOT / ".venv-setup.sh", ROOT / ".ci" / "run"]
NEWER_THAN_BASH_3_2 = [
    r"\bmapfile\b|\breadarray\b",
    r"\b(declare|local|typeset) -[a-zA-Z]*[An]",
    r"\$\{\w+(,,?|\^\^?|@)",
    r"&>>|\|&|;;&|;&",
    r"\bcoproc\b|\bwait -n\b|\$EPOCH|\$BASHPID",
    r"\$\{\w+\[[@*]\]\}",  # an empty array is unset there
    r"\$\{\w+: -?\d+\}|\[\[ -v|printf '?%\(",
]
GNU_ONLY = [
    r"\bsed -[iEr]",
    r"\breadlink -f|\brealpath\b",
    r"\bgrep -\w*P",
    r"\bstat -c",
    r"\bdate -d|\btimeout\b",
    r"sha256sum|md5sum",
]


@pytest.mark.parametrize("path", SHELL_FILES, ids=lambda path: path.name)
def test_shell_of_macos_can_read_it(path: Path) -> None:
    assert subprocess.run(["bash", "-n", path], check=False).returncode == 0
    text = re.sub(r"^\s*#.*", "", path.read_text(), flags=re.MULTILINE)
    for pattern in NEWER_THAN_BASH_3_2 + GNU_ONLY:
        assert not re.search(pattern, text), pattern


def test_ci_runs_the_test_command() -> None:
    assert "bash .venv-setup.sh test" in (ROOT / ".ci" / "run").read_text()


@pytest.fixture
def wheels(tmp_path: Path) -> Callable[[str], Path]:
    def build(name: str) -> Path:
        info = f"{name}-1.0.dist-info"
        with zipfile.ZipFile(tmp_path / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{name}.py", "")
            wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
        return tmp_path

    return build


@pytest.mark.slow
def test_real_venv_and_pip_with_the_users_pip_settings(machine: Machine, wheels: Callable[[str], Path]) -> None:
    links = wheels("standin")
    (machine.repo / "pyproject.toml").write_text('[project]\ndependencies = ["standin"]\n')
    (machine.bin / "python3").unlink()
    settings = {
        "PYTHON": os.path.realpath(sys.executable),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(links),
        "PIP_USER": "1",
    }
    code, out, err = machine.run(env=settings)
    assert (code, err.count("\n")) == (0, 1)
    subprocess.run([out.strip(), "-c", "import standin"], check=True)
