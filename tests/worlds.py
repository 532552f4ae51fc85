"""Environments whose every transition, or whose value, is known beforehand."""

from collections.abc import Callable
from typing import NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax import Env, EnvSpec, Timestep
from ddpg_jax.types import Array, Tree


def probe(
    reward: Callable, length: int = 1, obs: Callable = lambda time, sign: 0.0 * time, truncates: bool = False
) -> Callable[..., Env]:
    """A compiled world: `reward(obs, action)`, episodes of a fixed length, an end of one kind.

    `obs(time, sign)` makes the observation from the step in the episode and a sign drawn at its start.
    """
    spec = EnvSpec(jax.ShapeDtypeStruct((1,), jnp.float32), np.array([-1.0]), np.array([1.0]))

    def observe(state):
        return jnp.stack([jnp.asarray(obs(*state), jnp.float32)], axis=-1)

    def make(num_envs: int = 1) -> Env:
        def draw(key):
            return jnp.where(jax.random.bernoulli(key, shape=(num_envs,)), 1.0, -1.0)

        def reset(key):
            state = (jnp.zeros(num_envs), draw(key))
            return state, observe(state)

        def step(key, state, action):
            time, sign = state
            value = jnp.asarray(reward(observe(state)[:, 0], action[:, 0]), jnp.float32)
            over = time + 1 >= length
            successor = (time + 1, sign)
            begun = (jnp.where(over, 0, time + 1), jnp.where(over, draw(key), sign))
            never = jnp.zeros(num_envs, bool)
            ends = (never, over) if truncates else (over, never)
            return begun, observe(begun), Timestep(value, *ends, observe(successor), jnp.bool_(True))

        return Env(spec, num_envs, reset, step)

    return make


class Scripted(gymnasium.Env):
    """A world that says in its observation who it is: [seed, episode step], with ends by script.

    The episode ends at `3 + seed % 3` steps: by termination, truncation or both at once, by `seed % 3`.
    """

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space = gymnasium.spaces.Box(np.array([-1.0, 0.0]), np.array([3.0, 0.5]), dtype=np.float64)

    def reset(self, *, seed=None, options=None):
        self.episode, self.time = seed % 1000, 0
        return self.observe(), {}

    def observe(self):
        return np.array([self.episode, self.time], np.float64)

    def step(self, action):
        self.action = action
        self.time += 1
        over = self.time >= 3 + self.episode % 3
        terminated, truncated = over and self.episode % 3 != 1, over and self.episode % 3 != 0
        return self.observe(), self.time + float(action.sum()), terminated, truncated, {}


class Faulty(Scripted):
    """Does `fault()` in its fifth step, whatever the episode."""

    def __init__(self, fault):
        self.fault, self.steps = fault, 0

    def step(self, action):
        self.steps += 1
        if self.steps == 5:
            self.fault()
        return super().step(action)


class Seeing(Scripted):
    """The same world, seen as a Dict in a Dict, of three dtypes."""

    observation_space = gymnasium.spaces.Dict(
        joints=gymnasium.spaces.Dict(
            time=gymnasium.spaces.Box(-np.inf, np.inf, (), np.float64), who=gymnasium.spaces.Box(0, 1, (10,), bool)
        ),
        camera=gymnasium.spaces.Box(0, 255, (2, 3, 1), np.uint8),
    )

    def observe(self):
        who = np.arange(10) == self.episode % 10
        camera = np.full((2, 3, 1), (self.episode + self.time) % 256, np.uint8)
        return {"camera": camera, "joints": {"who": who, "time": np.float64(self.time)}, "not in the space": None}


# A point on a plane that shall go somewhere: its step, how near is there, and steps of an episode.
PACE, NEAR, LENGTH = 0.2, 0.15, 20


class Reach(gymnasium.Env):
    """The point as a goal environment with Gymnasium's interface: reward 0 where it is near its goal, -1 elsewhere."""

    observation_space = gymnasium.spaces.Dict(
        {
            name: gymnasium.spaces.Box(-2, 2, (2,), np.float64)
            for name in ("observation", "achieved_goal", "desired_goal")
        }
    )
    action_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.goal, self.time = np.zeros(2), self.np_random.uniform(-1, 1, 2), 0
        return self.observe(), {}

    def observe(self):
        return {"observation": self.place, "achieved_goal": self.place, "desired_goal": self.goal}

    def step(self, action):
        self.time += 1
        self.place = np.clip(self.place + PACE * action, -1, 1)
        reward = float(self.compute_reward(self.place, self.goal, {}))
        return self.observe(), reward, False, self.time >= LENGTH, {"is_success": reward == 0}

    def compute_reward(self, achieved_goal, desired_goal, info):
        return -(np.linalg.norm(achieved_goal - desired_goal, axis=-1) > NEAR).astype(np.float32)


def goal_world(num_envs: int = 1) -> Env:
    """`Reach` as a compiled world."""
    point = jax.ShapeDtypeStruct((2,), jnp.float32)

    def goal_reward(achieved, desired):
        return -(jnp.linalg.norm(achieved - desired, axis=-1) > NEAR).astype(jnp.float32)

    def observe(state):
        place, goal, _ = state
        return {"observation": place, "achieved_goal": place, "desired_goal": goal}

    def reset(key):
        goals = jax.random.uniform(key, (num_envs, 2), minval=-1, maxval=1)
        state = (jnp.zeros((num_envs, 2)), goals, jnp.zeros(num_envs, jnp.int32))
        return state, observe(state)

    def step(key, state, action):
        place, goal, time = state
        moved = jnp.clip(place + PACE * action, -1, 1)
        over = time + 1 >= LENGTH
        successor = (moved, goal, time + 1)
        choose = lambda new, old: jnp.where(over.reshape(-1, *[1] * (new.ndim - 1)), new, old)  # noqa: E731
        begun = jax.tree.map(choose, reset(key)[0], successor)
        reward, never = goal_reward(moved, goal), jnp.zeros(num_envs, bool)
        return begun, observe(begun), Timestep(reward, never, over, observe(successor), jnp.bool_(True))

    obs = dict.fromkeys(("observation", "achieved_goal", "desired_goal"), point)
    return Env(EnvSpec(obs, -np.ones(2), np.ones(2), goal_reward), num_envs, reset, step)


class Progress(NamedTuple):
    """Where a learner stands with its environments; `count` numbers its steps."""

    state: Tree
    obs: Array
    episode_length: Array
    count: Array


def make_advance(env: Env) -> Callable:
    """Build `advance(progress or None, num_steps) -> (Progress, [Timestep])`, with actions of the step's number alone.

    As in training, a step with `alive` False or a reward that is not finite is not taken, and is the last.
    """

    @jax.jit
    def step(progress):
        key = jax.random.fold_in(jax.random.key(5), progress.count)
        action = jax.random.uniform(key, (env.num_envs, env.spec.action_dim), minval=-1, maxval=1)
        state, obs, timestep = env.step(key, progress.state, action)
        lengths = jnp.where(timestep.terminated | timestep.truncated, 0, progress.episode_length + 1)
        return Progress(state, obs, lengths, progress.count + 1), timestep

    @jax.jit
    def begin():
        return Progress(*env.reset(jax.random.key(3)), jnp.zeros(env.num_envs, jnp.int32), jnp.int32(0))

    def advance(progress, num_steps):
        progress, timesteps = begin() if progress is None else progress, []
        for _ in range(num_steps):
            after, timestep = step(progress)
            timesteps.append(timestep)
            if not (timestep.alive and jnp.isfinite(timestep.reward).all()):
                break
            progress = after
        return jax.device_get((progress, timesteps))

    return advance
