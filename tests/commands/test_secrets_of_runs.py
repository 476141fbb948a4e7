"""What runs recorded by mistake, keys and passwords, is never shown; what only looks like that is."""

from __future__ import annotations

from pathlib import Path

import pytest

import wandb_runs as logs
from wandb_toolkit.commands import show_run
from wandb_toolkit.details.secrets import mask_text, masked, masked_args, names_a_secret

TOKEN = "A1b2C3d4E5" * 4


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("api_key", True),
        ("wandb.api_key", True),
        ("OPENAI_API_KEY", True),
        ("openai-api-key", True),
        ("hub_token", True),
        ("aws_secret_access_key", True),
        ("db.password", True),
        ("pad_token", False),
        ("eos_token", False),
        ("max_tokens", False),
        ("key", False),
        ("num_key_value_heads", False),
        ("secretary", False),
    ],
)
def test_names(name: str, secret: bool) -> None:
    assert names_a_secret(name) is secret


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"https://user:{TOKEN}@host.test/a.git", "https://***@host.test/a.git"),
        (f"https://{TOKEN}@host.test/a.git", "https://***@host.test/a.git"),
        ("ssh://git@host.test/a.git", "ssh://git@host.test/a.git"),
        ("git@host.test:a.git", "git@host.test:a.git"),
        (f"login with hf_{TOKEN} done", "login with *** done"),
        (f"key=sk-proj-{TOKEN}", "key=***"),
        ("sk-learn and ghp_ are words", "sk-learn and ghp_ are words"),
        ("mean@5: 0.3, see https://host.test/@me", "mean@5: 0.3, see https://host.test/@me"),
    ],
)
def test_texts(text: str, shown: str) -> None:
    assert mask_text(text) == shown


def test_nested_values_and_commands() -> None:
    assert masked({"a": [{"password": "p", "n": 1}], "pad_token": "<pad>", "api_key": None}) == {
        "a": [{"password": "***", "n": 1}],
        "pad_token": "<pad>",
        "api_key": None,
    }
    words = ["--api-key", "x", "--lr", "0.1", "--hub_token=x", "db.password=x", f"s3://me:{TOKEN}@b/c"]
    shown = ["--api-key", "***", "--lr", "0.1", "--hub_token=***", "db.password=***", "s3://***@b/c"]
    assert masked_args([*words, "--api-key", "--v"]) == [*shown, "--api-key", "--v"]


def test_show_run_shows_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = {"api_key": TOKEN, "opt": {"parts": [{"password": TOKEN}]}}
    for name in ("a", "b"):
        own = {**config, "data": f"https://me:{TOKEN}@{name}.test/d"}
        logs.write_run(
            tmp_path,
            [
                logs.run(name, config=own),
                logs.output(f"hf_{TOKEN}\n"),
                logs.summary({"t": f"hf_{TOKEN}"}),
                logs.history({"x": 1.0}, 0),
            ],
            name,
        )
    for words in (["a"], ["a", "b"], ["a", "--json"], ["a", "b", "--json"]):
        assert show_run.main([str(tmp_path), *words]) == 0
        out, err = capsys.readouterr()
        assert TOKEN not in out + err
        assert "***" in out
