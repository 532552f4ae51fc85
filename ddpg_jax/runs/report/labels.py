"""What settings are called beside each other: by what differs, as short as can be."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from ddpg_jax.config import Config
from ddpg_jax.presets import PRESETS
from ddpg_jax.runs.report.settings import differing, flat_settings, shown

# Settings named in a label; where more differ, the runs' own names say it shorter.
MOST_NAMED = 2


class Setting(NamedTuple):
    """The settings of some runs, with what else they may be called by.

    Attributes:
        values: by name, without the environment and the seed.
        preset: the name of the one that they began with, "" if it is not known.
        run: what their directories are called.
    """

    values: dict[str, Any]
    preset: str
    run: str


def name_settings(settings: Sequence[Setting]) -> list[str]:
    """A label for each, no two the same.

    The first of these that is short and tells all of them apart: the preset, with what was set beside it, if presets
    differ or nothing else does; the settings that differ; the names of the runs; at last, every setting that differs.
    """
    names = differing([setting.values for setting in settings])
    besides = [changed(setting, names) for setting in settings]
    presets = [setting.preset for setting in settings]
    beside_presets = [
        ", ".join(filter(None, [setting.preset, name_values(setting.values, beside)]))
        for setting, beside in zip(settings, besides, strict=True)
    ]
    by_values = [name_values(setting.values, names) for setting in settings]
    by_run = [setting.run for setting in settings]
    several = len(set(presets)) > 1 or not names
    if all(presets) and several and max(map(len, besides)) <= MOST_NAMED and distinct(beside_presets):
        return beside_presets
    if 0 < len(names) <= MOST_NAMED or not distinct(by_run):
        return by_values
    return by_run


def changed(setting: Setting, names: list[str]) -> list[str]:
    """Those of some settings that are not as the preset has them."""
    own = flat_settings(PRESETS[setting.preset].config) if setting.preset else {}
    return [name for name in names if name not in own or setting.values.get(name) != own[name]]


def name_values(values: dict[str, Any], names: list[str]) -> str:
    """Names and values of some settings."""
    return ", ".join(f"{short_name(name)} = {shown(values.get(name))}" for name in names)


def short_name(name: str) -> str:
    """The last part of a setting's name where no other has it, and the section of what it is the kind of."""
    section, _, last = name.rpartition(".")
    if last == "kind":
        return section
    return name if [each.rpartition(".")[2] for each in flat_settings(Config())].count(last) > 1 else last


def distinct(labels: list[str]) -> bool:
    """Whether no label is empty, or is there twice."""
    return all(labels) and len(set(labels)) == len(labels)


def name_run_directory(name: str) -> str:
    """The name of a run directory without a seed and a time at its end."""
    return re.sub(r"([-_ ]+(seed|s)?[-_ ]*\d+)+$", "", name)
