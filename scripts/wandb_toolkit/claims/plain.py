"""A text without its markup, each character with its place in the file: what a reader sees, and where it stands.

Markdown (with HTML and formulas in it) and LaTeX. Code blocks leave nothing but their line ends; comments leave
nothing, and are kept as such because marks are written in them.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

_ENTITIES = {"plusmn": "±", "nbsp": "\u00a0", "thinsp": "\u2009", "lt": "<", "gt": ">", "amp": "&", "percnt": "%",
             "times": "×", "minus": "-", "asymp": "≈", "le": "≤", "ge": "≥"}  # fmt: skip
_SIGNS = {
    "pm": "±", "times": "×", "cdot": "×", "approx": "≈", "sim": "≈", "leq": "≤", "le": "≤", "geq": "≥", "ge": "≥",
    "lt": "<", "gt": ">", "%": "%", "_": "_", "&": "&", "$": "$", "#": "#", "{": "{", "}": "}", ",": "\u2009",
    ";": " ", ":": " ", " ": " ", "!": "", "quad": " ", "qquad": " ", "textpm": "±", "textasciitilde": "~",
    "percent": "%", "\\": " ",
}  # fmt: skip
_FORMULA = r"""
    (?P<spans>\\multi(?:row|column)(?:\[[^\]\n]*\])?\{[^{}\n]*\}\{[^{}\n]*\}\{)
  | (?P<dropped>\\(?:cellcolor|rowcolor|textcolor|color|label|ref|eqref|autoref|cref|Cref|cite\w*|cline|cmidrule|hspace
        |vspace|includegraphics|input|url|href|begin|end|phantom|hphantom)\*?(?:\([^)\n]*\))?(?:\[[^\]\n]*\])*\{[^{}\n]*\})
  | \\(?:SI|qty)(?:\[[^\]\n]*\])?\{(?P<quantity>[^{}\n]*)\}\{(?P<unit>[^{}\n]*)\}
  | (?P<wrapper>\\[A-Za-z]+\*?\s*(?:\[[^\]\n]*\])?\{)
  | \\(?P<sign>[A-Za-z]+|[^A-Za-z\n])[ ]?
  | \{(?P<comma>,)\}
  | (?P<brace>[{}$])
"""
_MARKDOWN = re.compile(
    rf"""
    <!--(?P<comment>.*?)(?:-->|\Z)
  | ^(?P<fence>[ >\t]*(?P<ticks>`{{3,}}|~{{3,}})[^\n]*\n.*?(?:^[ >\t]*(?P=ticks)[`~]*[ \t]*$|\Z))
  | (?P<quote>`++)(?P<code>.{{1,1000}}?)(?<!`)(?P=quote)(?!`)
  | (?P<tag></?(?:b|i|em|strong|code|sub|sup|span|small|u|mark|br|p|div|td|th|tr|kbd|a|font)\b[^<>\n]*>)
  | &(?P<entity>{"|".join(_ENTITIES)});
  | (?P<address>\]\([^()\s]*(?:\s"[^"\n]*")?\)|https?://[^\s<>)\]|]+)
  | (?P<bracket>!?\[(?=[^\]\n]*\]\())
  | \\(?P<escaped>[`*\[\]()+.!|<>~-])
  | {_FORMULA}
  | (?P<emphasis>\*++|(?<![\w])_++(?=[^\s_])|(?<=[^\s_])_++(?![\w]))
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
_LATEX = re.compile(
    rf"""
    (?<!\\)%(?P<comment>[^\n]*)
  | (?P<fence>\\begin\{{(?P<env>verbatim\*?|lstlisting|minted|comment)\}}.*?(?:\\end\{{(?P=env)\}}|\Z))
  | \\verb(?P<quote>[^\w\s*])(?P<code>[^\n]*?)(?P=quote)
  | {_FORMULA}
  | (?P<tie>~)
    """,
    re.VERBOSE | re.DOTALL,
)
# Where a sentence ends; an item of a list, a heading and a row of a table are one, too.
SENTENCE = re.compile(
    r"(?<=[.!?])(?<!\b[eEi]\.[ge]\.)(?<!\b(?:vs|cf|ca)\.)(?<!\b(?:Fig|Sec|Tab)\.)\s+|\n\s*\n|\n(?=\s*(?:[-*+]|\d+[.)]|#+)\s)|\n(?=\s*\|)"
)
_CLOSING = re.compile(r"\*+|_+(?!\w)|`+|\$|\}|\\\)|</\w+>")


@dataclass(frozen=True)
class Comment:
    """What stands in a comment, and where it begins and ends in the file."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, eq=False)
class Plain:
    """A text as read. `at[i]` is where the character i begins in `raw`, `to[i]` where it ends."""

    raw: str
    text: str
    at: list[int]
    to: list[int]
    comments: tuple[Comment, ...]
    latex: bool

    def within(self, start: int, end: int) -> tuple[int, int]:
        """Return the places in the plain text of what lies between two places of the file."""
        return bisect_left(self.at, start), bisect_left(self.at, end)

    def behind(self, end: int) -> int:
        """Return the place in the file behind the plain text that ends at `end`, and behind the markup around it."""
        place = self.to[end - 1]
        while found := _CLOSING.match(self.raw, place):
            place = found.end()
        return place

    def line_of(self, place: int) -> int:
        """Return the number of the line, from 1, of a place in the file."""
        return bisect_left(self._ends, place) + 1

    def column_of(self, place: int) -> int:
        """Return the column, from 1."""
        line = self.line_of(place)
        return place - (self._ends[line - 2] + 1 if line > 1 else 0) + 1

    def line_span(self, line: int) -> tuple[int, int]:
        """Return where a line begins and ends in the file, its line end left out."""
        start = self._ends[line - 2] + 1 if line > 1 else 0
        return start, self._ends[line - 1] if line <= len(self._ends) else len(self.raw)

    def sentence_at(self, place: int) -> str:
        """Return the sentence around a place of the file."""
        here = self.within(place, place)[0]
        at = bisect_right(self.sentences, here)
        return self.text[self.sentences[at - 1] if at else 0 : self.sentences[at] if at < len(self.sentences) else None]

    @cached_property
    def sentences(self) -> list[int]:
        """Where sentences end in the plain text."""
        return [match.start() for match in SENTENCE.finditer(self.text)]

    @cached_property
    def _ends(self) -> list[int]:
        return [found.start() for found in re.finditer("\n", self.raw)]


def plain(raw: str, *, latex: bool) -> Plain:
    """Return the text as read."""
    texts: list[str] = []
    at: list[int] = []
    to: list[int] = []
    comments: list[Comment] = []
    done = 0

    def put(text: str, start: int, end: int, *, whole: bool) -> None:
        """Add text: character by character as in the file, or as one sign that stands for all of it."""
        texts.append(text)
        at.extend([start] * len(text) if whole else range(start, start + len(text)))
        to.extend([end] * len(text) if whole else range(start + 1, start + 1 + len(text)))

    for match in (_LATEX if latex else _MARKDOWN).finditer(raw):
        put(raw[done : match.start()], done, match.start(), whole=False)
        done = match.end()
        if match["comment"] is not None:
            comments.append(Comment(match["comment"], match.start(), match.end()))
            continue
        for text, start in _kept(match):
            whole = raw[start : start + len(text)] != text
            put(text, start, match.end() if whole else start + len(text), whole=whole)
    put(raw[done:], done, len(raw), whole=False)
    return Plain(raw, "".join(texts), at, to, tuple(comments), latex)


def _kept(match: re.Match[str]) -> Iterator[tuple[str, int]]:
    """Yield (text, place in the file) of what is left of a piece of markup."""
    groups = match.groupdict()
    if match["fence"] is not None:
        yield from (("\n", match.start() + found.start()) for found in re.finditer("\n", match["fence"]))
    elif match["code"] is not None:
        yield match["code"], match.start("code")
    elif groups.get("entity"):
        yield _ENTITIES[match["entity"]], match.start()
    elif groups.get("escaped"):
        yield match["escaped"], match.start("escaped")
    elif groups.get("tie"):
        yield "\u00a0", match.start()
    elif match["quantity"] is not None:
        yield match["quantity"], match.start("quantity")
        yield (
            {"\\percent": "%", "percent": "%"}.get(match["unit"], f" {match['unit']}".replace("\\", "")),
            match.start("unit"),
        )
    elif match["sign"] is not None:
        yield _SIGNS.get(match["sign"], ""), match.start()
    elif match["comma"] is not None:
        yield ",", match.start("comma")
