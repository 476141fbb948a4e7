"""Console output as a terminal would have left it."""

from __future__ import annotations

from wandb_toolkit.sources.console import LONGEST_LINE, last_lines


def test_lines_are_cut_before_anything_looks_for_patterns_in_them() -> None:
    [first, last] = last_lines(["nccl " * 50_000 + "\n", "done\n"], 5)
    assert first == ("nccl " * 50_000)[:LONGEST_LINE].strip()
    assert last == "done"


def test_of_a_line_that_is_drawn_again_the_last_form_counts() -> None:
    assert last_lines(["10%\r50%\r100%\n", "\x1b[31mred\x1b[0m\n\n"], 5) == ["100%", "red"]
