"""check_claims through main(argv): real logs, the forms that people write, exit codes, marks written, hostile text."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import wandb_runs as logs
import wandb_toolkit as wt
from repository import ROOT
from wandb_server import KEY, Server
from wandb_server.load import load
from wandb_toolkit.commands.check_claims import main
from wandb_toolkit.errors import Exit

SCHEMA = json.loads((ROOT / "docs" / "schemas" / "check_claims.schema.json").read_text(encoding="utf-8"))
Check = Callable[..., Any]

ACCURACY = {"a1": 0.9012, "a2": 0.9212, "a3": 0.9112, "b1": 0.8034}  # the last; the best is 0.02 higher


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    folder = tmp_path / "wandb"
    for at, (name, last) in enumerate(ACCURACY.items()):
        config = {"lr": 0.1 if name[0] == "a" else 0.2, "seed": int(name[1])}
        rows = [
            logs.history(
                {"eval/accuracy": last + (0.02 if step == 6 else 0.01 * (step - 9)), "speed": 12000.0 + step}, step
            )
            for step in range(10)
        ]
        head = logs.run(
            f"id{name}", name=f"net-{name}", config=config, summary={"test_f1": 0.777}, start=logs.START + at
        )
        logs.write_run(folder, [head, *rows, logs.exit_()], f"id{name}")
    return folder


@pytest.fixture
def check(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Check:
    def run(text: str, code: int, *words: str, name: str = "a.md") -> Any:
        path = tmp_path / name
        path.write_bytes(text.encode())
        assert main([str(path), str(runs), "--json", *words]) == code, capsys.readouterr()
        document = json.loads(capsys.readouterr().out)
        jsonschema.validate(document, SCHEMA)
        return document

    return run


def verdicts(document: Any) -> list[str]:
    return [one["verdict"] for one in document["claims"]]


@pytest.mark.parametrize(
    "number",
    ["90.12%", "90.12 %", "**0.9012**", "$0.901$", "90.1\\%", "`0.9012`", "0.90", "~0.9", "about 0.9", "0,9012",
     "90.12", "9.012e-1", "9.012 × 10⁻¹", "<b>0.901</b>", "more than 0.9", "> 90%"],
)  # fmt: skip
def test_forms_of_a_right_number(number: str, check: Check) -> None:
    found = check(f"net-a1 has {number} <!-- wandb: net-a1 eval/accuracy last -->.", 0)
    [claim] = found["claims"]
    assert (claim["verdict"], claim["step"], claim["run_ids"]) == ("confirmed", 9, ["ida1"])
    assert math.isclose(claim["actual"], 0.9012)


@pytest.mark.parametrize(
    ("number", "verdict"),
    [("0.91", "rounded_too_far"), ("0.9000", "rounded_too_far"), ("0.9212", "best_as_final"), ("0.8034", "differs"),
     ("0.7", "not_in_any_run"), ("0.9012%", "differs"), ("under 0.8", "differs"), ("1", "rounded_too_far")],
)  # fmt: skip
def test_forms_of_a_wrong_number(number: str, verdict: str, check: Check) -> None:
    found = check(f"net-a1 has {number} <!-- wandb: net-a1 eval/accuracy final -->.", 1)
    assert verdicts(found) == [verdict], found["claims"][0]["reason"]
    assert found["verdict"] == "wrong"


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("91.1 ± 1.0% <!-- wandb: net-a eval/accuracy last -->", "confirmed"),
        ("$0.911 \\pm 0.006$ <!-- wandb: net-a* eval/accuracy last -->", "confirmed"),
        ("0.911 (0.010) over 3 seeds <!-- wandb: net-a1,net-a2,net-a3 eval/accuracy last -->", "confirmed"),
        ("0.911(10) <!-- wandb: net-a eval/accuracy last -->", "confirmed"),
        ("0.911 ± 0.05 <!-- wandb: net-a eval/accuracy last -->", "differs"),
        ("0.911 <!-- wandb: net-a eval/accuracy last --> over five seeds", "differs"),
        ("0.9212 <!-- wandb: net-a eval/accuracy last -->", "one_seed"),
        ("Ours: 0.9212 <!-- wandb: net-a2 eval/accuracy last -->", "one_seed"),
        ("Of 3 seeds, net-a2 has 0.9212 <!-- wandb: net-a2 eval/accuracy last -->", "confirmed"),
        ("Over 3 seeds: 0.9212 <!-- wandb: net-a2 eval/accuracy last -->", "one_seed"),
        ("Our best seed: 0.9212 <!-- wandb: net-a2 eval/accuracy last -->", "confirmed"),
        ("Ours: 0.8034 <!-- wandb: net-b1 eval/accuracy last -->", "confirmed"),
        ("0.8034 ± 0.01 <!-- wandb: net-b1 eval/accuracy last -->", "not_decidable"),
        ("0.777 <!-- wandb: net-b1 test_f1 -->", "confirmed"),
        ("net-a1 at step 3: 0.8412 <!-- wandb: net-a1 eval/accuracy @3 -->", "confirmed"),
        ("A net-a2: 0.9212 <!-- wandb: ida2 eval/accuracy last -->", "confirmed"),
        ("12,000 <!-- wandb: net-b1 steadiness best -->", "not_decidable"),
        ("12,009 <!-- wandb: net-b1 speed max -->", "confirmed"),
        ("1.2009e+04 or 1.2009 × 10^4 <!-- wandb: net-b1 speed max -->", "confirmed"),
        ("1.2010e+10 <!-- wandb: net-b1 speed max -->", "not_in_any_run"),
        ("12k <!-- wandb: net-b1 speed max -->", "confirmed"),
        ("12,000 <!-- wandb: net-b1 speed last -->", "confirmed"),
        ("0.9 <!-- wandb: net-a1 eval/accuracy last thing -->", "not_decidable"),
        ("none <!-- wandb: net-a1 eval/accuracy -->", "not_decidable"),
        ("0.9 <!-- wandb: net-zz eval/accuracy -->", "not_decidable"),
        ("0.9 <!-- wandb: net-a1 eval/acuracy -->", "not_decidable"),
    ],
)
def test_seeds_spreads_and_what_cannot_be_judged(text: str, verdict: str, check: Check) -> None:
    found = check(f"{text}.\n", {"confirmed": 0, "not_decidable": 7}.get(verdict, 1))
    assert verdicts(found) == [verdict], found["claims"][0]["reason"]


def test_nothing_to_check_is_no_success(check: Check) -> None:
    assert check("No number about any run: 12.5 and 3.", 7)["verdict"] == "none"


def test_tables_of_markdown(check: Check) -> None:
    text = """
| run | eval/accuracy | Eval accuracy (best) | F1 | parameters |
|:---|---:|---|---|---|
| net-a1 | 90.1% | **0.921** | 0.777 | 1.5M |
| `net-b1` | 0.80 | 0.75 | 0.888 | 2.5M |
| nobody | 0.5 | | | |
"""
    found = check(text, 1)["claims"]
    assert [(one["line"], one["text"], one["verdict"]) for one in found] == [
        (4, "90.1%", "confirmed"), (4, "0.921", "confirmed"),
        (5, "0.80", "confirmed"), (5, "0.75", "not_in_any_run"),
        (6, "0.5", "not_decidable"),
    ]  # fmt: skip


def test_a_table_with_runs_in_its_head(check: Check) -> None:
    text = "| metric | net-a1 | net-b1 |\n|---|---|---|\n| eval/accuracy | 0.901 | 0.87 |\n"
    assert verdicts(check(text, 1)) == ["confirmed", "not_in_any_run"]


def test_tables_and_marks_of_latex(check: Check) -> None:
    text = r"""
% wandb: nothing to see 0.5
\begin{tabular}{l S[table-format=2.1] r}
\toprule Run & eval/accuracy & {Speed} \\ \midrule
net-a1 & \textbf{90.1}\,\% & 12{,}009 \\
net\_b & 1 & 2 \\
net-b1 & $83.0$ & \num{12009} \\ % 0.5 is not read
\end{tabular}
We reach $91.1 \pm 1.0\,\%$ with ours % wandb: net-a eval/accuracy last
and net-a1 $0.901$ and $0.8034$ % wandb: net-a1 eval/accuracy; net-b1 eval/accuracy
"""
    found = check(text.replace("% wandb: nothing to see 0.5\n", "% 0.5\n"), 1, name="a.tex")["claims"]
    assert [one["verdict"] for one in found if one["line"] < 9 and one["metric"] == "eval/accuracy"] == [
        "confirmed", "not_in_any_run",
    ]  # fmt: skip
    assert [one["text"] for one in found if one["metric"] == "speed"] == ["12{,}009".replace("{,}", ","), "12009"]
    assert [one["verdict"] for one in found if one["found_by"] == "mark"] == ["confirmed"] * 3


def test_a_list(check: Check) -> None:
    text = """
- {run: net-a1, metric: eval/accuracy, statistic: best, value: 92.1%}
- run: [net-a1, net-a2, net-a3]
  metric: eval/accuracy
  value: 0.911
  std: 0.010
  seeds: 3
- {run: net-b1, metric: eval/accuracy, statistic: last, value: 0.8234}
"""
    assert verdicts(check(text, 1, name="claims.yaml")) == ["confirmed", "confirmed", "best_as_final"]
    as_json = json.dumps([{"run": "net-a1", "metric": "eval/accuracy", "value": "0.9012"}])
    assert verdicts(check(as_json, 0, name="claims.json")) == ["confirmed"]


@pytest.mark.parametrize(
    "text",
    ["- {run: x, metric: y}", "a: b", "- {run: x, metric: y, value: z}", "- 5", "{",
     "- {run: x, metric: y, value: 1, stat: odd}", "- {run: x, metric: y, value: 1, sedes: 3}",
     "- {run: x, metric: y, value: 1, seeds: many}", "- &a [*a]", ""],
)  # fmt: skip
def test_a_list_that_is_none(text: str, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yml").write_text(text)
    assert main([str(tmp_path / "a.yml"), str(runs)]) == Exit.USAGE
    said = capsys.readouterr()
    assert said.out == ""
    assert "error: " in said.err
    assert "Unexpected" not in said.err


PROSE = """# Results
The run net-a1 ends with an eval accuracy of **0.9012**, and net-b1 has {best} eval/accuracy at its peak.

```
net-a1 eval/accuracy 0.9012
```

| run | eval/accuracy |
|---|---|
| net-a1 | 0.901 |

net-b1 should get an eval accuracy of 0.99 in 12.5 hours.\r
"""


def test_marks_are_written_once_and_the_rest_stays(check: Check, tmp_path: Path) -> None:
    text = PROSE.replace("{best}", "82.34%")
    found = check(text, 0, "--write")
    assert (found["marks_written"], (tmp_path / "a.md").stat().st_mode & 0o777) == (3, 0o644)
    written = (tmp_path / "a.md").read_bytes().decode()
    assert "**0.9012** <!-- wandb: net-a1 eval/accuracy last -->, and" in written
    assert "82.34% <!-- wandb: net-b1 eval/accuracy best --> eval" in written
    assert "| 0.901 <!-- wandb: net-a1 eval/accuracy last --> |" in written
    assert re.sub(r" <!-- wandb.*? -->", "", written) == text
    again = check(written, 0, "--write")
    assert again["marks_written"] == 0
    assert [one["found_by"] for one in again["claims"] if one["verdict"] == "confirmed"] == ["mark"] * 3
    assert (tmp_path / "a.md").read_bytes().decode() == written


def test_marks_in_latex_end_their_lines(check: Check, tmp_path: Path) -> None:
    text = "net-a1 ends at $0.9012$ eval/accuracy\nand\n\nnet-b1 ends at 0.8034 eval/accuracy % checked\n"
    assert check(text, 0, "--write", name="a.tex")["marks_written"] == 1
    written = (tmp_path / "a.tex").read_text()
    assert written == text.replace("eval/accuracy\n", "eval/accuracy % wandb: net-a1 eval/accuracy last\n", 1)
    assert verdicts(check(written, 0, name="a.tex")) == ["confirmed"] * 2


def test_a_table_as_papers_have_them(check: Check) -> None:
    text = r"""
\begin{tabular}{@{}l|cc@{}}
 & \multicolumn{2}{c}{\textbf{Numbers of 0.5}} \\ \cmidrule(lr){2-3}
Run & eval/accuracy $\uparrow$ & \texttt{speed} \\ \midrule
net-a & $\mathbf{91.1}_{\pm 1.0}$ & 12{,}009 \\
\multirow{2}{*}{net-b1} & 80.3 & -- \\
 & \underline{80.34}\% & 12.5k \\
\end{tabular}
"""
    found = check(text, 1, name="a.tex")["claims"]
    assert [(one["line"], one["verdict"]) for one in found] == [
        (5, "confirmed"), (5, "confirmed"), (6, "confirmed"), (7, "confirmed"), (7, "not_in_any_run"),
    ]  # fmt: skip


def test_a_head_that_is_a_part_of_a_name_accuses_of_best_for_final_only(check: Check) -> None:
    text = "| Method | Final accuracy (%) |\n|---|---|\n| net-a1 | 92.1 |\n| net-b1 | 99.9 |\n| GPT | 99.1 |\n"
    assert verdicts(check(text, 1)) == ["best_as_final", "not_decidable"]


def test_lines_to_ignore(check: Check) -> None:
    assert check("net-a1 ends at 0.9212 eval/accuracy. <!-- wandb: ignore -->", 7)["claims"] == []


def test_text_for_people(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.md"
    path.write_text("net-a1: 0.9212 <!-- wandb: net-a1 eval/accuracy last -->\n")
    assert main([str(path), str(runs)]) == 1
    out = capsys.readouterr().out
    assert "line 1: 0.9212  best given as final: the best eval/accuracy of net-a1 is 0.9212 at step 6" in out
    assert "the last is 0.9012" in out


def test_a_server_says_the_same(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    path, found = ROOT / "examples" / "claims-gone-wrong.md", []
    with Server(load(ROOT / "examples" / "wandb")) as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        for target in (str(ROOT / "examples" / "wandb"), "ada/grpo-digits"):
            assert main([str(path), target, "--json", "--no-cache"]) == 1
            found.append(json.loads(capsys.readouterr().out))
    assert [one["source"] for one in found] == ["local", "api"]
    assert found[0]["claims"] == found[1]["claims"]


def test_where_the_runs_are(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.md"
    monkeypatch.chdir("/")
    path.write_text("<!-- wandb-target: wandb -->\nnet-a1: 0.9012 <!-- wandb: net-a1 eval/accuracy -->")
    assert main([str(path), "-q"]) == 0
    frame = wt.check_claims(path)
    assert frame[["verdict", "run", "step"]].values.tolist() == [["confirmed", "net-a1", 9]]
    # A text from elsewhere does not choose the server that is given the key.
    for target in ("https://wandb.example/a/b", "s3://bucket/x", "~/wandb"):
        path.write_text(f"<!-- wandb-target: {target} -->\n0.9 <!-- wandb: net-a1 eval/accuracy -->")
        assert main([str(path)]) == Exit.USAGE


def test_files_that_cannot_be_read(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "b.md").write_bytes(b"\xff\xfe0.9")
    for name, code in (("b.md", Exit.USAGE), ("none.md", Exit.NOT_FOUND), ("wandb", Exit.USAGE)):
        assert main([str(tmp_path / name), str(runs)]) == code
    assert main(["-", str(runs), "--write"]) == Exit.USAGE
    assert "Unexpected" not in capsys.readouterr().err


HOSTILE = (
    "0.9 <!-- wandb: \x1b[31mnet\x1b]0;x\x07 eval/accuracy last -->\n",
    "0.9 <!-- wandb: \u202enet-a1 \u200beval/accuracy -->\n",
    "9" * 5000 + " <!-- wandb: net-a1 eval/accuracy -->\n",
    "1e999999 <!-- wandb: net-a1 eval/accuracy -->\n1 × 10^-99999999 <!-- wandb: net-a1 eval/accuracy -->\n",
    "<!-- wandb: -->\n<!-- wandb:\n\n\n-->0.9<!-- wandb: * * -->\n",
    "|" * 3000 + "\n" + "|-" * 3000 + "\n" + "|1.5" * 3000 + "\n",
    "*" * 20000 + "_" * 20000 + "`" * 2001 + "$" * 999,
    "\\textbf{" * 3000 + "0.9" + "}" * 3000,
    "[" * 20000 + "](" * 5000 + "<!--" * 5000,
    "1,000,000,000,000,000" * 2000,
    "\\begin{tabular}" * 500 + "{" * 3000 + "&" * 3000 + "\\\\" * 2000,
    "net-a1 eval/accuracy 0.9012 " * 1500,
    "0." + "0" * 30000 + "1 " + ". " * 20000,
)


@pytest.mark.parametrize("at", range(len(HOSTILE)))
@pytest.mark.parametrize("name", ["a.md", "a.tex"])
def test_hostile_text_is_answered_and_shown_clean(
    at: int, name: str, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    path.write_bytes(HOSTILE[at].encode())
    assert main([str(path), str(runs), "--write"]) in (0, 1, 7)
    said = capsys.readouterr()
    assert all(char.isprintable() or char == "\n" for char in said.out + said.err)
    assert "Unexpected" not in said.err


def test_names_of_strangers_stay_out_of_marks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "evil --> <script> x1"
    rows = [logs.history({"eval/accuracy": 0.5 + step / 100}, step) for step in range(5)]
    logs.write_run(tmp_path / "wandb", [logs.run("evil0001", name=name), *rows, logs.exit_()], "evil0001")
    path = tmp_path / "a.md"
    path.write_text("evil0001 ends with an eval accuracy of 0.540.\n")
    assert main([str(path), str(tmp_path / "wandb"), "--write"]) == 0
    assert "\x1b" not in capsys.readouterr().out
    assert "--> <script>" not in path.read_text()
