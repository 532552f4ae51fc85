"""`ddpg-jax evaluate`."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import jax
import tyro
from rich.console import Console

from ddpg_jax.config import INT32, SEED, Config, ConfigError, field_problem
from ddpg_jax.envs.protocol import EnvError
from ddpg_jax.runs.console.errors import DONE, BrokenEnvError, NumericalError, is_interrupt
from ddpg_jax.runs.console.flags import EnvAgain, Imports, WrappersAgain, parse
from ddpg_jax.runs.console.progress import make_stall_warning, print_evaluation, print_line, show_evaluation
from ddpg_jax.runs.console.signals import stop_requests
from ddpg_jax.runs.environments import make_env
from ddpg_jax.runs.evaluations import USUAL_EVAL_STEPS
from ddpg_jax.runs.machine.cache import enable_compilation_cache
from ddpg_jax.runs.policy import Policy, load_policy, num_eval_envs, policy_config
from ddpg_jax.runs.storage.choice import LAST
from ddpg_jax.runs.storage.named_code import Named
from ddpg_jax.training.evaluation import Evaluation, make_evaluate


def evaluate(args: list[str], console: Console) -> int:
    """`ddpg-jax evaluate RUN`: episodes of the greedy policy; the run directory is only read."""

    def options(
        run: tyro.conf.Positional[Path],
        episodes: int = 100,
        seed: int = 0,
        max_steps: int | None = None,
        checkpoint: str = LAST,
        imports: Imports = (),
        env: EnvAgain = None,
        wrappers: WrappersAgain = (),
    ) -> tuple[Path, int, int, int | None, str, Named]:
        """Play episodes with the greedy policy of a run.

        Args:
            run: run directory of a training, ended or not.
            episodes: how many to play.
            seed: seed of the episodes.
            max_steps: steps after which an episode is cut; by default the run's own train.eval_steps.
            checkpoint: which policy: "last", "best" (of the best evaluation), or the step of one that is kept.
            imports: module or file that registers the environment, to be imported first.
            env: the run's environment again, where it is code of yours.
            wrappers: those of its wrappers again that are code of yours.
        """
        return run, episodes, seed, max_steps, checkpoint, Named(imports, env, wrappers)

    path, episodes, seed, max_steps, wanted, named = parse(options, "evaluate", args)
    check_episodes(episodes, seed, max_steps)
    config = policy_config(path, named)
    limit = "train.eval_steps" if max_steps is None else "--max-steps"
    max_steps = config.train.eval_steps if max_steps is None else max_steps
    enable_compilation_cache()
    policy, result = play_run(path, config, episodes, seed, max_steps, wanted, console)
    print_evaluation(console, f"{config.env} {policy.name()}", result, max_steps, limit)
    return DONE


def check_episodes(episodes: int, seed: int, max_steps: int | None) -> None:
    """Raise ConfigError for each of these that is not in its range."""
    found = [field_problem("episodes", episodes, int, INT32), field_problem("seed", seed, int, SEED)]
    if max_steps is not None:
        found.append(field_problem("max_steps", max_steps, int, INT32))
    if any(found):
        raise ConfigError("\n".join(problem for problem in found if problem))


def play_run(
    path: Path, config: Config, episodes: int, seed: int, max_steps: int | None, wanted: str, console: Console
) -> tuple[Policy, Evaluation]:
    """Play episodes with the greedy policy of a run; returns it, and what was played.

    Args:
        path: the run directory.
        config: its settings.
        episodes: how many.
        seed: of the episodes.
        max_steps: after which each is cut, None if it is not.
        wanted: which policy, as `--checkpoint` takes it.
        console: where progress is shown.

    Raises:
        BrokenEnvError: if the environment fails.
        NumericalError: if the policy's actions are not finite.
    """
    num_envs = min(num_eval_envs(config), episodes)
    with closing(make_env(config, num_envs, max_steps)) as env:
        policy = load_policy(path, config, env.spec, lambda line: print_line(console, line), wanted)
        play = make_evaluate(env, policy.agent.act, episodes)
        with watched(console, episodes, max_steps) as on_progress:
            try:
                return policy, play(jax.random.key(seed), policy.params, on_progress)
            except FloatingPointError as error:
                raise NumericalError(str(error)) from error
            except EnvError as error:
                if is_interrupt(error):
                    raise KeyboardInterrupt from error  # nothing was to be saved
                raise BrokenEnvError(str(error)) from error


@contextmanager
def watched(console: Console, episodes: int, max_steps: int | None) -> Iterator[Callable[[int, int], None]]:
    """Yield `on_progress(steps, episodes)`, which the evaluation calls: it shows how far it is, and ends it on request.

    Args:
        console: where that is shown.
        episodes: of the evaluation.
        max_steps: after which each is cut, None if it is not.
    """
    wait = make_stall_warning(lambda line: print_line(console, line), f"--max-steps {USUAL_EVAL_STEPS} would cut each")
    with stop_requests() as stopped, show_evaluation(console, episodes) as show:

        def on_progress(steps: int, ended: int) -> None:
            if stopped():
                raise KeyboardInterrupt
            show(steps, ended)
            if max_steps is None:
                wait(steps, ended)

        yield on_progress
