"""Figures as files: PNG from pixels, SVG and PDF from artists; each says what it shows and whose it is."""

from __future__ import annotations

import io
import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wandb_toolkit import __version__
from wandb_toolkit.text import clean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SOFTWARE = f"wandb-toolkit {__version__}"
OWNER = "wandb-toolkit"  # the key of the text that says whose picture a file is

_LEVEL = 2  # of zlib: a third of Pillow's time for a quarter more bytes, with rows as they are
_HEAD = 65_536  # bytes of a PNG or SVG in which the owner stands
_OWNED = re.compile(rb"wandb-toolkit:([0-9a-f]{16})")  # exactly: a checksum may follow


@dataclass(frozen=True)
class Raster:
    """A drawn figure, not yet a file."""

    width: int
    height: int
    dpi: int
    rgba: bytes
    title: str
    drawn: tuple[int, ...]  # points shown, for each of the chart's curves

    def png(self, description: str, owner: str = "") -> bytes:
        """Return the file; `description` becomes its alternative text."""
        import numpy as np
        from PIL import Image

        words = {"Title": self.title, "Software": SOFTWARE, "Description": description, OWNER: _mark(owner)}
        picture = Image.frombuffer("RGBA", (self.width, self.height), self.rgba, "raw", "RGBA", 0, 1)
        rows = np.zeros((self.height, 3 * self.width + 1), np.uint8)  # each begins with its filter: none
        rows[:, 1:] = np.frombuffer(picture.convert("RGB").tobytes(), np.uint8).reshape(self.height, -1)
        per_metre = round(self.dpi / 0.0254)
        chunks = [
            (b"IHDR", struct.pack(">IIBBBBB", self.width, self.height, 8, 2, 0, 0, 0)),
            (b"pHYs", struct.pack(">IIB", per_metre, per_metre, 1)),
            *((b"iTXt", key.encode() + b"\0\0\0\0\0" + text.encode("utf-8", "replace")) for key, text in words.items()),
            (b"IDAT", zlib.compress(rows.tobytes(), _LEVEL)),
            (b"IEND", b""),
        ]
        return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _mark(owner: str) -> str:
    return f"{OWNER}:{owner}" if owner else ""


def vector(figure: Figure, kind: str, title: str, description: str, owner: str) -> bytes:
    """Return the figure as SVG or PDF. The same figure gives the same bytes."""
    safe = {"title": clean(title), "text": clean(description)}
    metadata: dict[str, Any]
    if kind == "svg":
        metadata = {"Title": safe["title"], "Description": safe["text"], "Creator": SOFTWARE, "Date": None}
        metadata["Identifier"] = _mark(owner)
    else:
        metadata = {"Title": safe["title"], "Subject": safe["text"], "Creator": SOFTWARE, "CreationDate": None}
        metadata["Keywords"] = _mark(owner)
    out = io.BytesIO()
    figure.savefig(out, format=kind, metadata=metadata, facecolor=figure.get_facecolor())
    return out.getvalue()


def owner_of(path: Path) -> str | None:
    """Return whose picture a file is, None where this tool did not draw it."""
    if not path.is_file():  # a pipe would never end
        return None
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
            if head.startswith(b"%PDF"):  # its words stand at the end
                stream.seek(max(0, path.stat().st_size - _HEAD))
                head = stream.read()
    except OSError:
        return None
    found = _OWNED.search(head)
    return found[1].decode() if found else None
