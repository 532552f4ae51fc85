"""The one loop: act, step the environments while the agent learns, store; a chunk of it is one compiled program.

Action t is chosen on the parameters before update t, and update t learns from batches drawn before step t is
stored. So neither waits for the other: one processor learns while another steps the environment, and
parameters act one step later. Python runs only between chunks. Gymnasium, gymnax and an environment
of your own differ in the `Env` that is plugged in, and in nothing else.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ddpg_jax.agent.ddpg import ddpg
from ddpg_jax.agent.exploration import Exploration, make_exploration, uniform
from ddpg_jax.agent.networks import Networks
from ddpg_jax.agent.state import Agent, AgentState, UpdateInfo
from ddpg_jax.config import Config, ConfigError, validate
from ddpg_jax.envs.overlap import make_step_beside
from ddpg_jax.envs.protocol import Env, check_env
from ddpg_jax.packing import Rows, make_packing, put_row
from ddpg_jax.replay.buffer import Replay, make_replay
from ddpg_jax.training.faults import Fault, all_finite, find_fault, find_first_fault, learning_fault
from ddpg_jax.training.learner import Learner, idle_learner, make_learner, no_update
from ddpg_jax.training.prefill import make_prefill
from ddpg_jax.training.runner import Metrics, Runner
from ddpg_jax.types import Array, Key, Transition, Tree, float_dtype

# Steps are counted in int32.
LARGEST_COUNT = 2**31 - 1
# Steps of one chunk: the keys and the report of all of them are allocated at once.
LONGEST = 10_000


class Phase(NamedTuple):
    """A stretch of the run in which the same program runs.

    Attributes:
        end: environment steps at which it ends.
        run: `run(key, Runner, num_steps) -> (Runner, Metrics)`, compiled, the runner donated.
    """

    end: int
    run: Callable[[Key, Runner, int], tuple[Runner, Metrics]]


class Trainer(NamedTuple):
    """A training run as two functions.

    Attributes:
        init: `init(key) -> Runner`.
        run: `run(key, Runner, num_steps) -> (Runner, Metrics)`: up to `num_steps` further environment
            steps, at most those of one compiled chunk (`log_every`, 10,000) and to the end of a phase
            (`start_steps`, `update_after`); the given runner is donated and must not be used again.
            The same `key` at every call gives every step randomness of its own.
        prefill: `prefill(Runner, Transition [T, ...]) -> Runner`, the memory begun with demonstrations
            (`make_demonstrations`); the given runner is donated.
        agent: the agent that is trained.
        replay: the memory it learns from.
    """

    init: Callable[[Key], Runner]
    run: Callable[..., tuple[Runner, Metrics]]
    prefill: Callable[[Runner, Transition], Runner]
    agent: Agent
    replay: Replay


def make_step(env: Env, agent: Agent, exploration: Exploration, learner: Learner, max_skipped_updates: int) -> Callable:
    """Build one step of the loop, `step(keys [3], Runner, samples) -> (Runner, Metrics)`.

    `samples` are the batches of its updates, drawn before it (`Learner.draw`). After `max_skipped_updates`
    skipped ones in a row the step is complete, and the last.
    """
    step_beside = make_step_beside(env)

    def step(keys: Key, runner: Runner, samples: Tree) -> tuple[Runner, Metrics]:
        act_key, env_key, update_key = keys
        params, first = runner.agent.params.actor, runner.first
        action, noise = exploration.act(act_key, runner.exploration, params, runner.obs, first)

        def update(wait: Callable[[Tree], Tree]) -> tuple[tuple[AgentState, Tree], Array]:
            agent_state, infos = learner.update(update_key, runner.agent, wait(samples))
            return (agent_state, infos), learner.last(infos)

        # These two do not depend on each other and run side by side.
        (agent_state, infos), moved = step_beside(env_key, runner.env, action, update)
        env_state, obs, timestep = moved
        transition = Transition(
            runner.obs, action, timestep.reward, timestep.terminated, timestep.truncated, timestep.next_obs
        )
        # Learned is learned, and noise is drawn, also beside a step that failed: to go back, the parameters (and those
        # that noise has perturbed) would be copied at each step.
        learned = runner._replace(
            agent=agent_state, exploration=noise, fault=learning_fault(agent_state.skipped, max_skipped_updates)
        )

        ended, fine = timestep.terminated | timestep.truncated, all_finite(action, obs, timestep)

        def proceed() -> tuple[Runner, UpdateInfo]:
            after = learned._replace(
                agent=agent.observe(agent_state, transition),
                replay=learner.store(runner.replay, transition, samples, infos),
                env=env_state,
                obs=obs,
                episode_return=runner.episode_return + timestep.reward,
                episode_length=runner.episode_length + 1,
            )
            return after, learner.report(infos)

        def halt() -> tuple[Runner, UpdateInfo]:
            return learned._replace(fault=find_fault(action, obs, timestep)), no_update(())

        after, report = jax.lax.cond(fine, proceed, halt)
        return count_step(runner, after, fine, ended, report)

    return step


def count_step(before: Runner, after: Runner, fine: Array, ended: Array, report: UpdateInfo) -> tuple[Runner, Metrics]:
    """Count a step and the episodes that ended in it, if it was fine, and report it.

    Not in the loop's condition, out of which each scalar comes by a kernel of its own: of more than nine that are ready
    at a time XLA gives some to another thread, and where nothing is learned that costs two fifths of a step.
    """
    returns, lengths = after.episode_return, after.episode_length
    count, first = before.step + jnp.where(fine, ended.shape[0], 0), jnp.where(fine, ended, before.first)
    counted = after._replace(
        step=count,
        first=first,
        episode_return=jnp.where(first, 0, returns),
        episode_length=jnp.where(first, 0, lengths),
    )
    return counted, Metrics(jnp.where(fine, count, 0), report, ended & fine, returns, lengths)


def nothing(runner: Runner) -> Metrics:
    """The report of a step that was not taken."""
    no = jnp.zeros_like(runner.first)
    return Metrics(jnp.int32(0), no_update(()), no, runner.episode_return, runner.episode_length)


def make_chunk(step: Callable, learner: Learner, length: int) -> Callable[..., tuple[Runner, Metrics]]:
    """Build `chunk(key, Runner, num_iterations) -> (Runner, Metrics)`, a loop of at most `length` steps.

    Args:
        step: the loop's step.
        learner: what draws the batches of each step before it.
        length: rows of the report; those of steps beyond `num_iterations`, or after a fault, stay empty.
    """

    def chunk(key: Key, runner: Runner, num_iterations: Array) -> tuple[Runner, Metrics]:
        # All keys of the chunk at once: on CPU one of them alone takes longer than a step of an environment.
        counts = runner.step + jnp.arange(length + 1) * runner.first.shape[0]
        all_keys = jax.vmap(lambda count: jax.random.split(jax.random.fold_in(key, count), 4))(counts)
        # Those of a step, and the one by which it draws for the next.
        keys = jnp.concatenate([all_keys[:-1, :3], all_keys[1:, 3:]], axis=1)
        # One row for each step and dtype, as in the memory: one write, not one for each figure.
        packing = make_packing(jax.eval_shape(nothing, runner))
        empty = packing.pack(nothing(runner))
        table = jax.tree.map(lambda row: jnp.broadcast_to(row, (length, *row.shape)), empty)

        def going(carry: tuple[Array, Runner, Tree, Rows]) -> Array:
            index, runner, _, _ = carry
            return (index < num_iterations) & (runner.fault == Fault.HEALTHY)

        def iterate(carry: tuple[Array, Runner, Tree, Rows]) -> tuple[Array, Runner, Tree, Rows]:
            index, runner, samples, table = carry
            now = jax.lax.dynamic_index_in_dim(keys, index, keepdims=False, allow_negative_indices=False)
            runner, metrics = step(now[:3], runner, samples)
            table = put_row(table, index, packing.pack(metrics))
            return index + 1, runner, learner.draw(now[3], runner.replay, runner.agent), table

        begin = (jnp.int32(0), runner, learner.draw(all_keys[0, 3], runner.replay, runner.agent), table)
        _, runner, _, table = jax.lax.while_loop(going, iterate, begin)
        return runner, packing.unpack(table)

    return chunk


def make_trainer(env: Env, config: Config = Config(), networks: Networks | None = None) -> Trainer:  # noqa: B008
    """Build a training run on an environment.

    Args:
        env: where it acts; `config.env` and `config.train.num_envs` are not read, the environment has its own.
        config: the settings.
        networks: an actor and one critic to use instead of the MLPs that `config.agent` describes.

    Raises:
        ConfigError: naming every setting that cannot be used.
        EnvError: if `env` is none.
    """
    check_env(env)
    validate(replace(config, train=replace(config.train, num_envs=env.num_envs)))
    if config.replay.hindsight != "none" and env.spec.goal_reward is None:
        raise ConfigError(
            f"replay.hindsight = {config.replay.hindsight!r} needs the reward of other goals, and {env.goal_problem}; "
            "choose 'none', or make the environment with a goal_reward of yours"
        )
    agent = ddpg(env.spec, config.agent, networks, env.num_envs, config.replay.discount)
    replay = make_replay(env.spec, config.replay, env.num_envs)
    exploration = make_exploration(agent.act, env.spec.action_dim, config.exploration)
    phases = make_phases(env, agent, replay, exploration, config)

    @jax.jit
    def reset(key: Key) -> tuple[Tree, Tree]:
        _, _, env_key = jax.random.split(key, 3)
        return env.reset(env_key)

    @jax.jit
    def begin(key: Key, env_state: Tree, obs: Tree) -> Runner:
        agent_key, exploration_key, _ = jax.random.split(key, 3)
        agent_state = agent.init(agent_key)
        return Runner(
            step=jnp.int32(0),
            fault=find_first_fault(obs),
            agent=agent_state,
            replay=replay.init(),
            exploration=exploration.init(exploration_key, agent_state.params.actor, env.num_envs),
            env=env_state,
            obs=obs,
            first=jnp.ones(env.num_envs, jnp.bool_),
            episode_return=jnp.zeros(env.num_envs, float_dtype()),
            episode_length=jnp.zeros(env.num_envs, jnp.int32),
        )

    def init(key: Key) -> Runner:
        # Two programs: outside of CPU, JAX's cache keeps none that calls Gymnasium, as a reset may.
        return begin(key, *reset(key))

    def run(key: Key, runner: Runner, num_steps: int = config.train.log_every) -> tuple[Runner, Metrics]:
        step = int(runner.step)
        phase = next((phase for phase in phases if step < phase.end), phases[-1])
        return phase.run(key, runner, num_steps)

    prefill = make_prefill(agent, replay, env.num_envs, config.replay)
    return Trainer(init, run, prefill, agent, replay)


def make_phases(env: Env, agent: Agent, replay: Replay, exploration: Exploration, config: Config) -> list[Phase]:
    """The stretches up to `start_steps`, to `update_after`, and from there on, each a program of its own.

    Before `start_steps` actions are random, before `update_after` nothing is learned: two counts that
    do not depend on each other, and no branch in the step for either.
    """
    train, random = config.train, uniform(env.spec.action_dim)
    length = min(-(-min(train.log_every, train.total_steps) // env.num_envs), LONGEST)
    begins = sorted({0, train.start_steps, train.update_after})
    ends = [*begins[1:], LARGEST_COUNT // env.num_envs * env.num_envs]

    def make_phase(begin: int, end: int) -> Phase:
        explore = random if begin < train.start_steps else exploration
        learns = begin >= train.update_after
        learner = make_learner(agent, replay, train.updates_per_step) if learns else idle_learner(replay)
        # One call from the program to Python takes less time than two, and pays where nothing is learned meanwhile.
        world = env if learns else env._replace(step_beside=None)
        step = make_step(world, agent, explore, learner, train.max_skipped_updates)
        chunk = jax.jit(make_chunk(step, learner, length), donate_argnums=1)

        def run(key: Key, runner: Runner, num_steps: int) -> tuple[Runner, Metrics]:
            steps = min(num_steps, end - int(runner.step))
            return chunk(key, runner, min(-(-steps // env.num_envs), length))

        return Phase(end, run)

    return [make_phase(begin, end) for begin, end in zip(begins, ends, strict=True)]
