"""Marks: comments that say which run's metric a number is.

    accuracy 92.3 % <!-- wandb: base-s1 eval/accuracy best -->
    base & 92.3 & 0.31 \\\\  % wandb: base-s1 eval/accuracy best; base-s1 eval/loss last

RUN is what the scripts take: an id, a name, a glob, `group:x`, several joined by commas. METRIC is a metric's name. The
last word is best, last, min, max, mean, or `@STEP`; without it the last or the best will do. Names with blanks are
quoted. `wandb: ignore` leaves a line alone; `wandb-target: TARGET` says where the runs are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wandb_toolkit.claims.claim import Claim, Number, Statistic, said_statistic
from wandb_toolkit.claims.numbers import nearest_before, numbers_in, seeds_said
from wandb_toolkit.claims.plain import Comment, Plain

_MARK = re.compile(r"\s*wandb:\s*(?P<body>.*?)\s*", re.DOTALL)
_TARGET = re.compile(r"\s*wandb-target:\s*(?P<target>\S.*?)\s*", re.DOTALL)
_TOKEN = re.compile(r"\"([^\"]*)\"|'([^']*)'|(\S+)")
_SEED_WORD = re.compile(r"\bseeds?\b|\b(?:single|one|best|this)\s+run\b|\bbest of\b", re.IGNORECASE)
_FORM = "Write RUN METRIC and best, last, min, max, mean or @STEP; quote names with blanks."


@dataclass(frozen=True)
class Mark:
    """What a mark says, or why it cannot be read."""

    run: str = ""
    metric: str = ""
    statistic: Statistic | None = None
    step: float | None = None
    problem: str = ""


def target_of(text: Plain) -> str | None:
    """Return where the file says that its runs are."""
    found = (_TARGET.fullmatch(comment.text) for comment in text.comments)
    return next((match["target"] for match in found if match), None)


def read_mark(body: str) -> Mark:
    """Return what stands behind ``wandb:``."""
    words = [(first or second or plain, bool(plain)) for first, second, plain in _TOKEN.findall(body)]
    statistic: Statistic | None = None
    step = None
    if len(words) > 2 and words[-1][1]:
        last = words[-1][0]
        statistic = said_statistic(last)
        if re.fullmatch(r"@\d+(?:\.\d+)?", last):
            step = float(last[1:])
        if statistic or step is not None:
            words.pop()
    if len(words) != 2 or not all(word for word, _ in words):
        what = "more than RUN METRIC and a statistic" if len(words) > 2 else "no RUN and METRIC"
        return Mark(problem=f"the mark has {what}. {_FORM}")
    return Mark(words[0][0], words[1][0], statistic, step)


def write_mark(run: str, metric: str, statistic: str) -> str | None:
    """Return the text of a mark, None for names that no mark can hold."""
    words = []
    for name in (run, metric):
        if not name.isprintable() or "-->" in name or "--" in name or ";" in name or ('"' in name and "'" in name):
            return None
        plain = not re.search(r"[\s\"']", name)
        words.append(name if plain else f'"{name}"' if '"' not in name else f"'{name}'")
    return f"wandb: {' '.join(words)} {statistic}"


def ignored_lines(text: Plain) -> set[int]:
    """Return the lines with ``wandb: ignore``."""
    return {text.line_of(one.start) for one in text.comments if (body := _body(one)) and body.lower() == "ignore"}


def _body(comment: Comment) -> str | None:
    match = _MARK.fullmatch(comment.text)
    return match["body"] if match else None


def marked_claims(text: Plain) -> list[Claim]:
    """Return the claims that marks make; a mark that stands behind no number is one that cannot be judged."""
    return [claim for comment in text.comments for claim in _of_comment(text, comment)]


def _of_comment(text: Plain, comment: Comment) -> Iterator[Claim]:
    body = _body(comment)
    if body is None or body.lower() == "ignore":
        return
    line = text.line_of(comment.start)
    marks = [read_mark(part) for part in (body.split(";") if text.latex else [body])]
    start, end = _reach(text, comment, line)
    numbers = numbers_in(text.text, start, end)
    chosen: Sequence[Number | None]
    if len(marks) > 1:  # one for each of the line's last numbers
        last = numbers[-len(marks) :]
        chosen = [None] * (len(marks) - len(last)) + list(last)
    else:
        chosen = [nearest_before(numbers, end, text.text)]
    for mark, number in zip(marks, chosen, strict=True):
        yield _claim(text, comment, mark, number)


def _reach(text: Plain, comment: Comment, line: int) -> tuple[int, int]:
    """Return where in the plain text the number of a mark may stand: on its line, else on the one before."""
    begin, _ = text.line_span(line)
    before = [one.end for one in text.comments if begin <= one.start < comment.start]
    if not before and not text.raw[begin : comment.start].strip() and line > 1:
        begin, _ = text.line_span(line - 1)
    return text.within(max([begin, *before]), comment.start)


def _claim(text: Plain, comment: Comment, mark: Mark, number: Number | None) -> Claim:
    at = text.at[number.start] if number else comment.start
    problem = mark.problem or ("" if number else "the mark stands behind no number on its line.")
    seen = _sentence(text, at)
    return Claim(
        number=number or Number("", 0.0, 0.0, 0, 0, 0),
        line=text.line_of(at),
        column=text.column_of(at),
        place=comment.end,
        how="mark",
        run=mark.run,
        metrics=(mark.metric,) if mark.metric else (),
        statistic=mark.statistic,
        step=mark.step,
        seeds=seeds_said(seen),
        names_run=_SEED_WORD.search(seen) is not None or says(seen, mark.run),
        around=seen,
        problem=problem,
    )


def says(text: str, name: str) -> bool:
    """Return whether a text has a name as words of their own."""
    return bool(name) and re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text) is not None


def _sentence(text: Plain, place: int) -> str:
    """Return what is read around a place: its sentence, or its line where that is a row of a table."""
    line_start, line_end = text.line_span(text.line_of(place))
    row = text.raw[line_start:line_end]
    if "|" in row or "&" in row:
        return text.text[slice(*text.within(line_start, line_end))]
    return text.sentence_at(place)
