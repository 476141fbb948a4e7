"""Where the repository's parts are."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests"
SCRIPTS = ROOT / "scripts"
SCHEMAS = ROOT / "docs" / "schemas"
EXAMPLES = ROOT / "examples" / "wandb"
