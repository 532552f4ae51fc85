"""Runs put together by setting: the seeds of one setting in one environment are one group."""

from typing import NamedTuple

import numpy as np

from ddpg_jax.runs.report.labels import Setting, name_run_directory, name_settings
from ddpg_jax.runs.report.record import Record
from ddpg_jax.runs.report.series import Series, spread_curve
from ddpg_jax.runs.report.settings import flat_settings

# Settings that make no other group: the seed, and what is kept of a run, which changes nothing in it.
BESIDE = ("seed", "writers", "wandb_mode", "checkpoint.")


class Group(NamedTuple):
    """Runs that differ in their seed only.

    Attributes:
        name: what tells it apart from the other groups.
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
    runs: dict[tuple[tuple, str], list[Record]] = {}
    for record in records:
        settings = flat_settings(record.run.config)
        env = settings.pop("env")
        key = tuple((name, value) for name, value in settings.items() if not name.startswith(BESIDE))
        runs.setdefault((key, env), []).append(record)
    labels, envs = label_settings(runs), {env for _, env in runs}
    return [
        make_group(name_group(labels[key], env, len(labels), len(envs)), labels[key], env, members)
        for (key, env), members in runs.items()
    ]


def label_settings(runs: dict[tuple[tuple, str], list[Record]]) -> dict[tuple, str]:
    """What to call each setting, whatever the environments that it is used in."""
    found: dict[tuple, Setting] = {}
    for (key, _), (first, *_) in runs.items():
        found.setdefault(key, Setting(dict(key), first.run.preset, name_run_directory(first.run.path.name)))
    return dict(zip(found, name_settings(list(found.values())), strict=True))


def name_group(label: str, env: str, num_settings: int, num_envs: int) -> str:
    """The label of a setting, its environment, or both: whatever is not the same for all groups."""
    return ", ".join([env] * (num_envs > 1 or num_settings == 1) + [label] * (num_settings > 1))


def make_group(name: str, setting: str, env: str, records: list[Record]) -> Group:
    """A group of runs with the same settings.

    Args:
        name: what tells it apart from all others.
        setting: the label of the settings.
        env: the environment.
        records: the runs.
    """
    seeds = {record.run.config.seed: record for record in sorted(records, key=evaluations)}
    chosen = [seeds[seed] for seed in sorted(seeds)]
    curves = [spread_curve(record.rows["evaluation"], "returns") for record in chosen]
    return Group(name, setting, env, chosen, *common_points(curves))


def evaluations(record: Record) -> int:
    """How many evaluations a run has."""
    return len(record.rows["evaluation"])


def common_points(curves: list[Series]) -> tuple[np.ndarray, np.ndarray]:
    """Steps `[T]` that all of some curves have, and the values there, `[S, T]`."""
    found = [dict(zip(each.x.tolist(), each.y.tolist(), strict=True)) for each in curves]
    steps = sorted(set(found[0]).intersection(*found[1:]))
    return np.array(steps), np.array([[values[step] for step in steps] for values in found])
