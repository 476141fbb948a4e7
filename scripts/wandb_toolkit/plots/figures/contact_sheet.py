"""A contact sheet: the images that one key logged, in the order of their steps."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wandb_toolkit import limits
from wandb_toolkit.plots.figures.painter import Canvas
from wandb_toolkit.plots.figures.view import DPI, WIDTH, View
from wandb_toolkit.text import clean, plural

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

MOST_IMAGES = 48
_BAND = 256  # rows of a large image that are worked on at a time
_HEAD, _EDGE, _GAP, _WORDS = 118, 28, 20, 46  # pixels at 160 dpi


@dataclass(frozen=True)
class Picture:
    """An image of the sheet."""

    path: Path
    step: int | None
    caption: str | None
    index: int | None = None  # place in the list that was logged together


@dataclass(frozen=True)
class Sheet:
    """A drawn sheet, not yet a file."""

    content: bytes
    shown: tuple[Picture, ...]
    unreadable: tuple[str, ...]  # file names
    alt: str


def choose(pictures: Sequence[Picture], most: int = MOST_IMAGES) -> list[Picture]:
    """Return at most `most` of the pictures: the first, the last, and what lies evenly between."""
    ordered = sorted(pictures, key=lambda one: (one.step is None, one.step or 0, one.index or 0))
    if len(ordered) <= most:
        return ordered
    return [ordered[round(at * (len(ordered) - 1) / (most - 1))] for at in range(most)]


def contact_sheet(key: str, run: str, pictures: Sequence[Picture], view: View, owner: str) -> Sheet | None:
    """Return the sheet as PNG, None where no picture can be read."""
    count = min(len(pictures), MOST_IMAGES)
    columns = max(2, count) if count <= 5 else min(8, math.ceil(math.sqrt(count * 1.8)))
    px = view.dpi / DPI
    wide = (round(WIDTH * px) - 2 * _EDGE * px - (columns - 1) * _GAP * px) / columns
    opened, unreadable = [], []
    for picture in choose(pictures):
        pixels = _opened(picture.path, int(wide))
        if pixels is None:
            unreadable.append(picture.path.name)
        else:
            opened.append((picture, pixels))
    if not opened:
        return None
    columns = min(columns, len(opened))
    rows = [opened[at : at + columns] for at in range(0, len(opened), columns)]
    heights = [max(pixels.shape[0] for _, pixels in row) + _WORDS * px for row in rows]
    height = round(_HEAD * px + sum(heights) + len(rows) * _GAP * px)
    canvas = Canvas(replace(view, format="png", width=round(WIDTH * px), height=height))
    shown = [picture for picture, _ in opened]
    words = _words(run, shown, len(pictures) - len(unreadable))
    with canvas.style():
        _heads(canvas, key, words)
        top = height - _HEAD * px
        for row, tall in zip(rows, heights, strict=True):
            for at, (picture, pixels) in enumerate(row):
                left = _EDGE * px + at * (wide + _GAP * px)
                _place(canvas, picture, pixels, left, top, wide)
            top -= tall + _GAP * px
    alt = f"Contact sheet of {clean(key)}: {words}."
    return Sheet(canvas.raster(key, ()).png(alt, owner), tuple(shown), tuple(unreadable), alt)


def _words(run: str, shown: Sequence[Picture], total: int) -> str:
    steps = [one.step for one in shown if one.step is not None]
    span = ""
    if steps:
        span = f"  ·  step {min(steps):,}" + (f" to {max(steps):,}" if max(steps) > min(steps) else "")
    of = f" of {total:,}, evenly spaced" if total > len(shown) else ""
    return f"{clean(run)}  ·  {plural(len(shown), 'image')}{of}{span}"


def _heads(canvas: Canvas, key: str, words: str) -> None:
    px, theme = canvas.px, canvas.theme
    title = canvas.text(canvas.printable(key), size=15, weight="bold", color=theme.ink, gid="title")
    subtitle = canvas.text(canvas.printable(words), size=9.5, color=theme.muted, gid="subtitle")
    for text, down, smallest in ((title, 56, 10), (subtitle, 92, 8)):
        canvas.put(text, _EDGE * px, canvas.height - down * px)
        canvas.shrink(text, canvas.width - 2 * _EDGE * px, smallest)


def _place(canvas: Canvas, picture: Picture, pixels: NDArray[Any], left: float, top: float, wide: float) -> None:
    px, theme = canvas.px, canvas.theme
    tall, across = pixels.shape[:2]
    canvas.figure.figimage(pixels, round(left), round(top - tall), origin="upper")
    xs, ys = [left, left + across, left + across, left, left], [top, top, top - tall, top - tall, top]
    canvas.line(xs, ys, color=theme.base, linewidth=0.5)
    step = f"step {picture.step:,}" if picture.step is not None else "no step"
    step += f", image {picture.index}" if picture.index is not None else ""
    label = canvas.text(step, size=9, color=theme.ink, gid=f"step:{picture.step}")
    canvas.put(label, left, top - tall - 20 * px)
    if picture.caption:
        caption = canvas.text(canvas.printable(picture.caption, 120), size=8, color=theme.muted, gid="caption")
        canvas.put(caption, left, top - tall - 40 * px)
        canvas.shrink(caption, wide, 7)


def _opened(path: Path, wide: int) -> NDArray[Any] | None:
    """Return the image's pixels, as wide as its place; None where it cannot be decoded."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, of sizes and palettes, are no news to whoever asked for a sheet
            with Image.open(path) as image:
                image.draft("RGB", (2 * wide, 2 * wide))  # JPEGs decode smaller
                if image.width * image.height > limits.most("sheet-pixels"):
                    return None
                paper = _on_paper(image, 2 * wide)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    scale = min(wide / paper.width, 1.25 * wide / paper.height)
    size = (max(1, round(paper.width * scale)), max(1, round(paper.height * scale)))
    how = Image.Resampling.NEAREST if scale >= 2 else Image.Resampling.LANCZOS
    return np.asarray(paper.resize(size, how))


def _on_paper(image: Image.Image, wide: int) -> Image.Image:
    """Return the image on white, reduced by a whole factor where it stays `wide` pixels wide: band by band.

    What is held besides the decoded image is one band, whatever colours and transparency the image has.
    """
    from PIL import Image

    factor = max(1, image.width // max(wide, 1))
    result = Image.new("RGB", (-(-image.width // factor), -(-image.height // factor)), "white")
    rows = factor * max(1, _BAND // factor)
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height))).convert("RGBA")
        paper = Image.new("RGBA", band.size, "white")
        paper.alpha_composite(band)
        result.paste(paper.convert("RGB").reduce(factor), (0, top // factor))
    return result
