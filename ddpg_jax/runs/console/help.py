"""`--help`: a command's own options and the settings that matter most; `--help-all`: every setting."""

import typing
from collections.abc import Callable
from typing import Any

import tyro
from tyro.constructors import ConstructorRegistry, StructConstructorSpec, StructFieldSpec, StructTypeInfo

from ddpg_jax import config
from ddpg_jax.config.meanings import meanings
from ddpg_jax.runs.console.values import AS_TYPED, as_typed, list_as_typed

# Of each section, what one changes first; sections without any are left out.
MAIN_SETTINGS: dict[type, tuple[str, ...]] = {
    config.Config: ("env", "seed", "agent", "replay", "exploration", "train"),
    config.DDPGConfig: ("hidden_sizes", "actor_lr", "critic_lr", "tau"),
    config.ReplayConfig: ("batch_size", "discount"),
    config.ExplorationConfig: ("stddev",),
    config.TrainConfig: ("total_steps", "num_envs", "start_steps"),
}
MAIN_ONLY = ConstructorRegistry()
MAIN_ONLY.primitive_rule(as_typed)
MAIN_ONLY.primitive_rule(list_as_typed)


@MAIN_ONLY.struct_rule
def main_settings(info: StructTypeInfo) -> StructConstructorSpec | None:
    """The rule of settings: the main ones alone."""
    if info.type not in MAIN_SETTINGS:
        return None
    hints, texts = typing.get_type_hints(info.type), meanings(info.type)
    names = MAIN_SETTINGS[info.type]
    fields = [StructFieldSpec(name, hints[name], getattr(info.default, name), texts.get(name)) for name in names]
    return StructConstructorSpec(info.type, tuple(fields))


def show_help(options: Callable[..., Any], command: str, args: list[str]) -> None:
    """Print the help of a command if its arguments ask for it.

    Args:
        options: its parameters are the options.
        command: its name.
        args: as they were typed.

    Raises:
        SystemExit: after it was printed.
    """
    if not {"-h", "--help", "--help-all"} & set(args):
        return
    shown = AS_TYPED if "--help-all" in args else MAIN_ONLY
    tyro.cli(options, args=["--help"], prog=f"ddpg-jax {command}", registry=shown)
