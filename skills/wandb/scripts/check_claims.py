#!/usr/bin/env python3
"""Start the wandb-toolkit command that this file is named after. Every launcher holds this same text.

The code is looked for in the repository around the skill, then in this Python, then in the environment that
`bash .venv-setup.sh --shared` makes. Any Python 3 can read this, so an old one ends with a sentence about it.
"""

import importlib
import importlib.util
import json
import os
import sys

GUARD = "WANDB_TOOLKIT_RESTARTED"


def main() -> int:
    """Run the command with this process's arguments and return its exit code."""
    here = os.path.realpath(__file__)
    folder = os.path.dirname(here)
    while folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
        scripts = os.path.join(folder, "scripts")
        if os.path.isfile(os.path.join(scripts, "wandb_toolkit", "__init__.py")):
            sys.path.insert(0, scripts)
            return int(importlib.import_module("_bootstrap").run(here))
    restarted = os.environ.pop(GUARD, "")
    command = "wandb_toolkit.commands." + os.path.splitext(os.path.basename(here))[0]
    if sys.version_info >= (3, 11) and installed(command):
        return int(importlib.import_module(command).main())
    python = environment_python()
    if os.access(python, os.X_OK) and not restarted:
        os.environ[GUARD] = python
        os.execv(python, [python, here, *sys.argv[1:]])
    message = "the code of this command is not installed (the skill folder is without its repository)"
    hint = "run once in a clone of wandb-toolkit: bash .venv-setup.sh --shared"
    if any(word.startswith(("--json", "--fields")) for word in sys.argv):
        sys.stderr.write(json.dumps({"type": "failed", "message": message, "hint": hint}) + "\n")
    else:
        sys.stderr.write("error: " + message + "; " + hint + "\n")
    return 1


def installed(module: str) -> bool:
    """Whether `module` can be imported; an older wandb-toolkit may lack a command."""
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:
        return False


def environment_python() -> str:
    """Where the set-up outside of a checkout puts its interpreter."""
    if not os.environ.get("HOME"):
        os.environ.pop("HOME", None)  # empty, expanduser() would answer "/"
    data = os.environ.get("XDG_DATA_HOME", "")
    if not os.path.isabs(data):
        data = os.path.join(os.path.expanduser("~"), ".local", "share")
    place = os.environ.get("WANDB_TOOLKIT_VENV") or os.path.join(data, "wandb-toolkit", "venv")
    return os.path.join(os.path.abspath(place), "bin", "python")


if __name__ == "__main__":
    raise SystemExit(main())
