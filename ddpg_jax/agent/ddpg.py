"""The agent: how it starts, how it acts, and the one update of DDPG and TD3.

One update, on a batch (s, a, r, d, s') where d is the discount, 0 after a terminal step:

    a' = mu'(s') + clipped noise                                      critic_target
    y = r + d min_k Q'_k(s', a')                                      critic_target
    phi <- Adam step on the gradient of mean (Q_phi(s, a) - y)^2      update_critic
    theta <- Adam step on the gradient of -mean Q_phi(s, mu(s))       update_actor_and_targets
    (theta', phi') <- tau (theta, phi) + (1 - tau) (theta', phi')     update_actor_and_targets

The last two come every `policy_delay` updates. A step whose gradient is not finite is skipped (skipping.py).

Source: Lillicrap et al. (2015), algorithm 1; Fujimoto et al. (2018), algorithm 1.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from ddpg_jax.agent.custom_networks import check_networks
from ddpg_jax.agent.losses import actor_loss
from ddpg_jax.agent.mlp_networks import mlp_networks
from ddpg_jax.agent.networks import PARAMS, Networks, train_apply
from ddpg_jax.agent.normalization import Normalization, make_normalization, restart_returns
from ddpg_jax.agent.parts import Parts, make_parts
from ddpg_jax.agent.skipping import count_actor, count_critic, if_finite, no_skipped
from ddpg_jax.agent.state import Agent, AgentState, Params, UpdateInfo
from ddpg_jax.config import DDPGConfig, validate
from ddpg_jax.types import Array, Batch, EnvSpec, Key, Transition, Tree

SATURATED = 0.99


def ddpg(
    spec: EnvSpec,
    config: DDPGConfig = DDPGConfig(),  # noqa: B008
    networks: Networks | None = None,
    num_envs: int = 1,
    discount: float = 0.99,
) -> Agent:
    """Build the agent; TD3 is `num_critics=2, policy_delay=2, target_noise=0.2` of the same update.

    Args:
        spec: the environment's spaces.
        config: the settings.
        networks: an actor and one critic to use instead of the MLPs that `config` describes.
        num_envs: environments N whose experience is observed; read where rewards are normalised.
        discount: gamma of their returns; the update takes its own from the batch.

    Raises:
        ConfigError: naming every setting that cannot be used; or the network of `networks` whose output is not [B, A]
            (the actor's) or [B] (the critic's; [B, L] with `num_atoms` L), with its shape.

    Source: Lillicrap et al. (2015), algorithm 1; Fujimoto et al. (2018), algorithm 1.
    """
    validate(config)
    normalization = make_normalization(spec, config, num_envs, discount)
    networks = check_networks(networks, spec, config) if networks else mlp_networks(spec, config)
    parts = make_parts(config, networks, normalization)
    delayed_update = every(config.policy_delay, partial(update_actor_and_targets, parts))

    def update(key: Key, state: AgentState, batch: Batch) -> tuple[AgentState, UpdateInfo]:
        state, info = update_critic(parts, key, state, batch)
        state, info = delayed_update(state, info, batch)
        return state._replace(step=state.step + 1), info

    return Agent(
        init=partial(init, parts),
        act=parts.actor.apply,
        update=update,
        q_values=partial(q_values, parts),
        observe=partial(observe, normalization),
        reward_limit=lambda state: normalization.limit(state.params.critic),
    )


def init(parts: Parts, key: Key) -> AgentState:
    """Fresh networks, targets that equal them, and optimisers that have seen no gradient."""
    actor_key, critic_key = jax.random.split(key)
    # Copies: a network of a user's own may keep its arrays, which are lost where a state is donated.
    params = jax.tree.map(jnp.copy, Params(parts.actor.init(actor_key), parts.critic.init(critic_key)))
    opt_state = Params(
        parts.optimizer.actor.init(params.actor[PARAMS]), parts.optimizer.critic.init(params.critic[PARAMS])
    )
    target_params = jax.tree.map(jnp.copy, params)
    return AgentState(params, target_params, opt_state, jnp.int32(0), no_skipped(), parts.target_update.init())


def critic_target(parts: Parts, key: Key, state: AgentState, batch: Batch) -> Array:
    """Y = r + d Q'(s', mu'(s') + noise), `[B]`, or the distribution of it, `[B, L]`."""
    next_action = parts.smooth(key, parts.actor.apply(state.target_params.actor, batch.next_obs))
    next_output = parts.critic.apply(state.target_params.critic, batch.next_obs, next_action)
    reward = parts.normalization.reward(state.params.critic, batch.reward)
    return parts.head.target(key, reward, batch.discount, next_output)


def update_critic(parts: Parts, key: Key, state: AgentState, batch: Batch) -> tuple[AgentState, UpdateInfo]:
    """One step of the critics towards the target: phi <- phi - Adam(grad mean (Q(s, a) - y)^2)."""
    variables, opt_state = state.params.critic, state.opt_state.critic
    target = critic_target(parts, key, state, batch)

    def loss(params: Tree) -> tuple[Array, tuple[Array, Tree]]:
        output, new_variables = train_apply(parts.critic, {**variables, PARAMS: params}, batch.obs, batch.action)
        return parts.head.loss(output, target, batch.weight), (parts.head.value(output[0]), new_variables)

    (loss_value, (q, new_variables)), grads = jax.value_and_grad(loss, has_aux=True)(variables[PARAMS])
    norm = parts.leaves.global_norm(grads)
    finite = jnp.isfinite(norm)

    def descend() -> tuple[Tree, Tree]:
        params, new_opt_state = parts.optimizer.critic.descend(grads, norm, opt_state, variables[PARAMS])
        return {**new_variables, PARAMS: params}, new_opt_state

    critic, critic_opt_state = if_finite(finite, descend, (variables, opt_state))
    state = state._replace(
        params=state.params._replace(critic=critic),
        opt_state=state.opt_state._replace(critic=critic_opt_state),
        skipped=count_critic(state.skipped, finite),
    )
    return state, critic_info(parts, variables, loss_value, q, parts.head.mean(target), norm)


def critic_info(parts: Parts, variables: Tree, loss_value: Array, q: Array, target: Array, norm: Array) -> UpdateInfo:
    """The report of the critics' step; the actor's figures are nan until it learns.

    Args:
        parts: of the agent.
        variables: of the critics, before the step.
        loss_value: scalar.
        q: of the first critic, `[B]`.
        target: what y expects, `[B]`.
        norm: of the gradient.
    """
    nan = jnp.full_like(loss_value, jnp.nan)
    mean_q, mean_target = (parts.normalization.value(variables, values.mean()) for values in (q, target))
    return UpdateInfo(
        critic_loss=loss_value,
        actor_loss=nan,
        q=mean_q,
        target=mean_target,
        td_error=jnp.abs(q - target),
        # Parameters of a network of a user's own may be of a shorter float than the rest.
        critic_grad_norm=norm.astype(loss_value.dtype),
        actor_grad_norm=nan,
        saturation=nan,
    )


def update_actor_and_targets(
    parts: Parts, state: AgentState, info: UpdateInfo, batch: Batch
) -> tuple[AgentState, UpdateInfo]:
    """One step of the actor up the first critic, theta <- theta + Adam(grad mean Q(s, mu(s))), and of the targets."""
    variables, opt_state = state.params.actor, state.opt_state.actor

    def loss(params: Tree) -> tuple[Array, tuple[Array, Tree]]:
        action, new_variables = train_apply(parts.actor, {**variables, PARAMS: params}, batch.obs)
        q = parts.head.value(parts.first_critic.apply(state.params.critic, batch.obs, action))
        return actor_loss(q), (action, new_variables)

    (loss_value, (action, new_variables)), grads = jax.value_and_grad(loss, has_aux=True)(variables[PARAMS])
    norm = parts.leaves.global_norm(grads)
    critic_finite = jnp.isfinite(info.critic_grad_norm)
    finite = jnp.isfinite(norm) & critic_finite

    def descend() -> tuple[Tree, Tree, Params]:
        params, new_opt_state = parts.optimizer.actor.descend(grads, norm, opt_state, variables[PARAMS])
        actor = {**new_variables, PARAMS: params}
        return actor, new_opt_state, parts.target_update.update(state, state.params._replace(actor=actor))

    actor, actor_opt_state, target_params = if_finite(finite, descend, (variables, opt_state, state.target_params))
    state = state._replace(
        params=state.params._replace(actor=actor),
        target_params=target_params,
        opt_state=state.opt_state._replace(actor=actor_opt_state),
        skipped=count_actor(state.skipped, critic_finite, finite),
        copy_due=parts.target_update.copy_due(state, finite),
    )
    saturation = jnp.mean(jnp.abs(action) > SATURATED, dtype=loss_value.dtype)
    norm = norm.astype(loss_value.dtype)
    return state, info._replace(actor_loss=loss_value, actor_grad_norm=norm, saturation=saturation)


def q_values(parts: Parts, variables: Tree, obs: Tree, action: Array) -> Array:
    """Q of each critic in the environment's unit, `[K, B]`."""
    return parts.normalization.value(variables, parts.head.value(parts.critic.apply(variables, obs, action)))


def observe(normalization: Normalization, state: AgentState, transition: Transition) -> AgentState:
    """The state with running statistics updated by a step of experience, in all four networks alike."""
    statistics = normalization.observe(state.params.critic, transition)

    def updated(variables: Tree) -> Tree:
        # Each network holds arrays of its own, or the state could not be donated.
        own = {name: jax.tree.map(jnp.copy, statistics[name]) for name in statistics if name in variables}
        return {**variables, **own}

    params, target_params = (Params(*map(updated, side)) for side in (state.params, state.target_params))
    return state._replace(params=params, target_params=target_params)


def restart_episodes(state: AgentState, which: Array) -> AgentState:
    """The state where the episodes of these environments, `[N]` bool, begin anew: their returns so far are 0."""

    def restarted(params: Params) -> Params:
        return Params(*[restart_returns(variables, which) for variables in params])

    return state._replace(params=restarted(state.params), target_params=restarted(state.target_params))


def every(period: int, update: Callable) -> Callable:
    """`update(state, info, batch)` on every `period`-th step, `(state, info)` unchanged on the others."""
    if period == 1:
        return update

    def delayed(state: AgentState, info: UpdateInfo, batch: Batch) -> tuple[AgentState, UpdateInfo]:
        due = (state.step + 1) % period == 0
        return jax.lax.cond(due, lambda: update(state, info, batch), lambda: (state, info))

    return delayed
