"""Real environments on the host: stepped for the compiled loop, cut at their step limit, and brought back.

An environment cannot be copied, but its running episode can be played again: a reset with the same
seed and the same actions. The host keeps these actions, and compares where they lead.
"""

import copy
import sys
from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any, NamedTuple

import gymnasium
import jax
import numpy as np

from ddpg_jax.envs.gymnasium.factory import make_envs
from ddpg_jax.envs.gymnasium.interface import read_reset, read_step
from ddpg_jax.envs.gymnasium.observations import check_finite, make_read, make_write
from ddpg_jax.envs.gymnasium.spaces import make_cast, read_spec
from ddpg_jax.envs.gymnasium.worker import Worker, close, describe_error
from ddpg_jax.envs.protocol import EnvError, Restored


class Episodes(NamedTuple):
    """Which episode each environment is in; with it, an episode's seed is known.

    Attributes:
        run_seed: drawn from the key of `reset`, uint32 scalar.
        number: episodes begun before this one, int32 `[N]`.
    """

    run_seed: Any
    number: Any


def episode_seed(run_seed: int, env: int, episode: int) -> int:
    """Seed of one episode, the same whenever and wherever it is played.

    Args:
        run_seed: of the whole run.
        env: index of the environment.
        episode: number of the episode in that environment.

    Returns:
        An integer in [0, 2^31).
    """
    return int(np.random.SeedSequence((run_seed, env, episode)).generate_state(1)[0] >> 1)


class Host:
    """Owns N environments and steps them, writing into the arrays that the compiled loop reads.

    Attributes:
        num_envs: N.
        error: what stopped the environments, until a reset or `restore`.
        failed: index of the environment that did.
    """

    def __init__(self, factory: Callable[[], gymnasium.Env], num_envs: int, max_steps: int | None = None):
        self.factory, self.num_envs = factory, num_envs
        self.envs = make_envs(factory, num_envs)
        self.spec = read_spec(self.envs[0])
        self.action_space: Any = self.envs[0].action_space
        self.cast = make_cast(self.action_space)
        self.read, self.write = make_read(self.spec.obs), make_write(self.spec.obs)
        # Those that work while another is waited for.
        self.remote: Any = range(num_envs if isinstance(self.envs[0], Worker) else 0)
        self.num_leaves = len(jax.tree.leaves(self.spec.obs))
        self.set_limit(max_steps)
        self.clear_records()

    def set_limit(self, max_steps: int | None) -> None:
        """Truncate episodes after so many steps; None leaves them to end by themselves."""
        (one,) = self.action_bytes([1])
        self.max_action_bytes = sys.maxsize if max_steps is None else max_steps * one  # bytes of an episode's actions

    def clear_records(self) -> None:
        """Know of no episode and of no failure."""
        self.error: EnvError | None = None
        self.failed: int | None = None
        self.current_env = 0  # index of the environment that is reset or stepped
        self.episodes = [(0, 0)] * len(self.envs)  # number and seed of each running episode
        self.previous_episodes = [(0, 0)] * len(self.envs)  # and of the one before it
        self.actions = [bytearray() for _ in self.envs]  # of each running episode
        self.previous_actions = [bytearray() for _ in self.envs]  # of the episode before it: its end may be rejected

    def share(self, max_steps: int | None = None) -> "Host":
        """A host of the same environments that keeps episodes of its own; `restore` brings back those of this one."""
        other = copy.copy(self)  # with the same list: where one makes an environment anew, the other has it too
        other.set_limit(max_steps)
        other.clear_records()
        return other

    def reset(self, outputs: Sequence[np.ndarray], run_seed: Any) -> None:
        """Start episode 0 in every environment; never raises.

        Args:
            outputs: to be written: first observations, `[N, O]` for each leaf; and which episode each environment is
                in, `[N]`, so that no step can come before.
            run_seed: uint32 scalar.
        """
        outputs[-1].fill(0)
        failed, self.error, self.failed = self.failed, None, None
        try:
            for index in range(len(self.envs)):
                self.current_env = index
                start_episode = self.restart_env if index == failed else self.start_episode
                self.write(outputs, index, start_episode(index, run_seed, 0))
        except BaseException as error:  # also what asks to exit: whatever is raised from here ends the program
            if self.error is None:  # as it is where an environment cannot be made anew
                self.record_failure(error, self.current_env)

    def step(self, outputs: Sequence[np.ndarray], run_seed: Any, number: Any, action: Any) -> None:
        """Step every environment, and start the next episode where one ended; never raises.

        Args:
            outputs: to be written: the true successors, `[N, O]` for each leaf; the first observations of episodes
                that begin, the same, and nothing where none does; rewards, terminated and truncated, `[N]`; and, a
                scalar, whether all is well.
            run_seed: uint32 scalar.
            number: which episode each environment is in, int32 `[N]`.
            action: in the environment's unit, `[N, *action_space.shape]`.
        """
        alive = self.error is None
        if alive:
            try:
                # A copy: an environment may keep its action, and these bytes are XLA's.
                alive = self.step_each(outputs, run_seed, number, self.cast(action))
            except BaseException as error:  # also what asks to exit: whatever is raised from here ends the program
                self.record_failure(error, self.current_env)
                alive = False
        outputs[-1][()] = alive

    def step_each(self, outputs: Sequence[np.ndarray], run_seed: Any, number: Any, actions: np.ndarray) -> bool:
        """Step one environment after the other; returns whether all is well, False where an action is not finite."""
        # The sum is finite if the actions are, but for those near the greatest number; known in a fifth of the time.
        if not (isfinite(sum(actions.ravel().tolist())) or np.isfinite(actions).all()):
            return self.reject(actions)
        rewards, terminations, truncations = outputs[-4:-1]
        for index in self.remote:
            self.envs[index].send(actions[index, ...])
        for index, env in enumerate(self.envs):
            self.current_env, own_action = index, actions[index, ...]
            self.actions[index].extend(own_action)  # before the step, which may change it
            successor, reward, terminated, truncated = read_step(env.step(own_action))
            self.write(outputs, index, successor)
            truncated = truncated or len(self.actions[index]) >= self.max_action_bytes
            if terminated or truncated:
                first = self.start_episode(index, run_seed, int(np.asarray(number)[index]) + 1)
                self.write(outputs[self.num_leaves :], index, first)
            rewards[index], terminations[index], truncations[index] = reward, terminated, truncated
        return True

    def reject(self, actions: np.ndarray) -> bool:
        """Keep an action from the environments, none of which has failed; returns that not all is well."""
        index = int(np.argmin(np.isfinite(actions).reshape(len(actions), -1).all(axis=1)))
        number, seed = self.episodes[index]
        self.error = EnvError(
            f"the action for environment {index} is not finite: {actions[index].tolist()}, in episode {number} "
            f"(seed {seed}); it was not stepped"
        )
        return False

    def start_episode(self, index: int, run_seed: Any, number: int) -> Any:
        """Start an environment's episode.

        Returns:
            Its first observation.
        """
        seed = episode_seed(int(np.asarray(run_seed)), index, number)
        self.previous_episodes[index], self.episodes[index] = self.episodes[index], (number, seed)
        self.previous_actions[index], self.actions[index] = self.actions[index], bytearray()
        obs = read_reset(self.envs[index].reset(seed=seed))
        # Here, and not by the loop alone, which sees of it what comes after the last step of the episode before.
        check_finite(self.read(obs), self.spec.obs)
        return obs

    def record_failure(self, cause: BaseException, index: int) -> EnvError:
        """Keep an environment's exception; raised from a step, it would cost the learner its state."""
        self.failed = index
        where = self.describe_step(*self.episodes[index], self.actions[index])
        self.error = EnvError(f"environment {index} failed {where}: {describe_error(cause)}")
        self.error.__cause__ = cause
        return self.error

    def describe(self, index: int) -> str:
        """Where an environment was in its last step, in words: episode, seed, step in it and action."""
        if self.actions[index]:
            return self.describe_step(*self.episodes[index], self.actions[index])
        return self.describe_step(*self.previous_episodes[index], self.previous_actions[index])

    def describe_step(self, number: int, seed: int, packed: bytearray) -> str:
        """The newest step of an episode, in words."""
        actions = self.unpack(packed)
        step = f"step {len(actions)} of it, on the action {actions[-1].tolist()}" if len(actions) else "on its reset"
        return f"in episode {number} (seed {seed}), {step}"

    def unpack(self, packed: bytes | bytearray) -> np.ndarray:
        """Recorded actions as an array of their own, `[T, *action_space.shape]`."""
        return np.array(np.frombuffer(packed, self.action_space.dtype).reshape(-1, *self.action_space.shape))

    def save(self, episode_length: np.ndarray) -> bytes:
        """The actions of the running episodes, one environment after the other; see `Env.save`."""
        sizes = self.action_bytes(episode_length)
        return b"".join(self.recorded_actions(index, size) for index, size in enumerate(sizes))

    def action_bytes(self, episode_length: Any) -> list[int]:
        """Bytes of the actions of episodes of these lengths."""
        one = self.action_space.dtype.itemsize * self.action_space.low.size
        return [int(length) * one for length in np.asarray(episode_length)]

    def recorded_actions(self, index: int, size: int) -> bytes:
        """The first bytes of the actions of the episode that the learner is in.

        Where the learner rejected the step that ended it, that is the episode before the host's own.
        """
        actions = self.actions[index]
        if len(actions) < size:
            actions = self.previous_actions[index]
        return bytes(actions[:size]).ljust(size, b"\xff")  # NaN, which leads nowhere

    def restore(
        self, state: Episodes, obs: Any, episode_length: np.ndarray, saved: bytes, renew: Sequence[int] = ()
    ) -> Restored:
        """Play the running episodes again, and begin a new one where that does not lead to `obs`; see `Env.restore`.

        Raises:
            EnvError: if the actions do not fit, a new episode cannot be begun, or an environment asked to stop.
        """
        sizes = self.action_bytes(episode_length)
        if len(saved) != sum(sizes):
            raise EnvError(
                f"the checkpoint's actions do not fit: {len(saved)} bytes, and its running episodes have {sum(sizes)}; "
                "use the environment it was saved with, or start a new run"
            )
        number, obs = np.array(state.number), jax.tree.map(np.array, obs)
        leaves = jax.tree.leaves(obs)
        reasons = [""] * len(self.envs)
        failed, error = self.failed, self.error
        self.error = self.failed = None
        for index, end in enumerate(np.cumsum(sizes)):
            actions = self.unpack(saved[end - sizes[index] : end])
            if index == failed:
                reasons[index] = str(error)
            elif index in renew:
                reasons[index] = f"environment {index} is made anew"
            else:
                expected_obs = [leaf[index, ...] for leaf in leaves]
                reasons[index] = self.replay(index, state.run_seed, int(number[index]), actions, expected_obs)
            if reasons[index]:
                number[index] += 1
                self.write(leaves, index, self.restart_env(index, state.run_seed, int(number[index])))
        exact = np.array([not reason for reason in reasons])
        return Restored(Episodes(state.run_seed, number), obs, exact, "; ".join(filter(None, reasons)))

    def replay(self, index: int, run_seed: Any, number: int, actions: np.ndarray, obs: Sequence[np.ndarray]) -> str:
        """Play an episode again.

        Returns:
            Why it does not stand at `obs`, leaf by leaf, then, or "" if it does, to the bit.

        Raises:
            EnvError: if it raised KeyboardInterrupt, which asks to stop.
        """
        where = f"environment {index} does not stand where it stood after {len(actions)} replayed actions"
        replayed = [np.empty_like(leaf) for leaf in obs]
        try:
            self.write(replayed, ..., self.start_episode(index, run_seed, number))
            for row in range(len(actions)):
                self.actions[index].extend(actions[row, ...])
                successor, _, terminated, truncated = read_step(self.envs[index].step(actions[row, ...]))
                self.write(replayed, ..., successor)
                if terminated or truncated:
                    return f"{where} (its episode ended at number {row + 1})"
        except KeyboardInterrupt as error:
            raise self.record_failure(error, index) from error
        except BaseException as error:
            return f"{where} ({describe_error(error)})"
        if [leaf.tobytes() for leaf in replayed] == [leaf.tobytes() for leaf in obs]:
            return ""
        difference = max(
            np.abs(one.astype(float) - other.astype(float)).max() for one, other in zip(replayed, obs, strict=True)
        )
        return f"{where} (observation differs by at most {difference:.3g})"

    def restart_env(self, index: int, run_seed: Any, number: int) -> Any:
        """Make an environment anew and start an episode.

        Returns:
            Its first observation.

        Raises:
            EnvError: if it cannot be made or started.
        """
        close(self.envs[index])
        self.actions[index] = bytearray()
        try:
            self.envs[index] = self.factory()
            return self.start_episode(index, run_seed, number)
        except BaseException as error:
            raise self.record_failure(error, index) from error

    def close(self) -> None:
        """Close every environment; one that cannot be closed keeps no other open."""
        for env in self.envs:
            close(env)
