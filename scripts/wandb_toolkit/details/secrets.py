"""Keys and passwords in what a run recorded, masked: by a setting's name, by a value's shape, in addresses."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

MASK = "***"
_NAME = re.compile(
    r"(^|[._-])((api|private|access|ssh|encryption)_?key|secret(_?(access_?)?key)?|password|passwd|credentials?"
    r"|(access|auth|hf|hub|bearer|github|gitlab|session|refresh)_?token)$",
    re.IGNORECASE,
)
_IN_ADDRESS = re.compile(r"\b([a-z][a-z0-9+.-]{0,20}://)(?!git@)[^/\s@'\"]{1,300}@", re.IGNORECASE)
# Keys of OpenAI and others, Hugging Face, GitHub, GitLab, AWS and Slack, as their makers document the prefixes.
_SHAPE = re.compile(
    r"\b(sk-[\w-]{20,}|hf_[A-Za-z0-9]{20,}|gh[opsu]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{20,}"
    r"|(?:AKIA|ASIA)[0-9A-Z]{16}|xox[abps]-[\w-]{10,}|wandb_v1_\w{20,})"
)


def names_a_secret(name: str) -> bool:
    """Whether a setting of this name holds a key or a password."""
    return _NAME.search(name.replace("-", "_")) is not None


def mask_text(text: str) -> str:
    """Return a text with user names and passwords in addresses, and what has the shape of a key, masked."""
    return _SHAPE.sub(MASK, _IN_ADDRESS.sub(rf"\1{MASK}@", text))


def masked(value: Any, name: str = "") -> Any:
    """Return a value of a config, its keys and passwords masked at any depth; `name` is its own key."""
    if isinstance(value, Mapping):
        return {key: masked(part, str(key)) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked(part, name) for part in value]
    if not isinstance(value, str) or not value:
        return value
    return MASK if names_a_secret(name) else mask_text(value)


def masked_args(args: Sequence[str]) -> list[str]:
    """Return the words of a command with the values of ``--api-key VALUE``, ``api_key=VALUE`` and the like masked."""
    done: list[str] = []
    secret_follows = False
    for word in args:
        flag, equals, _ = word.partition("=")
        if secret_follows and not word.startswith("--"):
            done.append(MASK)
        elif equals and names_a_secret(flag.lstrip("-+")):
            done.append(f"{flag}={MASK}")
        else:
            done.append(mask_text(word))
        secret_follows = not equals and word.startswith("-") and names_a_secret(word.lstrip("-"))
    return done
