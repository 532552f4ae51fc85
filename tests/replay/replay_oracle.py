"""A memory as plain Python lists, and a goal world whose every observation has a number of its own."""

import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.types import EnvSpec, Transition

GAMMA = 0.5  # powers and sums of eighths are exact in float32
GOAL = jax.ShapeDtypeStruct((2,), jnp.float32)


def goal_reward(achieved, desired):
    """Tells which two goals met."""
    return (achieved[..., 0] - 2 * desired[..., 1]) / 8


SPEC = EnvSpec(
    {
        "observation": jax.ShapeDtypeStruct((1,), jnp.float32),
        "achieved_goal": GOAL,
        "desired_goal": GOAL,
        "image": jax.ShapeDtypeStruct((2, 1), jnp.uint8),
    },
    -np.ones(1),
    np.ones(1),
    goal_reward,
)


def see(number, desired):
    """The observation of this number; achieved goals are positive, desired ones negative."""
    return {
        "observation": np.array([number], np.float32),
        "achieved_goal": np.array([number, number + 1], np.float32),
        "desired_goal": np.array([-desired, -desired], np.float32),
        "image": np.array([[number % 256], [number // 256 % 256]], np.uint8),
    }


class World:
    """N environments, each successor the next observation unless the episode ended."""

    def __init__(self, num_envs):
        self.count = 0
        self.obs = [self.fresh() for _ in range(num_envs)]

    def fresh(self):
        self.count += 1
        return see(self.count, self.count)

    def step(self, ends):
        """One step of all; `ends` tells for each what ends it: `T`, `C` (cut), `B` (both) or `.`."""
        obs, self.obs = self.obs, []
        successors = []
        for env, end in enumerate(ends):
            self.count += 1
            successors.append(see(self.count, -obs[env]["desired_goal"][0]))
            self.obs.append(successors[-1] if end == "." else self.fresh())
        reward = np.array([(o["observation"][0] % 37) / 8 for o in obs], np.float32)
        flags = (np.array([end in kind for end in ends]) for kind in ("TB", "CB"))
        return Transition(stack(obs), reward[:, None] / 16, reward, *flags, stack(successors))

    def cut(self, which):
        """These environments start anew."""
        self.obs = [self.fresh() if cut else obs for cut, obs in zip(which, self.obs, strict=True)]


def stack(obs):
    return {name: np.stack([one[name] for one in obs]) for name in obs[0]}


def row_of(tree, env):
    return jax.tree.map(lambda leaf: leaf[env], tree)


class Memory:
    """All steps so far, and the priorities of those that a ring of `length` rows still holds."""

    def __init__(self, config, num_envs):
        self.config, self.num_envs = config, num_envs
        self.length = config.capacity // num_envs
        self.kept_finals = 1 + max(1, self.length // 14) if config.compact else 2**31
        self.steps, self.episodes, self.started = [], [], [0] * num_envs
        self.finals, self.closed = [], [0] * num_envs
        self.largest = 1.0
        self.priority = np.zeros(self.length * num_envs)

    def add(self, step):
        time, row = len(self.steps), len(self.steps) % self.length
        if time:
            for env in range(self.num_envs):
                self.started[env] += self.ended(time - 1, env)
                self.closed[env] += self.closes(time - 1, env)
        self.steps.append([row_of(step, env) for env in range(self.num_envs)])
        self.episodes.append(list(self.started))
        self.finals.append(list(self.closed))
        self.priority[row * self.num_envs : (row + 1) * self.num_envs] = self.largest

    def cut(self, which):
        for env in np.flatnonzero(which) if self.steps else ():
            self.steps[-1][env] = self.steps[-1][env]._replace(truncated=np.bool_(True))

    def reprioritize(self, indices, td_error):
        powers = (np.abs(td_error) + 1e-6) ** self.config.priority_exponent
        places = [(self.time_of(index // self.num_envs), index % self.num_envs) for index in indices.tolist()]
        lost = np.array([self.cut_off(*place) for place in places])
        finite = np.isfinite(td_error)
        self.largest = max([self.largest, *powers[finite & ~lost]])
        powers = np.where(lost, 0, np.where(finite, powers, self.largest))
        for index in set(indices.tolist()):
            self.priority[index] = powers[indices == index].max()

    def ended(self, time, env):
        return bool(self.steps[time][env].terminated or self.steps[time][env].truncated)

    def time_of(self, row):
        """The time of the step that lies in this row."""
        return max(range(row, len(self.steps), self.length), default=None)

    def closes(self, time, env):
        """Whether the observation after the step is kept apart; where the task ended, only for other goals."""
        return self.ended(time, env) and (self.config.hindsight != "none" or not self.steps[time][env].terminated)

    def lost(self, time, env):
        """Whether the step ended an episode whose final observation was overwritten."""
        return self.closes(time, env) and self.finals[-1][env] - self.finals[time][env] >= self.kept_finals

    def cut_off(self, time, env):
        """Whether nothing can be learned from the step, since the value after it cannot be told."""
        return self.lost(time, env) and not self.steps[time][env].terminated

    def successor(self, time, env):
        step = self.steps[time][env]
        return step.obs if self.lost(time, env) else step.next_obs

    def later_in_episode(self, time, env):
        """Times from this one on that belong to the same episode."""
        episode = self.episodes[time][env]
        return [later for later in range(time, len(self.steps)) if self.episodes[later][env] == episode]

    def goal_times(self, time, env):
        """Where a new goal may come from, each time as likely as the others."""
        later = self.later_in_episode(time, env)
        whole = later if self.config.hindsight == "future" else later[-1:]
        first = next(t for t in range(time + 1) if self.episodes[t][env] == self.episodes[time][env])
        # Where the beginning of the episode was overwritten, only the step itself is certain.
        return whole if self.time_of(first % self.length) <= time else [time]

    def window(self, time, env):
        """Times of the steps that are folded into one."""
        times = []
        for later in range(time, min(time + self.config.n_step, len(self.steps))):
            if times and self.cut_off(later, env):
                break  # its observation is a known successor, what comes after it is not
            times.append(later)
            if self.ended(later, env):
                break
        return times

    def fold(self, time, env, goal=None):
        """(reward, discount, next_obs, known) of the window from here, in the light of a goal if one is given."""
        times, reward = self.window(time, env), 0.0
        for power, later in enumerate(times):
            step = self.steps[later][env]
            here = step.reward if goal is None else goal_reward(step.next_obs["achieved_goal"], goal)
            reward += GAMMA**power * float(here)
        last = self.steps[times[-1]][env]
        next_obs = self.successor(times[-1], env)
        known = not self.cut_off(times[-1], env)
        discount = 0.0 if last.terminated or not known else GAMMA ** len(times)
        return reward, discount, next_obs if goal is None else next_obs | {"desired_goal": goal}, known

    def check(self, sample):
        """Compare each row of a batch; returns how many had another goal."""
        batch, indices = jax.device_get(sample)
        relabelled = 0
        weights = self.check_draws(indices)
        for index, row, weight in zip(indices.tolist(), zip(*rows_of(batch), strict=True), weights, strict=True):
            obs, action, reward, discount, next_obs, given = row
            time, env = self.time_of(index // self.num_envs), index % self.num_envs
            assert time is not None, "a row that was never filled"
            step, goal = self.steps[time][env], None
            if not np.array_equal(obs["desired_goal"], step.obs["desired_goal"]):
                goal = obs["desired_goal"]
                relabelled += 1
                self.check_goal(time, env, goal)
            expected = self.fold(time, env, goal)
            assert (reward, discount) == expected[:2]
            same(obs, step.obs if goal is None else step.obs | {"desired_goal": goal})
            if discount or not self.config.compact or self.config.hindsight != "none":
                same(next_obs, expected[2])
            assert action == step.action
            if expected[3]:
                np.testing.assert_allclose(given, weight, rtol=1e-5)
            else:
                assert given == 0
        return relabelled

    def check_goal(self, time, env, goal):
        assert self.config.hindsight != "none"
        assert not self.lost(self.window(time, env)[-1], env)
        possible = [self.successor(later, env)["achieved_goal"].tolist() for later in self.goal_times(time, env)]
        assert goal.tolist() in possible

    def check_draws(self, indices):
        """One row from each part of the priorities; returns the weights."""
        if self.config.sampling == "uniform":
            return np.ones(len(indices))
        bounds = np.concatenate([[0], np.cumsum(self.priority)]) / self.priority.sum()
        parts = np.arange(len(indices) + 1) / len(indices)
        assert (self.priority[indices] > 0).all()
        assert (bounds[indices] <= parts[1:] + 1e-5).all()
        assert (bounds[indices + 1] >= parts[:-1] - 1e-5).all()
        share = min(1, len(self.steps) * self.num_envs / self.config.importance_steps)
        beta = self.config.importance_exponent + (1 - self.config.importance_exponent) * share
        weights = (min(len(self.steps), self.length) * self.num_envs * self.priority[indices]) ** -beta
        places = [(self.time_of(index // self.num_envs), index % self.num_envs) for index in indices.tolist()]
        return weights / max([w for w, place in zip(weights, places, strict=True) if not self.cut_off(*place)] or [1])


def rows_of(batch):
    """Each field of a batch as a list of its rows."""
    return [[row_of(field, row) for row in range(len(batch.reward))] for field in batch]


def same(tree, other):
    assert tree.keys() == other.keys()
    for name in tree:
        assert tree[name].dtype == other[name].dtype
        np.testing.assert_array_equal(tree[name], other[name])
