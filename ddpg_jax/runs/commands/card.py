"""`ddpg-jax card RUN`: a policy with all that a hub shows of it, in one folder."""

import shutil
from pathlib import Path
from typing import Annotated, NamedTuple

import tyro
from rich.console import Console

from ddpg_jax.config import ConfigError
from ddpg_jax.envs.protocol import EnvError
from ddpg_jax.runs.commands.evaluate import check_episodes, play_run
from ddpg_jax.runs.commands.export import export
from ddpg_jax.runs.commands.watch import watch
from ddpg_jax.runs.console.errors import DONE, StorageError
from ddpg_jax.runs.console.flags import EnvAgain, Imports, WrappersAgain, parse
from ddpg_jax.runs.console.progress import print_evaluation, print_line
from ddpg_jax.runs.export.model_card import EVALUATION, FILM, README, SHEET, Played, evaluation_json, model_card
from ddpg_jax.runs.export.writer import check_output
from ddpg_jax.runs.machine.cache import enable_compilation_cache
from ddpg_jax.runs.policy import policy_config
from ddpg_jax.runs.storage.choice import LAST
from ddpg_jax.runs.storage.directory import SETTINGS, read_settings
from ddpg_jax.runs.storage.named_code import Named, flags
from ddpg_jax.runs.storage.strict_json import dumps


class Options(NamedTuple):
    """What was asked for.

    Attributes:
        run: the run directory.
        output: the folder.
        episodes: of the evaluation.
        seed: of its episodes.
        max_steps: after which an episode is cut, None for the run's own limit.
        checkpoint: whose policy.
        named: code that the person names again.
    """

    run: Path
    output: Path
    episodes: int
    seed: int
    max_steps: int | None
    checkpoint: str
    named: Named


def card(args: list[str], console: Console) -> int:
    """`ddpg-jax card RUN -o FOLDER`: policy, settings, evaluation, film and README.md.

    Of the run, only card/ is written by default; where it has TensorBoard, its film is shown there as well.
    """

    def options(
        run: tyro.conf.Positional[Path],
        output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None,
        episodes: int = 100,
        seed: int = 0,
        max_steps: int | None = None,
        checkpoint: str = LAST,
        imports: Imports = (),
        env: EnvAgain = None,
        wrappers: WrappersAgain = (),
    ) -> Options:
        """Write what a hub shows of the policy of a run; nothing is uploaded.

        Args:
            run: run directory of a training, ended or not.
            output: folder for the files, by default RUN/card; files of the same names are replaced.
            episodes: how many to play for the return that the card names.
            seed: seed of the episodes.
            max_steps: steps after which an episode is cut; by default the run's own train.eval_steps.
            checkpoint: which policy: "last", "best" (of the best evaluation), or the step of one that is kept.
            imports: module or file that registers the environment, to be imported first.
            env: the run's environment again, where it is code of yours.
            wrappers: those of its wrappers again that are code of yours.
        """
        return Options(
            run, output or run / "card", episodes, seed, max_steps, checkpoint, Named(imports, env, wrappers)
        )

    chosen = parse(options, "card", args)
    check_episodes(chosen.episodes, chosen.seed, chosen.max_steps)
    config = policy_config(chosen.run, chosen.named, "card")
    check_output(chosen.output)
    enable_compilation_cache()
    limit = config.train.eval_steps if chosen.max_steps is None else chosen.max_steps
    policy, result = play_run(chosen.run, config, chosen.episodes, chosen.seed, limit, chosen.checkpoint, console)
    print_evaluation(console, f"{config.env} {policy.name()}", result, limit, "--max-steps")
    write_policy(chosen, console)
    film = write_film(chosen, console)
    write_text(chosen, Played(policy.step, chosen.seed, limit, result), film)
    print_line(console, f"card {chosen.output / README}")
    return DONE


def same(chosen: Options) -> list[str]:
    """Words of a command line that name the same policy, and the same code."""
    return ["--checkpoint", chosen.checkpoint, *flags(chosen.named)]


def write_policy(chosen: Options, console: Console) -> None:
    """The policy, in every format that can be written here."""
    export([str(chosen.run), "--output", str(chosen.output), *same(chosen)], console)


def write_film(chosen: Options, console: Console) -> bool:
    """A film of the first episode; returns whether there is one: not every environment draws."""
    limit = [] if chosen.max_steps is None else ["--max-steps", str(chosen.max_steps)]
    words = ["--episodes", "1", "--seed", str(chosen.seed), "--output", str(chosen.output / FILM), *limit]
    try:
        watch([str(chosen.run), *words, *same(chosen)], console)
    except (ConfigError, EnvError) as error:
        print_line(console, f"left out: the film, {str(error).splitlines()[0]}")
        return False
    return True


def write_text(chosen: Options, played: Played, film: bool) -> None:
    """Settings and evaluation, and at last README.md, which names the other files.

    Raises:
        StorageError: if the disk does not take them.
    """
    run, output = read_settings(chosen.run), chosen.output
    try:
        for name in () if film else (FILM, SHEET):  # of an earlier card
            (output / name).unlink(missing_ok=True)
        shutil.copyfile(chosen.run / SETTINGS, output / SETTINGS)
        (output / EVALUATION).write_text(dumps(evaluation_json(run.config.env, played), indent=1) + "\n")
        files = [path.name for path in output.iterdir()]
        (output / README).write_text(model_card(run, played, files), encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{output} cannot be written: {error.strerror}; choose another --output") from error
