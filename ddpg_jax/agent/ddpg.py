"""The agent: how it starts, how it acts, and the one update of DDPG and TD3.

Source: Lillicrap et al. (2015), algorithm 1; Fujimoto et al. (2018), algorithm 1.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from ddpg_jax.agent.losses import actor_loss, critic_loss, smooth_target_action, td_target
from ddpg_jax.agent.networks import Networks, ensemble, member, mlp_networks
from ddpg_jax.agent.optimizer import descend, global_norm, make_optimizer
from ddpg_jax.config import DDPGConfig, validate
from ddpg_jax.types import Array, Batch, EnvSpec, Key, Tree

SATURATED = 0.99


class Params(NamedTuple):
    """Parameters of the actor and of the critics; the critics' are stacked, `[K, ...]`."""

    actor: Tree
    critic: Tree


class Skipped(NamedTuple):
    """Updates that were not made, since a gradient was not finite.

    Attributes:
        in_a_row: since the last update in which actor and critic both learned, int32 scalar.
        total: since the start, int32 scalar.
    """

    in_a_row: Array
    total: Array


class AgentState(NamedTuple):
    """Everything that an update changes.

    Attributes:
        params: what is learned.
        target_params: what follows it slowly.
        opt_state: the optimisers' states.
        step: updates so far, also those that were skipped, int32 scalar.
        skipped: how many were.
    """

    params: Params
    target_params: Params
    opt_state: Params
    step: Array
    skipped: Skipped


class UpdateInfo(NamedTuple):
    """What an update reports; the actor's figures are nan where it was not its turn (policy_delay).

    Attributes:
        critic_loss: scalar.
        actor_loss: scalar.
        q: mean of the first critic over the batch, scalar.
        target: mean TD target, scalar.
        td_error: |Q - y| of the first critic, `[B]`.
        critic_grad_norm: global norm before clipping, scalar.
        actor_grad_norm: global norm before clipping, scalar.
        saturation: fraction of the actor's outputs beyond 0.99, scalar.
    """

    critic_loss: Array
    actor_loss: Array
    q: Array
    target: Array
    td_error: Array
    critic_grad_norm: Array
    actor_grad_norm: Array
    saturation: Array


class Agent(NamedTuple):
    """DDPG as four pure functions.

    Attributes:
        init: `init(key) -> AgentState`.
        act: `act(actor_params, obs [B, O]) -> action [B, A]` in [-1, 1], greedy.
        update: `update(key, AgentState, Batch) -> (AgentState, UpdateInfo)`. Where the norm of the critic's
            gradient is not finite, nothing is learned; where only the actor's is not, actor and targets stay.
        q_values: `q_values(critic_params, obs [B, O], action [B, A]) -> q [K, B]`, of each critic.
    """

    init: Callable[[Key], AgentState]
    act: Callable[[Tree, Tree], Array]
    update: Callable[[Key, AgentState, Batch], tuple[AgentState, UpdateInfo]]
    q_values: Callable[[Tree, Tree, Array], Array]


def ddpg(spec: EnvSpec, config: DDPGConfig = DDPGConfig(), networks: Networks | None = None) -> Agent:  # noqa: B008
    """Build the agent; TD3 is `num_critics=2, policy_delay=2, target_noise=0.2` of the same update.

    Args:
        spec: the environment's spaces.
        config: the settings.
        networks: an actor and one critic to use instead of the MLPs that `config` describes.

    Raises:
        ConfigError: naming every setting that cannot be used.
    """
    validate(config)
    actor, one_critic = networks or mlp_networks(spec, config)
    critic = ensemble(one_critic, config.num_critics)
    optimizer = Params(
        make_optimizer(config.actor_lr, config, period=config.policy_delay),
        make_optimizer(config.critic_lr, config, config.critic_weight_decay),
    )
    smooth = smoothing(config)

    def init(key: Key) -> AgentState:
        actor_key, critic_key = jax.random.split(key)
        params = Params(actor.init(actor_key), critic.init(critic_key))
        opt_state = Params(optimizer.actor.init(params.actor), optimizer.critic.init(params.critic))
        skipped = Skipped(jnp.int32(0), jnp.int32(0))
        return AgentState(params, jax.tree.map(jnp.copy, params), opt_state, jnp.int32(0), skipped)

    def update_critic(key: Key, state: AgentState, batch: Batch) -> tuple[AgentState, UpdateInfo]:
        next_action = smooth(key, actor.apply(state.target_params.actor, batch.next_obs))
        next_q = critic.apply(state.target_params.critic, batch.next_obs, next_action)
        target = td_target(batch.reward, batch.discount, next_q)

        def loss(params: Tree) -> tuple[Array, Array]:
            q = critic.apply(params, batch.obs, batch.action)
            return critic_loss(q, target, batch.weight), q[0]

        (value, q), grads = jax.value_and_grad(loss, has_aux=True)(state.params.critic)
        old, norm = (state.params.critic, state.opt_state.critic), global_norm(grads)
        finite = jnp.isfinite(norm)

        def learn() -> tuple[Tree, Tree]:
            return descend(optimizer.critic, grads, state.opt_state.critic, state.params.critic)

        # A condition costs nothing on CPU, while a select of each leaf slows Adam's kernels (benchmarks/NOTES.md).
        params, opt_state = jax.lax.cond(finite, learn, lambda: old)
        state = state._replace(
            params=state.params._replace(critic=params),
            opt_state=state.opt_state._replace(critic=opt_state),
            skipped=Skipped(state.skipped.in_a_row + ~finite, state.skipped.total + ~finite),
        )
        nan = jnp.full_like(value, jnp.nan)
        error = jnp.abs(q - target)
        return state, UpdateInfo(value, nan, q.mean(), target.mean(), error, norm, nan, nan)

    def update_actor_and_targets(state: AgentState, info: UpdateInfo, batch: Batch) -> tuple[AgentState, UpdateInfo]:
        first_critic = member(state.params.critic, 0)

        def loss(params: Tree) -> tuple[Array, Array]:
            action = actor.apply(params, batch.obs)
            return actor_loss(one_critic.apply(first_critic, batch.obs, action)), action

        (value, action), grads = jax.value_and_grad(loss, has_aux=True)(state.params.actor)
        old, norm = (state.params.actor, state.opt_state.actor, state.target_params), global_norm(grads)
        critic_learned = jnp.isfinite(info.critic_grad_norm)
        finite = jnp.isfinite(norm) & critic_learned
        failed = critic_learned & ~finite  # an update that both fail is one

        def learn() -> tuple[Tree, Tree, Params]:
            params, opt_state = descend(optimizer.actor, grads, state.opt_state.actor, state.params.actor)
            learned = state.params._replace(actor=params)
            return params, opt_state, optax.incremental_update(learned, state.target_params, config.tau)

        params, opt_state, target_params = jax.lax.cond(finite, learn, lambda: old)
        in_a_row, total = state.skipped
        state = state._replace(
            params=state.params._replace(actor=params),
            target_params=target_params,
            opt_state=state.opt_state._replace(actor=opt_state),
            skipped=Skipped(jnp.where(finite, 0, in_a_row + failed), total + failed),
        )
        saturation = jnp.mean(jnp.abs(action) > SATURATED, dtype=value.dtype)
        return state, info._replace(actor_loss=value, actor_grad_norm=norm, saturation=saturation)

    delayed_update = every(config.policy_delay, update_actor_and_targets)

    def update(key: Key, state: AgentState, batch: Batch) -> tuple[AgentState, UpdateInfo]:
        state, info = update_critic(key, state, batch)
        state, info = delayed_update(state, info, batch)
        return state._replace(step=state.step + 1), info

    return Agent(init, actor.apply, update, critic.apply)


def smoothing(config: DDPGConfig) -> Callable[[Key, Array], Array]:
    """Target policy smoothing as a function of `(key, action)`; the identity without noise."""
    if not config.target_noise:
        return lambda key, action: action
    return lambda key, action: smooth_target_action(key, action, config.target_noise, config.target_noise_clip)


def every(period: int, update: Callable) -> Callable:
    """`update(state, info, batch)` on every `period`-th step, `(state, info)` unchanged on the others."""
    if period == 1:
        return update

    def delayed(state: AgentState, info: UpdateInfo, batch: Batch) -> tuple[AgentState, UpdateInfo]:
        due = (state.step + 1) % period == 0
        return jax.lax.cond(due, lambda: update(state, info, batch), lambda: (state, info))

    return delayed
