"""What several runs say, in one or two sentences with the figures."""

from ddpg_jax.runs.console.formatting import format_number
from ddpg_jax.runs.report.comparison import MOST_LUCK, Improvement, final, interval, is_significant
from ddpg_jax.runs.report.groups import Group


def headline(groups: list[Group], found: list[Improvement]) -> str:
    """The comparison in words."""
    judged = [group for group in groups if len(group.steps)]
    if not judged:
        return "There is nothing to compare yet: no evaluation that all runs of a setting have."
    if not found:
        return " ".join(map(outcome, judged))
    if len(found) > 1:
        return several_pairs(judged, found)
    (pair,) = found
    sure = f"probability {pair.probability.value:.2f}, {interval(pair.probability)}"
    better, worse = (f"{setting}{score(judged, setting)}" for setting in (pair.better, pair.worse))
    if is_significant(pair) == "yes":
        return f"{better} is better than {worse} ({sure})."
    few = f": of two equal settings, one wins throughout in {pair.luck:.0%} of all cases"
    why = few if pair.luck > MOST_LUCK else ""
    return f"These seeds cannot say whether {better} is better than {worse} ({sure}){why}."


def outcome(group: Group) -> str:
    """What one setting reached, in one sentence."""
    mean, count = final(group), len(group.records)
    kind = "interquartile mean" if count > 1 else "mean of its evaluation"
    sure = f", 95 % interval {interval(mean, 1)}" if count > 1 else ""
    seeds = f"{count} seeds" if count > 1 else "one seed"
    value = format_number(float(mean.value))
    return f"{group.name}: return {value} after {group.steps[-1]:,.0f} steps ({kind} of {seeds}{sure})."


def score(groups: list[Group], setting: str) -> str:
    """The return that a setting reached, where it was used in one environment."""
    own = [group for group in groups if group.setting == setting]
    return f" (return {format_number(float(final(own[0]).value))})" if len(own) == 1 else ""


def several_pairs(groups: list[Group], found: list[Improvement]) -> str:
    """How many pairs can be told apart, and what the highest return is where there is one environment."""
    clear = sum(is_significant(pair) == "yes" for pair in found)
    apart = f"{clear} of {len(found)} pairs of settings can be told apart with these seeds."
    if len({group.env for group in groups}) > 1:
        return apart
    best = max(groups, key=lambda group: float(final(group).value))
    return f"The highest return is {format_number(float(final(best).value))}, of {best.name}. {apart}"
