"""`ddpg-jax export RUN`: the policy of a run directory, in formats that need nothing of this package."""

from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from ddpg_jax.runs.console.errors import DONE
from ddpg_jax.runs.console.flags import EnvAgain, Imports, WrappersAgain, parse
from ddpg_jax.runs.console.progress import print_line
from ddpg_jax.runs.export.formats import FORMATS, choose_formats
from ddpg_jax.runs.export.spaces import Spaces, read_spaces
from ddpg_jax.runs.export.writer import OBSERVATIONS, check_output, export_policy
from ddpg_jax.runs.machine.cache import enable_compilation_cache
from ddpg_jax.runs.policy import load_policy, policy_config
from ddpg_jax.runs.storage.choice import LAST
from ddpg_jax.runs.storage.named_code import Named
from ddpg_jax.types import named_leaves


def export(args: list[str], console: Console) -> int:
    """`ddpg-jax export RUN`: the greedy policy as files; of the run directory only `export/` is written."""

    def options(
        run: tyro.conf.Positional[Path],
        output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None,
        formats: tuple[str, ...] = (),
        checkpoint: str = LAST,
        imports: Imports = (),
        env: EnvAgain = None,
        wrappers: WrappersAgain = (),
    ) -> tuple[Path, Path, tuple[str, ...], str, Named]:
        """Write the greedy policy of a run for use elsewhere, from observations to actions.

        Args:
            run: run directory of a training, ended or not.
            output: folder for the files; by default RUN/export. Files of an earlier export are replaced.
            formats: some of stablehlo, numpy and onnx; by default all whose packages are installed.
            checkpoint: which policy: "last", "best" (of the best evaluation), or the step of one that is kept.
            imports: module or file that registers the environment, to be imported first.
            env: the run's environment again, where it is code of yours.
            wrappers: those of its wrappers again that are code of yours.
        """
        return run, output or run / "export", formats, checkpoint, Named(imports, env, wrappers)

    path, output, names, wanted, named = parse(options, "export", args)
    formats = choose_formats(names, lambda line: print_line(console, line))
    config = policy_config(path, named, "export")
    check_output(output)
    enable_compilation_cache()
    spaces = read_spaces(config)
    policy = load_policy(path, config, spaces.spec, lambda line: print_line(console, line), wanted)
    found = export_policy(policy, config.agent, config.env, spaces, formats, output)
    print_line(console, f"{config.env} {policy.name()}: {sides(spaces)}")
    for name, difference in found.items():
        print_line(console, f"{name}: {', '.join(FORMATS[name].files)}, greatest difference {difference:.1e}")
    print_line(
        console,
        f"written to {output}; differences are from the agent's actions on {OBSERVATIONS:,} random observations, in "
        "units of half the action range",
    )
    return DONE


def sides(spaces: Spaces) -> str:
    """What a policy maps from and to, in words."""
    low, high, dtypes = spaces.spec.action_low, spaces.spec.action_high, named_leaves(spaces.obs_dtype)
    # A Box has no name.
    obs = [
        f"{name} {dtypes[name].name}{list(leaf.shape)}".strip() for name, leaf in named_leaves(spaces.spec.obs).items()
    ]
    return (
        f"observations {', '.join(obs)} to actions "
        f"{spaces.action_dtype.name}{list(spaces.action_shape)} within {low.tolist()} and {high.tolist()}"
    )
