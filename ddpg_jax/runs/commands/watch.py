"""`ddpg-jax watch`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import gymnasium
import numpy as np
import tyro
from rich.console import Console

from ddpg_jax.config import INT32, SEED, Config, ConfigError, field_problem
from ddpg_jax.envs.gymnasium.spaces import read_spec
from ddpg_jax.envs.own_code import same_code
from ddpg_jax.runs.console.errors import DONE
from ddpg_jax.runs.console.flags import Imports, WrappersAgain, parse
from ddpg_jax.runs.console.progress import print_line
from ddpg_jax.runs.machine.cache import enable_compilation_cache
from ddpg_jax.runs.policy import Policy, load_policy, num_eval_envs, policy_config
from ddpg_jax.runs.storage.choice import LAST
from ddpg_jax.runs.storage.directory import read_settings
from ddpg_jax.runs.storage.named_code import NOTHING, Named
from ddpg_jax.runs.storage.tensorboard_events import TENSORBOARD
from ddpg_jax.runs.watch.contact_sheet import ROWS, sample, write_sheet
from ddpg_jax.runs.watch.episode import Frame, episode_seeds, make_act, play, render, summary
from ddpg_jax.runs.watch.filmed_env import (
    choose_env,
    frame_rate,
    open_env,
    render_without_display,
    shared_spec,
    spec_of,
)
from ddpg_jax.runs.watch.tensorboard_film import TAG, add_film
from ddpg_jax.runs.watch.video import ENCODINGS, check_encoder, draft_folder, move_into_place, write_video

# Steps of an episode where the environment sets no limit.
USUAL_LIMIT = 1_000


class Options(NamedTuple):
    """What was asked for; None where that is left to the command.

    Attributes:
        run: the run directory.
        episodes: how many.
        seed: of the episodes, as `ddpg-jax evaluate` has it.
        output: the film.
        env: where to play, if not where the policy was trained; or that environment again.
        max_steps: after which an episode is cut.
        checkpoint: whose policy.
        named: what a person names of the run.
    """

    run: Path
    episodes: int
    seed: int
    output: Path | None
    env: str | None
    max_steps: int | None
    checkpoint: str = LAST
    named: Named = NOTHING


def watch(args: list[str], console: Console) -> int:
    """`ddpg-jax watch RUN`: films episodes of the greedy policy; of the run directory, only `watch/` is written."""

    def options(
        run: tyro.conf.Positional[Path],
        episodes: int = 3,
        seed: int = 0,
        output: Path | None = None,
        env: str | None = None,
        max_steps: int | None = None,
        checkpoint: str = LAST,
        imports: Imports = (),
        wrappers: WrappersAgain = (),
    ) -> Options:
        """Film episodes of the greedy policy of a run, with a contact sheet beside the film.

        Args:
            run: run directory of a training, ended or not.
            episodes: how many to play.
            seed: seed of the episodes; `ddpg-jax evaluate` begins with the same ones, if it plays in Gymnasium.
            output: the film, .mp4 or .gif; a file that is there is replaced. By default, one in RUN/watch.
            env: the run's environment again, where it is code of yours; or another of the same spaces to play in.
            max_steps: steps after which an episode is cut; by default the environment's own limit, or 1000.
            checkpoint: which policy: "last", "best" (of the best evaluation), or the step of one that is kept.
            imports: module or file that registers the environment, to be imported first.
            wrappers: those of the run's wrappers again that are code of yours.
        """
        return Options(run, episodes, seed, output, env, max_steps, checkpoint, Named(imports, None, wrappers))

    # Before an environment is imported: dm_control chooses then how it draws.
    render_without_display()
    chosen = name_env(check_options(parse(options, "watch", args)))
    config = policy_config(chosen.run, chosen.named, "watch")
    check_encoder()
    enable_compilation_cache()
    env_id = choose_env(config.env, chosen.env)
    # Made and closed before the one to play in: there may be one at a time.
    trained = spec_of(config) if env_id != config.env else None
    with open_env(config, env_id) as env:
        spec = shared_spec(config.env, trained, env_id, read_spec(env))
        if chosen.env is None and env_id != config.env:
            print_line(
                console, f"{config.env} draws nothing; playing in Gymnasium's {env_id}, which has the same spaces"
            )
        policy = load_policy(chosen.run, config, spec, lambda line: print_line(console, line), chosen.checkpoint)
        print_line(console, f"{env_id}, policy {policy.name()}")
        record(chosen, env, policy, config, console)
    return DONE


def name_env(chosen: Options) -> Options:
    """The options with the run's own environment among what is named, where the person names that one."""
    if chosen.env is None:
        return chosen
    own = read_settings(chosen.run).config.env
    if chosen.env != own and not same_code(chosen.env, own):
        return chosen
    return chosen._replace(env=None, named=chosen.named._replace(env=chosen.env))


def check_options(chosen: Options) -> Options:
    """Return the options if they can be used.

    Raises:
        ConfigError: naming every option that cannot be used.
    """
    found = [field_problem("episodes", chosen.episodes, int, INT32), field_problem("seed", chosen.seed, int, SEED)]
    if chosen.max_steps is not None:
        found.append(field_problem("max_steps", chosen.max_steps, int, INT32))
    if chosen.output is not None and chosen.output.suffix not in ENCODINGS:
        found.append(f"output = {str(chosen.output)!r} must end with {' or '.join(ENCODINGS)}, which is the format")
    if chosen.output is not None and chosen.output.is_dir():
        found.append(f"output = {str(chosen.output)!r} is a directory; name a file")
    if any(found):
        raise ConfigError("\n".join(problem for problem in found if problem))
    return chosen


def record(chosen: Options, env: gymnasium.Env, policy: Policy, config: Config, console: Console) -> None:
    """Play the episodes, and write the film and the contact sheet, or neither."""
    output = chosen.output or chosen.run / "watch" / f"step-{policy.step}-seed-{chosen.seed}.mp4"
    sheet = output.with_name(f"{output.stem}-sheet.png")
    own = config.max_episode_steps or (env.spec and env.spec.max_episode_steps)
    limit = chosen.max_steps or own or USUAL_LIMIT
    act = make_act(env, policy)
    rows: list[tuple[str, list[Frame]]] = []
    with draft_folder(output.parent) as folder:
        with (
            write_video(folder / output.name, render(env).shape, frame_rate(env)) as show,
            console.status("") as status,
        ):
            for number, seed in enumerate(episode_seeds(chosen.seed, chosen.episodes, num_eval_envs(config)), 1):
                title = f"episode {number} (seed {seed})"
                frames = sample(shown(play(env, act, seed, limit), show, title, status.update))
                line = f"{title}: {summary(frames[-1])}"
                print_line(console, line)
                rows = [*rows, (line, frames)][:ROWS]
        write_sheet(folder / sheet.name, rows)
        move_into_place(folder, output, sheet)
    print_line(console, f"film {output}")
    if add_film(chosen.run, output, policy.step):
        print_line(console, f"film in TensorBoard: {TAG}, in {chosen.run / TENSORBOARD}")
    print_line(
        console, f"contact sheet {sheet}" + (f", of the first {ROWS} episodes" if chosen.episodes > ROWS else "")
    )


def shown(
    frames: Iterator[Frame], show: Callable[[np.ndarray], None], title: str, tell: Callable[[str], None]
) -> Iterator[Frame]:
    """The frames, each handed on after the film has it and the person was told."""
    for frame in frames:
        show(frame.image)
        tell(f"{title}: {summary(frame)}")
        yield frame
