"""Which installed fonts can draw a text, and which characters none of them has."""

from __future__ import annotations

from functools import cache

from matplotlib.font_manager import FontEntry, FontProperties, findfont, fontManager, get_font

_OWN = "DejaVu Sans"  # comes with matplotlib
_MISSING = "□"
# What fonts of many scripts are called: they are looked into first.
_BROAD = ("noto sans cjk", "noto sans", "pingfang", "hiragino", "yahei", "wenquanyi", "unicode", "emoji", "symbol")
_MOST_FONTS = 300  # looked into for a missing character


@cache
def _characters(path: str) -> frozenset[int]:
    """Return the characters that a font file draws as outlines; none of one that matplotlib cannot read."""
    try:
        font = get_font(path)
        return frozenset(font.get_charmap()) if font.scalable else frozenset()
    except (OSError, RuntimeError, ValueError):
        return frozenset()


@cache
def _installed() -> tuple[FontEntry, ...]:
    """Return the installed fonts, upright and of usual weight, broad ones first."""

    def rank(font: FontEntry) -> tuple[int, str]:
        name = font.name.lower()
        return next((at for at, word in enumerate(_BROAD) if word in name), len(_BROAD)), name

    usual = [
        font
        for font in fontManager.ttflist
        if font.style == "normal" and str(font.weight) in ("400", "normal") and "last resort" not in font.name.lower()
    ]
    return tuple(sorted({font.name: font for font in usual}.values(), key=rank)[:_MOST_FONTS])


class Fonts:
    """The fonts of a figure: matplotlib's own, and others that its texts turn out to need."""

    def __init__(self) -> None:
        self.families = [_OWN]
        self.lacking: dict[str, None] = {}  # characters that no installed font has, in the order met
        self._known = set(_characters(findfont(FontProperties(family=_OWN))))

    def printable(self, text: str) -> str:
        """Return the text with "□" for what no installed font can draw."""
        unknown = {char for char in text if ord(char) not in self._known and char not in self.lacking}
        if unknown:
            self._adopt(unknown)
        return "".join(_MISSING if char in self.lacking else char for char in text)

    def _adopt(self, unknown: set[str]) -> None:
        """Take in the fonts that have these characters."""
        wanted = {ord(char) for char in unknown}
        for font in _installed():
            if wanted & _characters(font.fname):
                self.families.append(font.name)
                self._known |= _characters(font.fname)
                wanted -= _characters(font.fname)
            if not wanted:
                return
        self.lacking |= dict.fromkeys(map(chr, sorted(wanted)))

    def words(self) -> str:
        """Return what the figure must say of the characters it lacks, "" where it has all."""
        if not self.lacking:
            return ""
        shown = ", ".join(f"U+{ord(char):04X}" for char in list(self.lacking)[:4])
        more = f" and {len(self.lacking) - 4} more" if len(self.lacking) > 4 else ""
        return f"{_MISSING}: no installed font has {shown}{more}"
