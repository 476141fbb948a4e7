"""What the list commands compute: which summary metrics tell runs apart, where a metric was best, what to leave out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wandb_toolkit.model import Direction, MetricInfo

_FIRST_ROLES = ("task", "eval_loss", "reward", "loss", "kl", "entropy", "grad_norm")
_RANKED_ROLES = frozenset({"task", "eval_loss", "reward", "loss", "throughput"})
Best = tuple[float | None, int | None, Direction]  # value, step, which way is better


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


def best_points(infos: Iterable[MetricInfo]) -> dict[str, Best | None]:
    """Return where each metric was best; None where it is not numeric, or its name does not say which way is better.

    The last part of the name has to say it (``losses/q_values`` is no loss), and what is judged by its course, such as
    a KL, an entropy or a policy's objective, has no best.
    """
    from wandb_toolkit.roles import assign_roles, direction_of

    known = list(infos)
    unranked = {
        match.metric
        for role, match in assign_roles([info.name for info in known]).items()
        if role not in _RANKED_ROLES or match.is_objective
    }
    found: dict[str, Best | None] = dict.fromkeys((info.name for info in known), None)
    for info in known:
        direction, why = direction_of(info.name.rpartition("/")[2])
        told = not why.startswith("assumed") and direction_of(info.name)[0] == direction
        if told and info.min is not None and not info.system and info.name not in unranked:
            if _judged_by_course(info.name):
                continue
            up = direction == "max"
            found[info.name] = (info.max, info.max_step, "max") if up else (info.min, info.min_step, "min")
    return found


def _judged_by_course(name: str) -> bool:
    from wandb_toolkit.roles import assign_roles

    roles = assign_roles([name])
    return bool(roles) and not any(r in _RANKED_ROLES and not match.is_objective for r, match in roles.items())


@dataclass(frozen=True)
class Group:
    """Metrics of one prefix, and how many of them a limited table leaves out."""

    prefix: str
    shown: tuple[MetricInfo, ...]
    hidden: int


def limited(infos: Sequence[MetricInfo], limit: int) -> list[Group]:
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
