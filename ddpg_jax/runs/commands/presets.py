"""`ddpg-jax presets`."""

from rich.console import Console
from rich.table import Table

from ddpg_jax.presets import PRESETS
from ddpg_jax.runs.console.errors import DONE
from ddpg_jax.runs.console.flags import parse


def presets(args: list[str], console: Console) -> int:
    """`ddpg-jax presets`: names, environments and sources."""

    def options() -> None:
        """List the named settings."""

    parse(options, "presets", args)
    table = Table("preset", "environment", "source", box=None, pad_edge=False)
    for name, preset in PRESETS.items():
        table.add_row(name, preset.config.env, preset.source)
    console.print(table, markup=False)
    return DONE
