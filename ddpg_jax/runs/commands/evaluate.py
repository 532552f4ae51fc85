"""`ddpg-jax evaluate`."""

from contextlib import closing
from pathlib import Path

import jax
import tyro
from rich.console import Console

from ddpg_jax import envs
from ddpg_jax.config import INT32, SEED, ConfigError, field_problem
from ddpg_jax.envs.protocol import EnvError
from ddpg_jax.runs.cache import keep_programs
from ddpg_jax.runs.errors import DONE, BrokenEnvError, NumericalError, is_interrupt
from ddpg_jax.runs.flags import Imports, parse
from ddpg_jax.runs.policy import load_policy, num_eval_envs, policy_config
from ddpg_jax.runs.progress import say, say_evaluation
from ddpg_jax.training.evaluation import make_evaluate


def evaluate(args: list[str], console: Console) -> int:
    """`ddpg-jax evaluate RUN`: episodes of the greedy policy; the run directory is only read."""

    def options(
        run: tyro.conf.Positional[Path], episodes: int = 100, seed: int = 0, imports: Imports = ()
    ) -> tuple[Path, int, int, tuple[str, ...]]:
        """Play episodes with the greedy policy of a run's newest checkpoint.

        Args:
            run: run directory of a training, ended or not.
            episodes: how many to play.
            seed: seed of the episodes.
            imports: module that registers the environment, to be imported first.
        """
        return run, episodes, seed, imports

    path, episodes, seed, imports = parse(options, "evaluate", args)
    wrong = field_problem("episodes", episodes, int, INT32), field_problem("seed", seed, int, SEED)
    if any(wrong):
        raise ConfigError("\n".join(problem for problem in wrong if problem))
    config = policy_config(path, imports)
    keep_programs()
    num_envs = min(num_eval_envs(config), episodes)
    with closing(envs.make(config.env, num_envs, config.env_timeout)) as env:
        policy = load_policy(path, config, env.spec, lambda line: say(console, line))
        try:
            result = make_evaluate(env, policy.agent.act, episodes)(jax.random.key(seed), policy.params)
        except FloatingPointError as error:
            raise NumericalError(str(error)) from error
        except EnvError as error:
            if is_interrupt(error):
                raise KeyboardInterrupt from error  # nothing was to be saved
            raise BrokenEnvError(str(error)) from error
    say_evaluation(console, f"{config.env} after {policy.step:,} steps", result)
    return DONE
