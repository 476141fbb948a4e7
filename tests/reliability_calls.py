"""Commands called in this process, for measurements."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def environment(settings: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(settings)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def run(words: tuple[str, ...], *more: str) -> tuple[int, str, str]:
    """Return a command's exit code, stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    main = importlib.import_module(f"wandb_toolkit.commands.{words[0]}").main
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = int(main([*words[1:], "--no-cache", *more]))
    return code, out.getvalue(), err.getvalue()


def call(words: tuple[str, ...], *more: str) -> tuple[int, Any, str]:
    """Return a command's exit code, the document that it printed (None: none), and stderr."""
    code, text, said = run(words, "--json", *(more or ("--timeout", "10")))
    return code, json.loads(text) if text else None, said
