"""Runs put together by setting: the seeds of one setting in one environment are one group."""

from typing import NamedTuple

import numpy as np

from ddpg_jax.runs.report.record import Record
from ddpg_jax.runs.report.series import spread_curve
from ddpg_jax.runs.report.settings import differing, flat_settings, shown

# Settings that make no other group: the seed, and what is kept of a run, which changes nothing in it.
BESIDE = ("seed", "writers", "checkpoint.")


class Group(NamedTuple):
    """Runs that differ in their seed only.

    Attributes:
        name: the settings in which it differs from the other groups.
        setting: the same without the environment, which groups of several environments may share.
        env: the environment.
        records: one of each seed, in ascending order of the seed.
        steps: at which all of these runs were evaluated, `[T]`.
        scores: mean return of each evaluation, `[S, T]`.
    """

    name: str
    setting: str
    env: str
    records: list[Record]
    steps: np.ndarray
    scores: np.ndarray


def group_runs(records: list[Record]) -> list[Group]:
    """Put runs together by setting and environment, in the order of their first appearance.

    Of several runs with the same setting and seed, which are the same run again, the longest counts.
    """
    runs: dict[tuple, list[Record]] = {}
    for record in records:
        settings = flat_settings(record.run.config)
        key = tuple((name, value) for name, value in settings.items() if not name.startswith(BESIDE))
        runs.setdefault(key, []).append(record)
    names = differing([dict(key) for key in runs])
    return [make_group(dict(key), names, members) for key, members in runs.items()]


def make_group(settings: dict, names: list[str], records: list[Record]) -> Group:
    """A group of runs with the same settings.

    Args:
        settings: theirs, without the seed.
        names: of the settings that tell groups apart.
        records: the runs.
    """
    setting = name_setting(settings, [name for name in names if name != "env"])
    name = name_setting(settings, names) or settings["env"]
    seeds = {record.run.config.seed: record for record in sorted(records, key=evaluations)}
    chosen = [seeds[seed] for seed in sorted(seeds)]
    steps, scores = common_scores(chosen)
    return Group(name, setting, settings["env"], chosen, steps, scores)


def evaluations(record: Record) -> int:
    """How many evaluations a run has."""
    return len(record.rows["evaluation"])


def name_setting(settings: dict, names: list[str]) -> str:
    """Names and values of some settings; the environment by its value alone."""
    return ", ".join(shown(settings[name]) if name == "env" else f"{name} = {shown(settings[name])}" for name in names)


def common_scores(records: list[Record]) -> tuple[np.ndarray, np.ndarray]:
    """Steps `[T]` at which every run was evaluated, and the mean returns there, `[S, T]`."""
    found = []
    for record in records:
        returns = spread_curve(record.rows["evaluation"], "returns")
        found.append(dict(zip(returns.x.tolist(), returns.y.tolist(), strict=True)))
    steps = sorted(set(found[0]).intersection(*found[1:]))
    return np.array(steps), np.array([[scores[step] for step in steps] for scores in found])
