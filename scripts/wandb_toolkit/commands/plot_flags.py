"""The flags of generate_plots that say how figures look, and what they mean."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Sequence

from wandb_toolkit.cli import app as cli
from wandb_toolkit.errors import UsageError
from wandb_toolkit.plots.figures.view import DPI, HEIGHT, THEMES, WIDTH, View
from wandb_toolkit.plots.group_keys import HELP
from wandb_toolkit.plots.kinds import KINDS
from wandb_toolkit.plots.smoothing import MAX_SLIDER_WEIGHT, VIEWPORT_SCALE, Smoothing, slider_weight

EMA_WEIGHT = 0.99
_SIGMA, _WINDOW = 2.0, 10  # of --smoothing gaussian and running without a value
_METHODS = ("twema", "ema", "gaussian", "running", "none")
_BANDS = ("std", "minmax", "ci")
_MOST_PIXELS, _FEWEST_PIXELS = 10_000, 240


def add_kind_flags(parser: argparse.ArgumentParser) -> None:
    """Add the group that says what the figures show."""
    group = parser.add_argument_group("what the figures show")
    kinds = "; ".join(f"{one.id}: {one.what}" for one in KINDS.values())
    group.add_argument("--kind", choices=list(KINDS), help=f"(default: lines) {kinds}")
    group.add_argument(
        "--x", metavar="KEY",
        help="the setting: config.KEY, several with commas (parallel: default those that differ), summary.METRIC, "
        "group, job_type, sweep; curves: as --x-axis",
    )  # fmt: skip
    group.add_argument(
        "--y", metavar="METRIC",
        help="the result: the last value logged (default: what a report ranks by); curves: as --metrics",
    )  # fmt: skip


def add_look_flags(parser: argparse.ArgumentParser) -> None:
    """Add the groups of flags."""
    smooth = parser.add_argument_group("smoothing (docs/plots.md has the formulas)")
    smooth.add_argument("--smoothing", choices=_METHODS, help="W&B's methods (default: twema)")
    smooth.add_argument(
        "--smoothing-weight",
        type=_not_negative,
        metavar="V",
        help="as on the web page: slider 0 to 1 (twema, ema), sigma (gaussian), points (running)",
    )
    smooth.add_argument("--ema-weight", type=_weight, metavar="W", help=f"the EMA's weight itself ({EMA_WEIGHT})")
    smooth.add_argument("--viewport-scale", type=_scale, metavar="S", help=f"twema's scale ({VIEWPORT_SCALE:g})")
    smooth.add_argument("--smooth", type=cli.positive_int, metavar="N", help="running mean of N points")
    smooth.add_argument("--no-ema", action="store_true", help="no EMA: only what was logged, and --smooth if given")
    group = parser.add_argument_group("groups of runs")
    group.add_argument("--group-by", metavar="KEY", help=f"mean of the runs that share {HELP}")
    group.add_argument("--band", choices=_BANDS, help="band around the mean (std); ci: 95%% bootstrap interval")
    group.add_argument("--color-by", metavar="KEY", help="color the lines by config.KEY, numbers on a continuous scale")
    group.add_argument("--seed", type=int, metavar="N", help="bootstrap seed (0)")
    axes = parser.add_argument_group("axes")
    axes.add_argument(
        "--x-axis", metavar="KEY", help="step, runtime, wall, or any metric such as epoch (default: as the run defined)"
    )
    axes.add_argument(
        "--log-y", nargs="?", const="on", default="off", choices=("on", "off", "auto"),
        help="logarithmic y axis; auto: where most points would lie in a twentieth of a linear one",
    )  # fmt: skip
    axes.add_argument("--ylim", type=_limits, metavar="LO,HI", help="y axis from LO to HI; either may be omitted")
    axes.add_argument("--ignore-outliers", action="store_true", help="y axis over the 5th to 95th percentile of points")
    look = parser.add_argument_group("appearance")
    look.add_argument("--full-res", action="store_true", help="draw every point (default: what the pixels can show)")
    look.add_argument("--theme", choices=sorted(THEMES), default="light", help="color theme (light)")
    look.add_argument("--format", choices=("png", "svg", "pdf"), default="png", help="file type (png)")
    look.add_argument("--size", type=_size, metavar="WxH", help=f"pixels ({WIDTH}x{HEIGHT} at {DPI} dpi)")
    look.add_argument("--dpi", type=_dpi, default=DPI, metavar="N", help=f"dots per inch ({DPI}); more is sharper")
    look.add_argument("--term", action="store_true", help="also draw each figure in the terminal")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _weight(text: str) -> float:
    value = _number(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a weight between 0 and 1 (both excluded)")
    return value


def _scale(text: str) -> float:
    value = _number(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def _not_negative(text: str) -> float:
    value = _number(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 0 or more")
    return value


def _limits(text: str) -> tuple[float | None, float | None]:
    parts = text.split(",")
    values = [_number(part) if part.strip() else None for part in parts]
    known = [value for value in values if value is not None]
    if len(parts) != 2 or not known or not all(map(math.isfinite, known)):
        raise argparse.ArgumentTypeError(f"{text!r} is not LO,HI (such as 0,1 or 0, or ,1)")
    if len(known) == 2 and not known[0] < known[1]:
        raise argparse.ArgumentTypeError(f"{text!r}: the lower limit is not below the upper one")
    return values[0], values[1]


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"\s*(\d{2,5})\s*[xX×,]\s*(\d{2,5})\s*", text)
    if not match or not all(_FEWEST_PIXELS <= int(one) <= _MOST_PIXELS for one in match.groups()):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not WIDTHxHEIGHT in pixels, each {_FEWEST_PIXELS} to {_MOST_PIXELS}"
        )
    return int(match[1]), int(match[2])


def _dpi(text: str) -> int:
    if not text.isdecimal() or not 40 <= int(text) <= 1200:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 40 to 1200")
    return int(text)


def view_of(args: argparse.Namespace) -> View:
    """Return how the figures are to look. Without --size, more dpi means more pixels of the same layout.

    Raises:
        UsageError: two flags contradict each other.
    """
    if args.ylim and args.ignore_outliers:
        raise UsageError("--ylim and --ignore-outliers both set the y axis.", "Give one of them.")
    if args.ylim and args.log_y == "on" and any(v is not None and v <= 0 for v in args.ylim):
        raise UsageError("A log axis cannot reach 0 or below.", "Give --ylim limits above 0, or leave --log-y out.")
    if args.term and args.json:
        raise UsageError("--term draws for people, --json is for programs.", "Give one of them.")
    scale = args.dpi / DPI
    width, height = args.size or (round(WIDTH * scale), round(HEIGHT * scale))
    if max(width, height) > _MOST_PIXELS:
        raise UsageError(f"{width}x{height} pixels are too many.", "Give --size, or fewer --dpi.")
    return View(
        THEMES[args.theme], args.format, width, height, args.dpi, args.full_res, args.log_y == "on",
        args.log_y == "auto", args.ylim, args.ignore_outliers,
    )  # fmt: skip


def smoothing_of(args: argparse.Namespace) -> Smoothing:
    """Return what the smoothing flags mean together.

    Raises:
        UsageError: they contradict each other, or a value does not fit its method.
    """
    method = args.smoothing
    old = [flag for flag in ("smooth", "no_ema") if getattr(args, flag)]
    if method and old:
        raise UsageError(f"--smoothing and --{old[0].replace('_', '-')} contradict each other.", "Give one of them.")
    if args.ema_weight is not None and args.smoothing_weight is not None:
        raise UsageError("--ema-weight and --smoothing-weight both set the weight.", "Give one of them.")
    given = (method, args.smoothing_weight, args.ema_weight, args.viewport_scale)
    method = method or ("running" if args.smooth else "none" if args.no_ema else "twema")
    _say_what_does_not_count(method, args)
    value = args.smoothing_weight
    if method == "running":
        return Smoothing("running_mean", window=args.smooth or _points(value), exact=True)
    if method == "gaussian":
        return Smoothing("gaussian", sigma=_SIGMA if value is None else value, exact=True)
    if method == "none":
        return Smoothing("none")
    if value is not None and value > 1:
        raise UsageError(f"--smoothing-weight {value:g} is off the slider.", "It goes from 0 to 1.")
    weight = args.ema_weight or EMA_WEIGHT
    if method == "ema":
        return Smoothing("ema", weight if value is None else min(value, MAX_SLIDER_WEIGHT), exact=True)
    weight = weight if value is None else slider_weight(value)
    exact = any(flag is not None for flag in given)
    return Smoothing("twema", weight, args.viewport_scale or VIEWPORT_SCALE, exact=exact)


def closed_log_y(words: Sequence[str]) -> list[str]:
    """Return the words with a `--log-y` that none of its values follows closed, so that it does not take the target."""
    after = [*words[1:], ""]
    return [
        "--log-y=on" if word == "--log-y" and follows not in ("on", "off", "auto") else word
        for word, follows in zip(words, after, strict=True)
    ]


def _points(value: float | None) -> int:
    if value is None:
        return _WINDOW
    if value < 1 or not value.is_integer():
        raise UsageError(f"--smoothing-weight {value:g} is not a number of points.", "Give a whole number, 1 or more.")
    return int(value)


def _say_what_does_not_count(method: str, args: argparse.Namespace) -> None:
    counts = {"twema": ("ema_weight", "viewport_scale"), "ema": ("ema_weight",)}.get(method, ())
    for flag in ("ema_weight", "viewport_scale"):
        if getattr(args, flag) is not None and flag not in counts:
            what = "--smooth, which replaces the EMA" if args.smooth else f"--smoothing {method}"
            cli.warn(f"--{flag.replace('_', '-')} is ignored with {what}", args)
    if args.smooth and args.smoothing_weight is not None:
        cli.warn("--smoothing-weight is ignored with --smooth", args)
