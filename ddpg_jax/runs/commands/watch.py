"""`ddpg-jax watch`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import gymnasium
import numpy as np
import tyro
from rich.console import Console

from ddpg_jax.config import INT32, SEED, ConfigError, field_problem
from ddpg_jax.envs.gymnasium.spaces import read_spec
from ddpg_jax.runs.console.errors import DONE
from ddpg_jax.runs.console.flags import Imports, parse
from ddpg_jax.runs.console.progress import say
from ddpg_jax.runs.machine.cache import keep_programs
from ddpg_jax.runs.policy import Policy, load_policy, num_eval_envs, policy_config
from ddpg_jax.runs.watch.contact_sheet import ROWS, sample, write_sheet
from ddpg_jax.runs.watch.episode import Moment, draw, episode_seeds, make_act, play, summary
from ddpg_jax.runs.watch.film import ENCODINGS, check_encoder, drafts, film, publish
from ddpg_jax.runs.watch.stage import choose_stage, draw_without_display, frame_rate, open_stage, shared_spec, spec_of

# Steps of an episode where the environment sets no limit.
USUAL_LIMIT = 1_000


class Wish(NamedTuple):
    """What a person wants to see; None where that is left to the command.

    Attributes:
        run: the run directory.
        episodes: how many.
        seed: of the episodes, as `ddpg-jax evaluate` has it.
        output: the film.
        env: where to play, if not where the policy was trained.
        max_steps: after which an episode is cut.
        imports: modules that register environments.
    """

    run: Path
    episodes: int
    seed: int
    output: Path | None
    env: str | None
    max_steps: int | None
    imports: tuple[str, ...] = ()


def watch(args: list[str], console: Console) -> int:
    """`ddpg-jax watch RUN`: films episodes of the greedy policy; of the run directory, only `watch/` is written."""

    def options(
        run: tyro.conf.Positional[Path],
        episodes: int = 3,
        seed: int = 0,
        output: Path | None = None,
        env: str | None = None,
        max_steps: int | None = None,
        imports: Imports = (),
    ) -> Wish:
        """Film episodes of the greedy policy of a run's newest checkpoint, with a contact sheet beside the film.

        Args:
            run: run directory of a training, ended or not.
            episodes: how many to play.
            seed: seed of the episodes; `ddpg-jax evaluate` begins with the same ones, if it plays in Gymnasium.
            output: the film, .mp4 or .gif; a file that is there is replaced. By default, one in RUN/watch.
            env: Gymnasium id of another environment of the same spaces to play in.
            max_steps: steps after which an episode is cut; by default the environment's own limit, or 1000.
            imports: module that registers the environment, to be imported first.
        """
        return Wish(run, episodes, seed, output, env, max_steps, imports)

    wish = checked(parse(options, "watch", args))
    config = policy_config(wish.run, wish.imports)
    check_encoder()
    keep_programs()
    draw_without_display()
    stage_id = choose_stage(config.env, wish.env)
    # Made and closed before the one to play in: there may be one at a time.
    trained = spec_of(config.env) if stage_id != config.env else None
    with open_stage(stage_id) as stage:
        spec = shared_spec(config.env, trained, stage_id, read_spec(stage))
        if wish.env is None and stage_id != config.env:
            say(console, f"{config.env} draws nothing; playing in Gymnasium's {stage_id}, which has the same spaces")
        policy = load_policy(wish.run, config, spec, lambda line: say(console, line))
        say(console, f"{stage_id}, policy after {policy.step:,} steps")
        perform(wish, stage, policy, num_eval_envs(config), console)
    return DONE


def checked(wish: Wish) -> Wish:
    """Return the wish if it can be met.

    Raises:
        ConfigError: naming every option that cannot be used.
    """
    found = [field_problem("episodes", wish.episodes, int, INT32), field_problem("seed", wish.seed, int, SEED)]
    if wish.max_steps is not None:
        found.append(field_problem("max_steps", wish.max_steps, int, INT32))
    if wish.output is not None and wish.output.suffix not in ENCODINGS:
        found.append(f"output = {str(wish.output)!r} must end with {' or '.join(ENCODINGS)}, which is the format")
    if wish.output is not None and wish.output.is_dir():
        found.append(f"output = {str(wish.output)!r} is a directory; name a file")
    if any(found):
        raise ConfigError("\n".join(problem for problem in found if problem))
    return wish


def perform(wish: Wish, stage: gymnasium.Env, policy: Policy, num_envs: int, console: Console) -> None:
    """Play the episodes, and write the film and the contact sheet, or neither."""
    output = wish.output or wish.run / "watch" / f"step-{policy.step}-seed-{wish.seed}.mp4"
    sheet = output.with_name(f"{output.stem}-sheet.png")
    limit = wish.max_steps or (stage.spec and stage.spec.max_episode_steps) or USUAL_LIMIT
    act = make_act(stage, policy)
    rows: list[tuple[str, list[Moment]]] = []
    with drafts(output.parent) as folder:
        with film(folder / output.name, draw(stage).shape, frame_rate(stage)) as show, console.status("") as status:
            for number, seed in enumerate(episode_seeds(wish.seed, wish.episodes, num_envs), 1):
                title = f"episode {number} (seed {seed})"
                moments = sample(shown(play(stage, act, seed, limit), show, title, status.update))
                line = f"{title}: {summary(moments[-1])}"
                say(console, line)
                rows = [*rows, (line, moments)][:ROWS]
        write_sheet(folder / sheet.name, rows)
        publish(folder, output, sheet)
    say(console, f"film {output}")
    say(console, f"contact sheet {sheet}" + (f", of the first {ROWS} episodes" if wish.episodes > ROWS else ""))


def shown(
    moments: Iterator[Moment], show: Callable[[np.ndarray], None], title: str, tell: Callable[[str], None]
) -> Iterator[Moment]:
    """The moments, each handed on after the film has it and the person was told."""
    for moment in moments:
        show(moment.frame)
        tell(f"{title}: {summary(moment)}")
        yield moment
