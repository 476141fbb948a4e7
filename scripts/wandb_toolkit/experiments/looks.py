"""What any training can be asked next: what is not logged or recorded, another seed, its planned end, another rate."""

from __future__ import annotations

from collections.abc import Sequence

from wandb_toolkit import configs
from wandb_toolkit.detectors import DETECTORS
from wandb_toolkit.detectors.phrases import told
from wandb_toolkit.detectors.progress import is_evaluation
from wandb_toolkit.experiments.from_comparison import rounded, titled, two_more_seeds
from wandb_toolkit.experiments.programs import is_boosting, programs_of, records_settings
from wandb_toolkit.experiments.restart import faults, learned
from wandb_toolkit.experiments.settings import find_setting, rule_book
from wandb_toolkit.model import Comparison, Experiment, Primary, RunReport
from wandb_toolkit.text import number, plural, quoted

EARLY = 0.1  # of the plan: a run that the user stopped before it had hardly begun
FEW_ROWS, ENOUGH_ROWS = 10, 50
FEW = 30  # rows: fewer show no lack of learning
SMALL = 0.1  # of the usual upper end: where nothing was learned, a rate below it may be too small
_TRAINED = frozenset({"loss", "reward", "kl", "entropy", "clip_fraction"})  # any of them: by gradients
_VERDICTS = ("good", "unknown", "bad", "ugly")


def faster(
    report: RunReport, who: str, comparison: Comparison, primary: Primary, runs: int, *, most: float
) -> list[Experiment]:
    """A larger step size, up to the usual `most`, where the best run is calm and no run has tried one."""
    calm = [finding for finding in report.findings if finding.id in DETECTORS and DETECTORS[finding.id].calm]
    unsteady = _found("unsteady", report)  # a mere note of it, too
    rate = find_setting(report.run.config, "learning_rate")
    if report.verdict != "good" or not calm or unsteady or rate is None or not isinstance(rate.value, float):
        return []
    if is_boosting(report.run.config) or 2 * rate.value > most:
        return []  # larger steps of fewer trees rarely end better
    tried = [line.config.get(rate.key, rate.value) for line in comparison.runs]
    if any(isinstance(value, (int, float)) and value > rate.value for value in tried):
        return []
    metric = quoted(primary.metric)
    change = f"{quoted(rate.key)} from {number(rate.value)} to {number(rounded(2 * rate.value))}"
    return [
        Experiment(
            title=titled(who, change, runs),
            why=f"{told(calm[0], report)}, and no loss spike or explosion was found: a larger step may be stable too",
            change=change,
            expect=f"{metric} reaches the same level in fewer steps",
            refute=f"{metric} ends worse, or the loss or gradient norm becomes unsteady",
            runs=(report.run.id,),
        )
    ]


def most_promising(reports: Sequence[RunReport], comparison: Comparison | None) -> int:
    """Return the place of the run to go on from: the best one, else the first of those with the best verdict."""
    if comparison and comparison.best_at is not None:
        return comparison.best_at
    return min(range(len(reports)), key=lambda at: _VERDICTS.index(reports[at].verdict))


def next_looks(
    reports: Sequence[RunReport],
    comparison: Comparison | None,
    primary: Primary | None,
    names: Sequence[str],
    *,
    idle: bool,
    most: float,
) -> list[Experiment]:
    """Return what can be asked of the most promising run, the most telling first.

    `names` tell the runs apart. `idle`: the run moves too little as it is, and a lower rate is no help. `most`: the
    upper end of the learning rates that are usual for its kind of training.
    """
    at = most_promising(reports, comparison)
    line = next((one for one in comparison.runs if one.at == at), None) if comparison else None
    if line is not None and line.value is None:
        primary = reports[at].primary  # it lacks the metric that ranks the others
    made = _Looks(reports, at, comparison, primary, quoted(names[at]))
    seeds = made.seeds()
    settings = made.settings()
    logs = [*made.evaluation(), *settings, *made.unlogged()]
    # What was not seen to learn is first made to tell; a faulty run needs no second seed before it is mended.
    if reports[at].verdict == "good":
        # "The same config" can be repeated only where it is recorded.
        first = [*made.plan(), *seeds, *logs] if not settings else [*settings, *made.plan(), *seeds, *logs]
    else:
        first = [*made.plan(), *made.oftener(), *logs]
    found = [*first, *made.rate(idle=idle, most=most)]
    if faults(reports[at]):
        found += [*made.closer(), *made.defaults()]
    else:
        found += [*made.trees(), *made.batch(), *made.baseline()]
    return found if reports[at].verdict != "unknown" or primary is None else [*found, *seeds]


class _Looks:
    """The looks at one run, each an experiment or none."""

    def __init__(
        self, reports: Sequence[RunReport], at: int, comparison: Comparison | None, primary: Primary | None, who: str
    ) -> None:
        self.reports, self.report, self.at = reports, reports[at], at
        self.comparison, self.primary, self.who = comparison, primary, who
        self.metric = quoted(primary.metric) if primary else "the main metric"
        self.roles = {match.role for match in self.report.roles}
        # Entropy and KL are logged of language models and autoencoders, too.
        self.of_policy = bool(
            self.roles & {"reward", "clip_fraction", "explained_variance", "policy_std"}
            or {"policy", "grouped"} & set(programs_of(self.report))
        )

    def _one(self, change: str, why: str, expect: str, refute: str) -> list[Experiment]:
        title = titled(self.who, change, len(self.reports))
        return [Experiment(title, why, change, expect, refute, runs=(self.report.run.id,))]

    def plan(self) -> list[Experiment]:
        """The rest of the plan, where the user ended the run before it."""
        stopped = _found("stopped", self.report)
        key, steps = self._planned()
        if not stopped or steps <= 0:
            return []
        done = (self.report.run.steps or 0) / steps
        if self.report.verdict in ("bad", "ugly") and not ("epoch" not in key.lower() and done < EARLY):
            return []  # what is wrong with it is mended first, unless it had hardly begun
        change = f"{'resume it' if learned(self.report) else 'the same config'}, up to the planned {quoted(key)} of "
        return self._one(
            f"{change}{number(steps)}",
            "the user stopped the run before its planned end",
            f"{self.metric} {'keeps improving' if learned(self.report) else 'starts to improve'}",
            "it does not: then more steps are not what it lacks",
        )

    def _planned(self) -> tuple[str, float]:
        """Return the key and the value of the planned length, ("", 0) where the config has none."""
        flat = configs.flatten(self.report.run.config)
        if isinstance(length := flat.get("t_max"), (int, float)):  # EPyMARL's; T_max is a scheduler's
            return "t_max", float(length)
        steps = find_setting(self.report.run.config, "steps")
        return (steps.key, float(steps.value)) if steps and isinstance(steps.value, (int, float)) else ("", 0.0)

    def oftener(self) -> list[Experiment]:
        """More rows, where there are too few to judge by."""
        rows, over = self.report.run.rows, self.report.run.state not in ("running", "pending")
        if self.report.verdict != "unknown" or rows is None or not 0 < rows < FEW_ROWS or not over:
            return []
        return self._one(
            f"{self.metric} logged at least {ENOUGH_ROWS} times over a run",
            f"the run logged {plural(rows, 'row')}: too few to tell progress from noise",
            "the curve moves by more than its points scatter",
            "it does not: then nothing was learned",
        )

    def seeds(self) -> list[Experiment]:
        """More seeds, where there is one run of the configuration."""
        found = self.comparison
        mine = next((one for one in found.configurations if self.at in one.at), None) if found else None
        if self.report.verdict == "ugly" or self.report.run.state in ("running", "pending"):
            return []
        if mine is not None and len(mine.at) > 1:
            return []
        line = next((line for line in found.runs if line.at == self.at), None) if found else None
        return [
            two_more_seeds(self.report.run.id, line.value if line else None, self.who, self.metric, len(self.reports))
        ]

    def evaluation(self) -> list[Experiment]:
        """An evaluation, where the run logs none."""
        trained_on = {match.metric for match in self.report.roles if match.role in ("loss", "reward")}
        ranked = self.primary is not None and (
            is_evaluation(self.primary.metric) or self.primary.metric not in trained_on
        )
        if self.roles & {"eval_loss", "task"} or ranked:
            return []
        if self.roles & {"length", "zero_std", "truncation"}:
            return self._one(
                "log the reward of held-out prompts, answered without exploration, ten times over the run",
                "the logged rewards are those of the prompts that are trained on",
                f"the evaluation rises together with {self.metric}",
                "it stays lower: then the gain is of these prompts only",
            )
        if "reward" in self.roles:
            return self._one(
                "log the return of the policy without exploration, in episodes of its own, ten times over the run",
                "the logged returns are those of episodes in which the policy explores",
                f"the evaluation rises together with {self.metric}",
                "it stays lower: then the gain is of the exploration, or of single episodes",
            )
        if self.of_policy:
            return self._one(
                "log the return of episodes",
                "the run logs how its policy is updated, and nothing that tells whether the policy gets better",
                "the mean return rises with the updates",
                "it stays: then look at the reward before anything else",
            )
        if _found("unevaluated", self.report):
            return []  # its own rule asks for the same
        return self._one(
            "log an evaluation on held-out data at least ten times over the run",
            "nothing that was logged tells what is learned from what is memorised",
            f"the evaluation improves together with {self.metric}",
            "it stays or gets worse while training improves: then the gain is not real",
        )

    def unlogged(self) -> list[Experiment]:
        """The learning rate and the gradient norm, or the loss where there is none of it either."""
        if is_boosting(self.report.run.config) or not self.roles & _TRAINED:
            return []
        steady, follows = "the gradient norm is steady after warm-up", "the rate follows its schedule"
        missing = [
            (word, seen)
            for role, word, seen in (
                ("loss", "loss", "the loss falls while training improves"),
                ("lr", "learning rate", follows),
                ("grad_norm", "gradient norm", steady),
            )
            if role not in self.roles
            and not (role == "loss" and self.roles & {"kl", "entropy"})  # a policy's loss tells little
        ]
        if not missing:
            return []
        words, seen = zip(*missing, strict=True)
        return self._one(
            f"log the {_with_articles(words)}",
            f"without {'them' if len(words) > 1 else 'it'} a step that is too large or too small cannot be told from "
            "other faults",
            ", and ".join(seen[-2:]),
            "it jumps or vanishes: then the finding that follows says what to change"
            if words == ("gradient norm",)
            else "one of them does not: then the finding that follows says what to change"
            if len(words) > 1
            else "it does not: then the finding that follows says what to change",
        )

    def settings(self) -> list[Experiment]:
        """The settings, where the config holds none that says how the run was trained."""
        config = self.report.run.config
        if records_settings(config):
            return []
        holds = "is empty" if not configs.flatten(config) else "names no learning rate, batch size or length"
        return self._one(
            "record the settings with the run (wandb.config: learning rate, batch size, length, seed, data)",
            f"the run's config {holds}: what a later run changed cannot be told from it",
            "two runs with equal settings end alike",
            "they do not: then something that is not recorded differs",
        )

    def rate(self, *, idle: bool, most: float) -> list[Experiment]:
        """A lower learning rate than any run tried; a higher one where nothing was learned with a small one."""
        rate = find_setting(self.report.run.config, "learning_rate")
        if rate is None or not isinstance(rate.value, float) or not 0 < rate.value <= 1:
            return []
        others = [find_setting(other.run.config, "learning_rate") for other in self.reports]
        tried = [one.value for one in others if one and isinstance(one.value, float)]
        boosting = is_boosting(self.report.run.config)
        if not learned(self.report) and not boosting:
            if faults(self.report):
                return []  # their own rules say what to change
            higher = 3 * rate.value
            if higher > SMALL * most or max(tried) > rate.value or (self.report.run.rows or 0) < FEW:
                return []
            return self._one(
                f"{quoted(rate.key)} from {number(rate.value)} to {number(rounded(higher))}",
                "nothing shows that the run learned, and its learning rate is small",
                f"{self.metric} leaves its level within the first third of the run",
                "it stays there: then look at data, reward and gradients before the step size",
            )
        if idle or min(tried) < rate.value:
            return []
        rounds = ", with twice as many rounds" if boosting else ""
        return self._one(
            f"{quoted(rate.key)} from {number(rate.value)} to {number(rounded(rate.value / 2))}{rounds}",
            "no run tried a lower rate",
            f"{self.metric} ends better, more slowly",
            "it ends worse: then the present rate is not too high",
        )

    def batch(self) -> list[Experiment]:
        """Twice the batch, where no run has tried another."""
        size = find_setting(self.report.run.config, "batch_size")
        if self.primary is None or size is None:
            return []
        if not isinstance(size.value, int) or isinstance(size.value, bool) or size.value < 1:
            return []
        others = [find_setting(other.run.config, "batch_size") for other in self.reports]
        if any(one is not None and one.value != size.value for one in others):
            return []
        return self._one(
            f"{quoted(size.key)} from {size.value} to {2 * size.value}, everything else as it was",
            "no run tried another batch size",
            f"{self.metric} ends better at the same number of steps: then noise of the batches held it back",
            "it ends the same: then the smaller batch is the cheaper one",
        )

    def trees(self) -> list[Experiment]:
        """Smaller trees than any run tried."""
        if not is_boosting(self.report.run.config):
            return []
        for name, least in (("tree_depth", 3), ("tree_leaves", 8)):
            size = find_setting(self.report.run.config, name)
            others = [find_setting(other.run.config, name) for other in self.reports]
            if size is None or not isinstance(size.value, int) or size.value < least:
                continue
            if any(one is not None and isinstance(one.value, int) and 0 < one.value < size.value for one in others):
                continue
            new = size.value - 1 if name == "tree_depth" else size.value // 2
            return self._one(
                f"{quoted(size.key)} from {size.value} to {new}",
                "no run tried smaller trees",
                f"{self.metric} ends no worse, with less distance between training and validation",
                "it ends worse: then the inputs act together, and trees of this size are needed",
            )
        return []

    def closer(self) -> list[Experiment]:
        """A closer look at what is wrong: every step before a sudden fault, one batch where nothing moves."""
        if is_boosting(self.report.run.config):
            return []
        looks = rule_book()["looks"]
        sudden = [one for one in faults(self.report) if one.id in looks["sudden"] and one.step]
        if sudden:
            return self._one(
                f"the same config and seed with loss, gradient norm and learning rate logged at every step before step "
                f"{sudden[0].step:,}",
                "what moved first there is lost between the logged rows",
                "one of them leaves its level first: that is where to look for the cause",
                "all leave it in the same step: then look at the data of that step",
            )
        if any(one.id in looks["idle"] for one in faults(self.report)) and not self.of_policy:
            return self._one(
                "one batch repeated a hundred times, everything else as it was",
                "nothing says yet whether the model can learn at all with these settings",
                "the loss on that batch falls close to zero",
                "it stays: then look at loss, labels and gradients before the settings",
            )
        return []

    def defaults(self) -> list[Experiment]:
        """The defaults of the library in place of all settings at once."""
        boosting = is_boosting(self.report.run.config)
        what = "learning rate, size of the trees, regularisation" if boosting else "learning rate, warm-up, clipping"
        where = "environment" if self.of_policy else "data"
        return self._one(
            f"the defaults of the training library ({what}) on the same {where}",
            f"nothing says yet whether the fault comes from the settings or from the {where}",
            "the fault does not show: then one of the settings that differ from the defaults causes it",
            f"the fault comes back: then look at {'rewards' if self.of_policy else 'data, labels'} and code",
        )

    def baseline(self) -> list[Experiment]:
        """What the metric is without training, where it is not a loss."""
        if self.primary is not None and self.primary.direction == "min":
            return []
        policy = self.of_policy
        what = "the policy before training" if policy else "a trivial answer (the commonest class, the mean)"
        last = "the last policy" if policy else "the trained model"
        return self._one(
            f"{last} and {what} evaluated side by side on the same {'episodes' if policy else 'data'}",
            "what can be had without training is not logged",
            f"{last} is clearly ahead",
            f"it is not: then the level of {self.metric} is no success"
            if self.primary
            else "it is not: then nothing was learned",
        )


def _found(what: str, report: RunReport) -> bool:
    """Return whether a run has one of the findings that experiments.toml lists under [looks]."""
    return any(finding.id in rule_book()["looks"][what] for finding in report.findings)


def _with_articles(words: Sequence[str]) -> str:
    """Return words as "a, the b and the c"."""
    return words[0] if len(words) == 1 else f"{', the '.join(words[:-1])} and the {words[-1]}"
