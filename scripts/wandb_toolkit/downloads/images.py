"""Whether a file is the image that its name says, and whole: by its own bytes, without decoding it."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from wandb_toolkit import limits

_TYPES = {
    "png": "PNG",
    "jpg": "JPEG",
    "jpeg": "JPEG",
    "gif": "GIF",
    "webp": "WebP",
    "bmp": "BMP",
    "svg": "SVG",
    "tif": "TIFF",
    "tiff": "TIFF",
}
SUFFIXES = frozenset(f".{name}" for name in _TYPES)
_TAIL = 4096


def is_image_name(name: str) -> bool:
    """Whether the name ends as images' names do."""
    return PurePosixPath(name.lower()).suffix in SUFFIXES


def problem_with(path: Path, name: str) -> str:
    """Return why the file at `path` is not the image that `name` says, "" where it is or `name` is no image's."""
    wanted = _TYPES.get(PurePosixPath(name.lower()).suffix.lstrip("."))
    if wanted is None:
        return ""
    size = path.stat().st_size
    if not size:
        return "the file is empty"
    with path.open("rb") as stream:
        head = stream.read(_TAIL)
        stream.seek(max(0, size - _TAIL))
        tail = stream.read()
    found = _type_of(head)
    if found != wanted:
        return f"the content is {found or 'no image'}, not {wanted}"
    width, height = _dimensions(found, head)
    if width * height > limits.most("image-pixels"):  # a mistake, or meant to harm whatever opens it
        return f"it claims {width:,} x {height:,} pixels ({limits.raised_by('image-pixels')})"
    return "" if _whole(found, head, tail, size) else f"the {wanted} is cut off"


def _type_of(head: bytes) -> str:
    """Name the type of the content, "" where it is none that is known."""
    starts = (
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"\xff\xd8\xff", "JPEG"),
        (b"GIF87a", "GIF"),
        (b"GIF89a", "GIF"),
        (b"BM", "BMP"),
        (b"II*\0", "TIFF"),
        (b"MM\0*", "TIFF"),
        (b"II+\0", "TIFF"),
        (b"MM\0+", "TIFF"),
    )
    for magic, name in starts:
        if head.startswith(magic):
            return name
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WebP"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "HTML"
    return "SVG" if re.match(rb"<(\?xml|!--|!doctype svg|svg)", text) and b"<svg" in text else ""


def _dimensions(kind: str, head: bytes) -> tuple[int, int]:
    """Return width and height as the image's head claims them, (0, 0) where they are not looked for."""
    if kind == "PNG" and len(head) >= 24:
        return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    if kind == "GIF" and len(head) >= 10:
        return int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
    if kind == "BMP" and len(head) >= 26:
        return abs(int.from_bytes(head[18:22], "little", signed=True)), abs(
            int.from_bytes(head[22:26], "little", signed=True)
        )
    if kind == "JPEG":
        return _jpeg_dimensions(head)
    return 0, 0


def _jpeg_dimensions(head: bytes) -> tuple[int, int]:
    at = 2
    while at + 9 <= len(head) and head[at] == 0xFF:
        marker, length = head[at + 1], int.from_bytes(head[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # start of frame
            return int.from_bytes(head[at + 7 : at + 9], "big"), int.from_bytes(head[at + 5 : at + 7], "big")
        at += 2 + length
    return 0, 0


def _whole(kind: str, head: bytes, tail: bytes, size: int) -> bool:
    """Whether the file reaches its own end mark or length. Bytes after it are common and do no harm."""
    if kind == "PNG":
        return head[12:16] == b"IHDR" and b"IEND" in tail
    if kind == "JPEG":
        return b"\xff\xd9" in tail
    if kind == "GIF":
        return len(head) >= 13 and tail.rstrip(b"\0").endswith(b";")
    if kind == "WebP":
        return size >= int.from_bytes(head[4:8], "little") + 8
    if kind == "BMP":
        return len(head) >= 26 and size >= int.from_bytes(head[2:6], "little")
    if kind == "SVG":
        return b"</svg" in tail.lower() or tail.rstrip().endswith(b"/>")
    return len(head) >= 8
