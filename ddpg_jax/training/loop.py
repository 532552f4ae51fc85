"""The one loop: act, step the environments while the agent learns, store; a chunk of it is one compiled program.

Action t is chosen on the parameters before update t, and update t learns from batches drawn before step t is
stored. So neither waits for the other: one processor learns while another steps the environment, and
parameters act one step later. Python runs only between chunks. Gymnasium, gymnax and an environment
of your own differ in the `Env` that is plugged in, and in nothing else.

What runs it: trainer.py (a run as functions) and phases.py (random steps, then a policy; updates from some step on).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from ddpg_jax.agent.exploration import Exploration
from ddpg_jax.agent.state import Agent, AgentState
from ddpg_jax.envs.protocol import Env
from ddpg_jax.packing import Rows, put_row
from ddpg_jax.training.faults import Fault, all_finite, find_fault, learning_fault
from ddpg_jax.training.learner import Learner, no_update
from ddpg_jax.training.reports import count_step, make_table
from ddpg_jax.training.runner import Metrics, Runner
from ddpg_jax.types import Array, Key, Transition, Tree

Carry = tuple[Array, Runner, Tree, Rows]


def make_step(env: Env, agent: Agent, exploration: Exploration, learner: Learner, max_skipped_updates: int) -> Callable:
    """Build one step of the loop, `step(keys [3], Runner, samples) -> (Runner, Metrics)`.

    1. Act: the policy's action, with exploration noise.
    2. Step the environments; beside it,
    3. update the agent, on the samples that were drawn before this step (`Learner.draw`).
    4. Check that every number the environments gave is finite.
    5. Store the transition in the replay memory, and the samples' TD errors.
    6. Count the step, and the episodes that ended in it.

    After `max_skipped_updates` skipped updates in a row the step is complete, and the last.
    """

    def step(keys: Key, runner: Runner, samples: Tree) -> tuple[Runner, Metrics]:
        act_key, env_key, update_key = keys
        action, exploration_state = exploration.act(
            act_key, runner.exploration, runner.agent.params.actor, runner.obs, runner.first
        )

        def update(wait: Callable[[Tree], Tree]) -> tuple[tuple[AgentState, Tree], Array]:
            agent_state, infos = learner.update(update_key, runner.agent, wait(samples))
            return (agent_state, infos), learner.token(infos)

        (agent_state, infos), (env_state, obs, timestep) = env.step_while(env_key, runner.env, action, update)
        transition = Transition(
            runner.obs, action, timestep.reward, timestep.terminated, timestep.truncated, timestep.next_obs
        )
        # The update and the noise stay, also beside a step that failed: to go back, the parameters (and those that
        # noise has perturbed) would be copied at each step.
        updated = runner._replace(
            agent=agent_state,
            exploration=exploration_state,
            fault=learning_fault(agent_state.skipped, max_skipped_updates),
        )
        healthy = all_finite(action, obs, timestep)

        def store() -> Runner:
            return updated._replace(
                agent=agent.observe(agent_state, transition),
                replay=learner.store(runner.replay, transition, samples, infos),
                env=env_state,
                obs=obs,
            )

        def discard() -> Runner:
            return updated._replace(fault=find_fault(action, obs, timestep))

        # Two conditions: out of one, more kernels would be ready at a time than XLA gives to a single thread.
        stored = jax.lax.cond(healthy, store, discard)
        info = jax.lax.cond(healthy, lambda: learner.report(infos), lambda: no_update(()))
        return count_step(stored, timestep, healthy, info)

    return step


def make_chunk(step: Callable, learner: Learner, length: int) -> Callable[..., tuple[Runner, Metrics]]:
    """Build `chunk(key, Runner, num_iterations) -> (Runner, Metrics)`, a loop of at most `length` steps.

    Args:
        step: the loop's step.
        learner: what draws the batches of each step before it.
        length: rows of the report; those of steps beyond `num_iterations`, or after a fault, stay empty.
    """

    def chunk(key: Key, runner: Runner, num_iterations: Array) -> tuple[Runner, Metrics]:
        step_keys, draw_key = chunk_keys(key, runner, length)
        packing, table = make_table(runner, length)

        def condition(carry: Carry) -> Array:
            index, runner, _, _ = carry
            return (index < num_iterations) & (runner.fault == Fault.HEALTHY)

        def body(carry: Carry) -> Carry:
            index, runner, samples, table = carry
            keys = jax.lax.dynamic_index_in_dim(step_keys, index, keepdims=False, allow_negative_indices=False)
            runner, metrics = step(keys[:3], runner, samples)
            table = put_row(table, index, packing.pack(metrics))
            return index + 1, runner, learner.draw(keys[3], runner.replay, runner.agent), table

        start = (jnp.int32(0), runner, learner.draw(draw_key, runner.replay, runner.agent), table)
        _, runner, _, table = jax.lax.while_loop(condition, body, start)
        return runner, packing.unpack(table)

    return chunk


def chunk_keys(key: Key, runner: Runner, length: int) -> tuple[Key, Key]:
    """Keys of each step, `[length, 4]`: three of its own and the one by which it draws for the next; and the first's.

    All at once: on CPU one of them alone takes longer than a step of an environment.
    """
    counts = runner.step + jnp.arange(length + 1) * runner.first.shape[0]
    keys = jax.vmap(lambda count: jax.random.split(jax.random.fold_in(key, count), 4))(counts)
    return jnp.concatenate([keys[:-1, :3], keys[1:, 3:]], axis=1), keys[0, 3]
