"""What the list commands compute: which summary metrics tell runs apart, where a metric was best, what to leave out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wandb_toolkit.model import MetricInfo

_FIRST_ROLES = ("task", "eval_loss", "reward", "loss", "kl", "entropy", "grad_norm")
_RANKED_ROLES = frozenset({"task", "eval_loss", "reward", "loss", "throughput"})
Best = tuple[float | None, int | None, str]  # value, step, "max" or "min"


def likely_metrics(names: Sequence[str], limit: int = 60) -> list[str]:
    """Return at most `limit` of the names, those with a known role first: what a table may come to show."""
    from wandb_toolkit.roles import assign_roles

    shown = [name for name in names if not name.startswith("_")]
    roles = assign_roles(shown)
    leading = [roles[role].metric for role in _FIRST_ROLES if role in roles]
    return list(dict.fromkeys([*leading, *shown]))[:limit]


def telling_metrics(summaries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the numeric summary metrics that tell the runs apart, the most telling first.

    Those that differ, with the ones that play a known role before the rest, and the ones that most runs have before
    those that few have. For a single run, all its metrics.
    """
    from wandb_toolkit.roles import assign_roles

    present: Counter[str] = Counter()
    values: dict[str, set[float]] = {}
    for summary in summaries:
        for name, value in summary.items():
            if name.startswith("_") or isinstance(value, bool) or not isinstance(value, (int, float)):
                continue
            present[name] += 1
            values.setdefault(name, set()).add(value)
    several = len(summaries) > 1
    telling = [name for name in present if not several or len(values[name]) > 1 or present[name] < len(summaries)]
    roles = assign_roles(telling)
    leading = [roles[role].metric for role in _FIRST_ROLES if role in roles]
    rank = {name: at for at, name in enumerate(dict.fromkeys(leading))}
    return sorted(telling, key=lambda name: (rank.get(name, len(rank)), -present[name], name))


def best_of(info: MetricInfo) -> Best | None:
    """Return where the metric was best, None where it is not numeric or its name does not say which way is better."""
    from wandb_toolkit.roles import assign_roles, direction_of

    if info.min is None or info.system:
        return None
    direction, why = direction_of(info.name)
    if why.startswith("assumed"):
        return None
    roles = assign_roles([info.name])
    if roles and not any(role in _RANKED_ROLES and match.kind != "policy" for role, match in roles.items()):
        return None  # a KL or an entropy is judged by its course; its least or most is nobody's best
    return (info.max, info.max_step, "max") if direction == "max" else (info.min, info.min_step, "min")


@dataclass(frozen=True)
class Group:
    """Metrics of one prefix, and how many of them a capped table leaves out."""

    prefix: str
    shown: tuple[MetricInfo, ...]
    hidden: int


def capped(infos: Sequence[MetricInfo], limit: int) -> list[Group]:
    """Return the metrics by prefix, at most about `limit` of them, each prefix with its fair share."""
    groups: dict[str, list[MetricInfo]] = {}
    for info in infos:
        groups.setdefault(prefix_of(info.name), []).append(info)
    if len(infos) <= limit:
        return [Group(prefix, tuple(members), 0) for prefix, members in groups.items()]
    share = max(limit // len(groups), 1)
    spare = limit - sum(min(len(members), share) for members in groups.values())
    result = []
    for at, (prefix, members) in enumerate(groups.items()):
        count = min(len(members), share) if at < limit else 0
        extra = min(len(members) - count, max(spare, 0))
        spare -= extra
        result.append(Group(prefix, tuple(members[: count + extra]), len(members) - count - extra))
    return result


def prefix_of(name: str) -> str:
    """Return a metric's panel prefix as W&B groups it: the text before the first "/", "" where there is none."""
    head, slash, _ = name.partition("/")
    if slash:
        return head
    return "system" if name.startswith("system.") else ""
