"""Numbers in plain text, as people write them: percent, ±, thousands, powers of ten, units, about, more than."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from wandb_toolkit.claims.claim import Number

_TIMES = {
    "µs": 1e-6, "us": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0, "seconds": 1.0, "min": 60.0, "minutes": 60.0,
    "h": 3600.0, "hours": 3600.0,
}  # fmt: skip
_SIZES = {"kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30}
_COUNTS = {"k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9}
_UNITS = "|".join(sorted((*_TIMES, *_SIZES), key=len, reverse=True))
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺−–", "0123456789-+--")
_POWER = re.compile(r"^(?:[eE]|\s?[×·]\s?10\s?\^?\s?)")
_PLAIN = r"""
    (?P<sign{0}>[-−+]|(?<=[\s(|])–)?
    (?P<core{0}>\d{{1,3}}(?:[,\u00a0\u202f\u2009]\d{{3}})+(?:\.\d+)?(?!\d)|0,\d+|\d+(?:\.\d+)?|\.\d+)
    (?P<power{0}>[eE][+\-−]?\d+|\s?[×·]\s?10(?:\s?\^\s?[-−+]?\d+|[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+))?
"""
_UNIT = rf"(?P<unit{{0}}>\s?%|\s?pp\b|[\s-]?(?:{_UNITS})\b|[kKMB]\b)?"
_NUMBER = re.compile(
    rf"""
    (?<![\w.^\\])(?<![A-Za-z_\])]-)(?<![A-Za-z_]/)
    (?P<bound>(?<![-=])(?:<=|>=|[<>≤≥~≈])[^\S\n]*)?
    {_PLAIN.format(1)}{_UNIT.format(1)}
    (?:\((?P<last>\d{{1,2}})\)
      |\s*[_^]?\s*\(?\s*(?:±|\+/-|\+-)\s*{_PLAIN.format(2)}{_UNIT.format(2)}\)?
      |\s*\(\s*(?:(?:std|sd|s\.d\.|σ)\s*[=:]?\s*)?(?P<std>\d*\.\d+)\s*\))?
    (?P<percent>\s?%)?
    (?![\w]|[.,]\d|/[A-Za-z]|:\d)
    """,
    re.VERBOSE,
)
_NEVER = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?)?|\d+\.\d+\.\d+[\w.]*|\bv\d[\w.]*|\b\d\d?:\d\d(?::\d\d)?\b|#\d+"
)
_COUNTED = re.compile(
    r"[\s-]*(?:random\s+|training\s+|gradient\s+|different\s+|env(?:ironment)?\s+)?(?:steps?|epochs?|seeds?|runs?|iterations?|iters?|updates?"
    r"|GPUs?|layers?|heads?|tokens?|samples?|examples?|episodes?|parameters?|params?|workers?|classes|points?|times|x)\b",
    re.IGNORECASE,
)
_COUNTING = re.compile(
    r"(?:\bsteps?|\bepochs?|\bseeds?|\bn\s*=|\bN\s*=|\btables?|\bfig(?:ure|\.)s?|\bsections?|\bsec\.|\bchapters?|\beq(?:uation|\.)"
    r"|\bversions?|\bpages?|\bissues?|\blines?|\biterations?|\bat|@)\s*(?:=|:|#|of)?\s*$",
    re.IGNORECASE,
)
_ABOUT = re.compile(r"\b(?:about|around|roughly|approximately|approx\.?|nearly|almost|circa|ca\.)\s*$", re.IGNORECASE)
_MORE = re.compile(r"\b(?:over|above|more than|at least|exceed(?:s|ing|ed)?|greater than|higher than)\s*$", re.I)
_LESS = re.compile(r"\b(?:under|below|less than|at most|lower than|fewer than)\s*$", re.IGNORECASE)
_WORDS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
_SEEDS = re.compile(
    rf"\b(?P<count>\d{{1,3}}|{'|'.join(_WORDS)})\s+(?:random\s+|independent\s+|different\s+)?(?:seeds|runs|repetitions|trials)\b"
    r"|\bn\s*=\s*(?P<n>\d{1,3})\b",
    re.IGNORECASE,
)
_FRACTION = re.compile(
    r"(?:^|[\W_])(?:acc(?:uracy)?|f1|rate|percent(?:age)?|pct|score|precision|recall|auc|em|success|win|iou|map|bleu|rouge\w*)"
    r"(?:[\W_]|\d*$)",
    re.IGNORECASE,
)


def numbers_in(text: str, start: int = 0, end: int | None = None) -> list[Number]:
    """Return the numbers between two places of a plain text, without dates, versions and times of day."""
    stop = len(text) if end is None else end
    never = [found.span() for found in _NEVER.finditer(text, start, stop)]
    found = []
    for match in _NUMBER.finditer(text, start, stop):
        if not any(low < match.end() and match.start() < high for low, high in never):
            made = _number(match, text)
            if made is not None:
                found.append(made)
    return found


def _number(match: re.Match[str], text: str) -> Number | None:
    unit = (match["unit1"] or match["unit2"] or match["percent"] or "").strip().lstrip("-").strip()
    made = _part(match["sign1"], match["core1"], match["power1"], unit)
    if made is None:
        return None
    spread = None
    if match["last"]:
        spread = replace(made, value=int(match["last"]) * 2 * made.half, text=match["last"], spread=None)
    elif match["core2"]:
        spread = _part(match["sign2"], match["core2"], match["power2"], unit)
    elif match["std"]:
        spread = _part("", match["std"], "", unit)
    before = text[max(match.start() - 24, 0) : match.start()]
    bound = (match["bound"] or "").strip().replace("≤", "<").replace("≥", ">").replace("≈", "~")[:1]
    if bound == ">" and not text[text.rfind("\n", 0, match.start()) + 1 : match.start()].strip(" >\t"):
        bound = ""  # a quotation in Markdown
    if not bound:
        bound = "~" if _ABOUT.search(before) else ">" if _MORE.search(before) else "<" if _LESS.search(before) else ""
    begin = match.start("sign1") if match["sign1"] else match.start("core1")
    written = text[begin : match.end()].rstrip()
    return replace(made, text=written, start=begin, end=begin + len(written), bound=bound, spread=spread)


def _part(sign: str | None, core: str, power: str | None, unit: str) -> Number | None:
    """Return the number of its parts, None for one beyond what floats hold."""
    digits = re.sub(r"[\u00a0\u202f\u2009]", "", core)
    digits = digits.replace(",", ".") if re.fullmatch(r"0,\d+", digits) and len(digits) != 5 else digits
    digits = digits.replace(",", "")
    whole, point, decimals = digits.partition(".")
    times = _COUNTS.get(unit, 1.0)
    exponent = int(_POWER.sub("", power.translate(_RAISED))[:6]) if power else 0
    if not -300 < exponent < 300 or len(digits) > 60:
        return None
    scale = times * 10.0**exponent
    value = float(digits) * scale * (-1 if sign in ("-", "−", "–") else 1)
    significant = (whole + decimals).lstrip("0")
    half = 0.5 * 10.0 ** -len(decimals) * scale
    loose, padding = half, 0.0
    kept = decimals.rstrip("0")
    if point and kept != decimals and significant:
        padding = 0.5 * 10.0 ** -len(kept) * scale
    elif not point and not power and unit in ("", *_TIMES, *_SIZES) and len(whole) > 3:
        zeros = len(whole) - len(whole.rstrip("0"))  # 12,000 is rounded to thousands, for all that anybody knows
        loose = half * 10.0**zeros
        significant = significant.rstrip("0")
    return Number("", value, half, max(len(significant), 1), 0, 0, "" if unit in _COUNTS else unit, loose, padding)


def counts(number: Number, text: str) -> bool:
    """Whether a number counts or numbers something, such as steps, seeds, tables: no value of a metric."""
    if number.unit or "." in number.text or number.spread:
        return False
    return bool(_COUNTED.match(text, number.end) or _COUNTING.search(text[max(number.start - 20, 0) : number.start]))


def seeds_said(text: str) -> int | None:
    """Return how many seeds or runs a text speaks of, None where it speaks of none or of several numbers of them."""
    found = {match["count"] or match["n"] for match in _SEEDS.finditer(text)}
    if len(found) != 1:
        return None
    [word] = found
    return _WORDS.get(word.lower()) or int(word)


def scales(number: Number, metric: str, low: float, high: float) -> Iterator[float]:
    """Yield by what a written number may be multiplied to be in the unit of a metric, the likeliest first.

    `low` and `high` are the metric's least and greatest value: they tell a fraction from a percentage.
    """
    if number.unit in ("%", "pp"):
        yield 0.01
        if max(abs(low), abs(high)) > 1.5:
            yield 1.0
    elif number.unit in _TIMES:
        yield from dict.fromkeys((_TIMES[number.unit], 1.0))
    elif number.unit in _SIZES:
        yield from (_SIZES[number.unit], 1.0)
    else:
        yield 1.0
        if low >= -1 and high <= 1 and 1 < abs(number.value) <= 100:
            yield 0.01
        elif (
            1.5 < high <= 100 and low >= 0 and abs(number.value) <= 1 and number.digits > 1 and _FRACTION.search(metric)
        ):
            yield 100.0


def nearest_before(numbers: Sequence[Number], place: int, text: str) -> Number | None:
    """Return the number that a mark at a place is about: the last before it, one that counts steps or seeds only if
    it stands right before the mark and no other does."""
    before = [one for one in numbers if one.end <= place]
    values = [one for one in before if not counts(one, text)]
    return values[-1] if values else before[-1] if before else None
