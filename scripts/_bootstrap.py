"""Start a command with a Python that can run it; standard library only, and readable by any Python 3.

A bare `python3 scripts/list_runs.py` may meet a system Python without numpy. Then the environment that
`.venv-setup.sh` made is looked up and the same file is started again with its interpreter.
"""

import importlib
import importlib.util
import json
import os
import sys

OLDEST = (3, 11)
# What pyproject.toml lists, as import names; a number where an older release is still commonly installed.
NEEDS = (
    ("numpy", ()),
    ("matplotlib", ()),
    ("rich", ()),
    ("yaml", ()),
    ("plotille", ()),
    ("urllib3", (2, 2)),
)
STAMP = "wandb-toolkit.stamp"  # written by .venv-setup.sh when an environment is complete
GUARD = "WANDB_TOOLKIT_RESTARTED"  # set for the process that is started again, so that it happens once

REPOSITORY = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))


def run(file: str) -> int:
    """Run the command that `file` is named after and return its exit code."""
    try:
        return _run(file)
    except KeyboardInterrupt:  # before the command is there to say it
        sys.stderr.write("error: Interrupted.\n")
        return 130


def _run(file: str) -> int:
    restarted = os.environ.pop(GUARD, None)
    missing = "" if _help_is_enough() else _missing()
    if missing:
        python = _environment_python()
        if python and not restarted:
            os.environ[GUARD] = python
            os.execv(python, [python, os.path.realpath(file), *sys.argv[1:]])
        return _not_set_up(missing)
    name = os.path.splitext(os.path.basename(file))[0]
    return int(importlib.import_module("wandb_toolkit.commands." + name).main())


def _help_is_enough() -> bool:
    """Whether only help is asked for, which needs no package and should come at once."""
    return sys.version_info >= OLDEST and bool({"-h", "--help", "--version"} & set(sys.argv[1:]))


def _missing() -> str:
    """What this interpreter lacks, in words; empty when it can run the commands."""
    if sys.version_info < OLDEST:
        return "Python %d.%d is older than %d.%d" % (sys.version_info[:2] + OLDEST)
    lacking = [name for name, oldest in NEEDS if not _has(name, oldest)]
    return "not installed for %s: %s" % (sys.executable, ", ".join(lacking)) if lacking else ""


def _has(name: str, oldest: "tuple[int, ...]") -> bool:
    """Whether package `name` is there, without importing it (that alone would take a second)."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        return False
    if not oldest:
        return True
    for entry in os.listdir(os.path.dirname(os.path.dirname(spec.origin))):
        if entry.startswith(name + "-") and entry.endswith(("-info", ".egg")):
            numbers = entry[len(name) + 1 :].split(".")[: len(oldest)]
            return [int(n) if n.isdigit() else 0 for n in numbers] >= list(oldest)
    return True


def _environment_python() -> "str | None":
    """The interpreter of the first complete environment, in the order in which they are set up."""
    chosen = os.environ.get("WANDB_TOOLKIT_VENV")
    places = [chosen] if chosen else [os.path.join(REPOSITORY, ".venv"), _shared_environment()]
    for place in places:
        python = os.path.join(os.path.abspath(place), "bin", "python")
        if os.access(python, os.X_OK) and os.path.isfile(os.path.join(place, STAMP)):
            return python
    return None


def _shared_environment() -> str:
    data = os.environ.get("XDG_DATA_HOME", "")
    if not os.path.isabs(data):
        data = os.path.join(_home(), ".local", "share")
    return os.path.join(data, "wandb-toolkit", "venv")


def _home() -> str:
    if not os.environ.get("HOME"):
        os.environ.pop("HOME", None)  # set but empty, expanduser() would answer "/"
    return os.path.expanduser("~")


def _not_set_up(missing: str) -> int:
    """Say in one line what to do (one JSON object when the caller reads JSON)."""
    setup = os.path.join(REPOSITORY, ".venv-setup.sh")
    hint = "bash '%s'" % setup.replace("'", "'\\''")
    if any(word.startswith(("--json", "--fields")) for word in sys.argv):
        line = json.dumps({"type": "failed", "message": missing, "hint": "set up once with: " + hint})
    else:
        line = "error: %s; set up once with: %s" % (missing, hint)
    sys.stderr.write(line + "\n")
    return 1
