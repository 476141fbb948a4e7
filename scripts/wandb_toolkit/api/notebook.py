"""What `wt.report` returns, as a notebook shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from wandb_toolkit.model import Report as _Report
    from wandb_toolkit.reports.read import Reading


@dataclass(frozen=True, eq=False)
class Report:
    """What `wt.report` returns: shows itself in a notebook, and holds the same content as the script's JSON."""

    verdict: str  # "good", "bad", "ugly", "unknown"
    _report: _Report
    _readings: tuple[Reading, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the document of `wandb_report --json`."""
        from wandb_toolkit.jsontext import jsonable
        from wandb_toolkit.reports.render.report_json import report_object

        found: dict[str, Any] = jsonable(report_object(self._report))
        return found

    def to_markdown(self, *, full: bool = False) -> str:
        """Return the text of the script; `full` leaves nothing out."""
        from wandb_toolkit.reports.render.markdown import markdown

        return markdown(self._report, full=full)

    def to_html(self) -> str:
        """Return the page of `wandb_report --html`, with its figures."""
        from wandb_toolkit.reports.charts import charts_of
        from wandb_toolkit.reports.evidence import beside_sentences
        from wandb_toolkit.reports.render.html import page

        histories = [one.history for one in self._readings]
        return page(self._report, charts_of(self._report, histories), beside_sentences(self._report, histories))

    def findings(self) -> pd.DataFrame:
        """Return one row a finding: run, name, verdict of the run, id, severity, title, step, advice."""
        import pandas as pd

        rows = [
            {"run": one.run.id, "name": one.run.name, "verdict": one.verdict, "id": finding.id,
             "severity": finding.severity, "title": finding.title, "step": finding.step, "advice": finding.advice}
            for one in self._report.runs
            for finding in one.findings
        ]  # fmt: skip
        columns = ["run", "name", "verdict", "id", "severity", "title", "step", "advice"]
        return pd.DataFrame(rows, columns=columns).astype({"step": "Int64"})

    def _repr_markdown_(self) -> str:
        return self.to_markdown()

    def __repr__(self) -> str:
        return f"<wandb_toolkit Report: {self.verdict}, {len(self._report.runs)} runs>"
