"""A table of every setting: its flag, default, constraint and meaning, from the dataclasses themselves."""

import dataclasses
import typing
from typing import Any, Literal

from ddpg_jax import config
from ddpg_jax.config.meanings import meanings

HEAD = """\
<!-- Made by `python -m docs.generate` from the settings dataclasses. -->

# Every setting

Each setting is a flag of `ddpg-jax train` and a field of a frozen dataclass.
[Options](options.md) explains the ones that change the algorithm.
A preset fills them, and flags override the preset; `ddpg-jax presets` lists the presets with their sources.
"""
SECTIONS = {
    "": ("The run", config.Config),
    "agent.": ("Agent", config.DDPGConfig),
    "replay.": ("Replay", config.ReplayConfig),
    "exploration.": ("Exploration", config.ExplorationConfig),
    "train.": ("Training", config.TrainConfig),
    "checkpoint.": ("Checkpoints", config.CheckpointConfig),
}


def page() -> str:
    """The page in Markdown."""
    return "\n".join([HEAD, *(section(prefix, *about) for prefix, about in SECTIONS.items())])


def section(prefix: str, title: str, kind: type) -> str:
    """One dataclass."""
    hints = typing.get_type_hints(kind)
    rows = [row(prefix, field, hints[field.name], meaning) for field, meaning in described(kind)]
    head = [f"## {title}", "", f"[`ddpg_jax.{kind.__name__}`](reference/settings.md)", ""]
    return "\n".join([*head, "| flag | default | constraint | meaning |", "|---|---|---|---|", *rows, ""])


def described(kind: type) -> list[tuple[Any, str]]:
    """Fields that are plain values, each with its meaning."""
    texts = meanings(kind)
    return [(field, texts[field.name]) for field in dataclasses.fields(kind) if field.name in texts]


def row(prefix: str, field: Any, hint: Any, meaning: str) -> str:
    """One line of the table."""
    flag = f"--{prefix}{field.name}".replace("_", "-")
    default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    cells = f"`{flag}`", f"`{written(default)}`", constraint(field, hint), meaning
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def written(value: Any) -> str:
    """A default as it is typed."""
    return " ".join(map(str, value)) if isinstance(value, tuple) and value else str(value)


def constraint(field: Any, hint: Any) -> str:
    """What a value must be."""
    if typing.get_origin(hint) is Literal:
        return ", ".join(f"`{choice}`" for choice in typing.get_args(hint))
    if hint is bool:
        return "a switch, without a value"
    return str(field.metadata["rule"][0]) if "rule" in field.metadata else ""
