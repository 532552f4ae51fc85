"""A run before it runs: its settings checked, its environments made, its first step."""

import contextlib
from collections.abc import Callable
from typing import NamedTuple

from ddpg_jax.agent.state import Params
from ddpg_jax.config import Config, validate
from ddpg_jax.envs.protocol import Env, EnvError
from ddpg_jax.runs.check_updates import check_updates
from ddpg_jax.runs.console.errors import is_interrupt
from ddpg_jax.runs.environments import make_env
from ddpg_jax.runs.machine.memory import check_memory
from ddpg_jax.runs.probe_states import make_act_and_value
from ddpg_jax.runs.storage.fault_points import fault_point
from ddpg_jax.runs.storage.keys import make_keys
from ddpg_jax.runs.storage.run_state import Progress, RunState
from ddpg_jax.runs.storage.writers import check_writers
from ddpg_jax.training.evaluation import Evaluation, make_evaluate
from ddpg_jax.training.faults import Fault, fault_kind, name_fault
from ddpg_jax.training.runner import Runner
from ddpg_jax.training.trainer import Trainer, make_trainer
from ddpg_jax.types import Array, Transition, Tree


class Session(NamedTuple):
    """Everything of a run that is made before anything is written.

    Attributes:
        config: the settings.
        env: the environments it acts in.
        trainer: the loop on them.
        evaluate: `evaluate(key, actor_params, on_progress)` while training, in `eval_envs` environments.
        evaluate_final: the same with `final_eval_episodes`.
        act_and_value: `act_and_value(params, obs) -> (action, q)`, the greedy action and its Q.
        close: closes all environments.
        imports: modules that a person named, without which the run cannot go on.
    """

    config: Config
    env: Env
    trainer: Trainer
    evaluate: Callable[..., Evaluation]
    evaluate_final: Callable[..., Evaluation]
    act_and_value: Callable[[Params, Tree], tuple[Array, Array]]
    close: Callable[[], None]
    imports: tuple[str, ...] = ()


def prepare(config: Config, given: Env | None = None, given_eval: Env | None = None) -> Session:
    """Check the settings and make the environments; nothing is compiled, allocated or written.

    Args:
        config: the settings.
        given: environments to train in, in place of those that `config.env` names; they are not closed.
        given_eval: environments to play the evaluations in.

    Raises:
        ConfigError: naming every setting that cannot be used, or that leaves no update, or a memory that does not fit.
        EnvError: if the environment cannot be made or used.
    """
    train = validate(config).train
    check_updates(config)
    check_writers(config.writers, config.wandb_mode)
    with contextlib.ExitStack() as stack:
        env = given or stack.enter_context(contextlib.closing(make_env(config, train.num_envs)))
        trainer = make_trainer(env, config)
        check_memory(trainer.replay.num_bytes, config)
        # One that is given and compiled is a state and two functions, which serve for other episodes as well.
        own = given_eval or (given if given and not given.share else None)
        eval_env = own or stack.enter_context(contextlib.closing(make_eval_env(env, config)))
        close = stack.pop_all().close
    agent, discount = trainer.agent, config.replay.discount
    evaluate = make_evaluate(eval_env, agent.act, train.eval_episodes, discount)
    evaluate_final = make_evaluate(eval_env, agent.act, train.final_eval_episodes, discount)
    return Session(config, env, trainer, evaluate, evaluate_final, make_act_and_value(agent), close)


def make_eval_env(env: Env, config: Config) -> Env:
    """The environments of the evaluations: those of the training themselves, where `eval_envs` is 0.

    Raises:
        EnvError: if they cannot be made beside those of the training.
    """
    train = config.train
    if not train.eval_envs and env.share:
        return env.share(train.eval_steps)
    try:
        return make_env(config, train.eval_envs or train.num_envs, train.eval_steps)
    except EnvError as error:
        raise EnvError(
            f"{error}; it was to play the evaluations: where only one may exist, set train.eval_envs to 0"
        ) from error


def start(
    session: Session,
    demonstrations: Transition | None = None,
    begin: Callable[[Runner], Runner] = lambda runner: runner,
) -> RunState:
    """A run at its first step.

    Args:
        session: as `prepare` made it.
        demonstrations: `[T, ...]`, for the memory to begin with.
        begin: puts what another run has learned in place of fresh networks (`make_begin` of warm_start.py).

    Raises:
        EnvError: if an environment failed in its first reset.
        KeyboardInterrupt: if it asked to stop there; nothing was to be saved.
    """
    fault_point("initializing")
    runner = session.trainer.init(make_keys(session.config.seed).init)
    failure = session.env.failure()
    if failure and is_interrupt(failure):
        raise KeyboardInterrupt from failure
    if failure or fault_kind(runner) != Fault.HEALTHY:
        raise EnvError(str(failure or name_fault(runner)))
    runner = begin(runner)
    if demonstrations is not None:
        runner = session.trainer.prefill(runner, demonstrations)
    fault_point("initialized")
    return RunState(runner, Progress())
