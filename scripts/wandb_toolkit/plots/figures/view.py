"""How figures are to look, whatever they show. Imports nothing heavy: the command line makes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

PANELS = 12  # of a page of small ones
Format = Literal["png", "svg", "pdf"]

WIDTH, HEIGHT, DPI = 1600, 900, 160  # pixels; the layout is written for them, and scales with the dpi


@dataclass(frozen=True)
class Theme:
    """Colours. `lines` are for the colour-blind too, in an order that keeps neighbours apart."""

    name: str
    paper: str
    ink: str
    muted: str
    grid: str
    base: str
    lines: tuple[str, ...]
    faded: str  # lines that are there for comparison only
    mark: str  # where a finding begins
    limit: str  # what it was compared with
    scale: tuple[float, float]  # the part of the colour scale that stands out from the paper


# Okabe and Ito's colours without their yellow (invisible on white); on dark paper, lighter ones of the same hues.
LIGHT = Theme(
    "light",
    paper="#FFFFFF",
    ink="#1F2328",
    muted="#5B636C",
    grid="#E4E7EB",
    base="#A0A7AF",
    lines=("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#444444"),
    faded="#C3C9D0",
    mark="#B3202C",
    limit="#7A4B00",
    scale=(0.0, 0.88),
)
DARK = Theme(
    "dark",
    paper="#0D1117",
    ink="#E6EDF3",
    muted="#9DA7B3",
    grid="#232A33",
    base="#57606A",
    lines=("#4FA9E8", "#FF8A4C", "#2DC79B", "#E89CC5", "#F2B83B", "#A5DAFB", "#C2C9D1"),
    faded="#3D4650",
    mark="#FF8A84",
    limit="#F2C063",
    scale=(0.22, 1.0),
)
THEMES = {theme.name: theme for theme in (LIGHT, DARK)}


@dataclass(frozen=True)
class View:
    """What the flags say of a figure's looks."""

    theme: Theme = LIGHT
    format: Format = "png"
    width: int = WIDTH
    height: int = HEIGHT
    dpi: int = DPI
    full: bool = False  # every point, whatever the pixels can show
    log_y: bool = False
    log_auto: bool = False  # a log axis where most points would lie in a twentieth of a linear one
    y_limits: tuple[float | None, float | None] | None = None
    ignore_outliers: bool = False  # the y axis spans the 5th to the 95th percentile of the points

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "theme": self.theme.name,
            "format": self.format,
            "width": self.width,
            "height": self.height,
            "dpi": self.dpi,
            "full_res": self.full,
            "log_y": "auto" if self.log_auto else self.log_y,
            "ylim": list(self.y_limits) if self.y_limits else None,
            "ignore_outliers": self.ignore_outliers,
        }
