"""Media of a server's run: what the history says of step and place in a list, which a file's name does not."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

from api_cases import Command
from wandb_server import File, Run, Server, Store


def png(shade: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (shade, 0, 0)).save(out, "png")
    return out.getvalue()


NAMES = [f"media/images/val/pics_{n}_{n:020x}.png" for n in range(4)]  # the SDK's counter, not the step
ROWS: list[dict[str, Any]] = [
    {
        "_step": 0,
        "loss": 1.0,
        "val/pics": {"_type": "images/separated", "filenames": NAMES[:2], "captions": ["a", "b"]},
    },
    {"_step": 1000, "val/pics": {"_type": "images/separated", "filenames": [NAMES[3], NAMES[2]]}},
    {"_step": 2000, "loss": 0.5},
]


def make_store() -> Store:
    store = Store()
    files = [File(name, png(n)) for n, name in enumerate(NAMES)]
    store.project("ada", "p").add(Run("r", ROWS, files=[*files, File("media/images/own.png", png(9))]))
    return store


def test_steps_and_places_are_those_of_the_history(command: Command) -> None:
    found = command("download_plots", "ada/p", "r", "--output", "out", "--json").json["downloaded"]
    assert [(one["key"], one["step"], one["index"], one["caption"]) for one in found] == [
        (None, None, None, None),
        ("val/pics", 0, 0, "a"),
        ("val/pics", 0, 1, "b"),
        ("val/pics", 1000, 0, None),
        ("val/pics", 1000, 1, None),
    ]
    assert found[3]["file"].endswith(f"val__pics_1000_0_{3:020x}.png")


def test_without_the_rows_the_names_are_all_there_is(server: Server, command: Command) -> None:
    server.fault("status", 400, operation="EachRun")
    outcome = command("download_plots", "ada/p", "r", "--output", "out", "--json")
    assert outcome.code == 0
    assert [(one["step"], one["index"]) for one in outcome.json["downloaded"]] == [
        (None, None), (0, None), (1, None), (2, None), (3, None),
    ]  # fmt: skip
