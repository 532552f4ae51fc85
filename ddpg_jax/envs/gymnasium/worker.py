"""An environment in a process of its own, so that one which hangs or dies costs no more than its episode.

The process and what goes to and fro are Gymnasium's `AsyncVectorEnv` of a single environment; several
in one would have to be closed and started together.
"""

import contextlib
import functools
import multiprocessing
import signal
from collections.abc import Callable
from typing import Any

import gymnasium
import jax
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode
from gymnasium.vector.utils import create_empty_array

from ddpg_jax.callbacks.foreign_call import describe_failure
from ddpg_jax.envs.gymnasium.goals import own_compute_reward
from ddpg_jax.envs.gymnasium.interface import read_reset, read_step
from ddpg_jax.envs.gymnasium.observations import make_conform
from ddpg_jax.envs.gymnasium.spaces import read_spec
from ddpg_jax.types import Tree

# Seconds that a new process may take to its first observation, and an environment to close.
START_LIMIT = 120.0
CLOSE_LIMIT = 1.0
START_METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"


class WorkerError(Exception):
    """What became of an environment in its process, in words."""


def describe_error(cause: BaseException) -> str:
    """An exception on one line that can be encoded; of one in another process, what is known."""
    text = str(cause) if isinstance(cause, WorkerError) else describe_failure(cause).decode()
    return " ".join(text.removesuffix(": ").split())


def close(env: gymnasium.Env) -> None:
    """Close an environment; whatever it raises then, also what asks to exit, it is left."""
    with contextlib.suppress(BaseException):
        env.close()


def error_info(cause: BaseException) -> dict[str, Any]:
    """What is told of an exception to the other process: the words, and whether it asks to stop."""
    return {"error": describe_error(cause)} | ({"interrupt": True} if isinstance(cause, KeyboardInterrupt) else {})


def first_of(batch: Any) -> Any:
    """The only row of a batch of one, of whatever tree it is."""
    return jax.tree.map(lambda leaf: leaf[0], batch)


def worker_factory(
    factory: Callable[[], gymnasium.Env], timeout: float, sample: gymnasium.Env | None = None
) -> Callable[[], "Worker"]:
    """Build a factory of workers from one of environments.

    Args:
        factory: returns a new environment at each call; sent to the processes by cloudpickle.
        timeout: seconds that one step or reset may take.
        sample: one that it made, by default a new one; it is closed, so that there may be no other beside it.

    Raises:
        EnvError: if DDPG cannot use its spaces.
    """
    sample = factory() if sample is None else sample
    obs = read_spec(sample).obs
    compute_reward = own_compute_reward(sample)
    close(sample)
    remote = functools.partial(Remote, factory, sample.observation_space, sample.action_space, obs)
    return functools.partial(Worker, remote, timeout, compute_reward)


class Remote(gymnasium.Env):
    """What the process runs: an environment whose exceptions come back as words.

    Those of a class that the other side does not know, or cannot build, would never arrive.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 - Gymnasium writes into it

    def __init__(self, factory: Callable[[], gymnasium.Env], observation_space: Any, action_space: Any, obs: Tree):
        self.factory, self.conform = factory, make_conform(observation_space, obs)
        self.observation_space, self.action_space = observation_space, action_space
        self.env: gymnasium.Env | None = None
        self.blank_obs = first_of(create_empty_array(observation_space))

    def start(self) -> gymnasium.Env:
        """The environment, made at its first reset: where Gymnasium asks for the spaces alone, none is."""
        if self.env is None:
            # Ctrl-C goes to all processes of a terminal; what it means is decided where the learner is.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            self.env = self.factory()
        return self.env

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[Any, dict]:
        """First observation, or what went wrong under "error"."""
        try:
            obs = read_reset(self.start().reset(seed=seed, options=options))
            return self.conform(obs), {}
        except BaseException as error:
            return self.blank_obs, error_info(error)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict]:
        """The environment's step, or what went wrong under "error"."""
        try:
            obs, reward, terminated, truncated = read_step(self.start().step(np.asarray(action)))
            return self.conform(obs), reward, terminated, truncated, {}
        except BaseException as error:
            return self.blank_obs, 0.0, False, False, error_info(error)

    def finish(self) -> None:
        """Close the environment."""
        if self.env is not None:
            self.env.close()
            self.env = None


class Worker(gymnasium.Env):
    """An environment in a process, with a limit on how long an answer may take.

    Attributes:
        compute_reward: that of a goal environment, to be asked in this process; None for every other.

    The process is started by `reset` where there is none. It is forked by a server that never ran
    JAX, since a process with JAX's threads must not be forked; a script that uses it needs the usual
    `if __name__ == "__main__":`.
    """

    def __init__(self, remote: Callable[[], Remote], timeout: float, compute_reward: Callable | None = None):
        self.remote, self.timeout, self.compute_reward = remote, timeout, compute_reward
        blank = remote()
        self.observation_space, self.action_space = blank.observation_space, blank.action_space
        self.vector: Any = None
        self.sent = False

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[Any, dict]:
        """First observation of an episode.

        Raises:
            WorkerError: if the environment raised, hung or died.
        """
        if self.sent:  # the answer of a step which another environment failed
            with contextlib.suppress(WorkerError):
                self.receive("step", self.timeout)
        limit = self.timeout if self.vector else START_LIMIT
        self.vector = self.vector or self.start()
        self.call("reset_async", [seed], options)
        (obs,) = self.receive("reset", limit)
        return obs, {}

    def send(self, action: np.ndarray) -> None:
        """Begin a step without waiting for its end; `step` then waits."""
        self.call("step_async", action[None])
        self.sent = True

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict]:
        """A step, begun here unless it was sent before.

        Raises:
            WorkerError: if the environment raised, hung or died.
        """
        if not self.sent:
            self.send(action)
        obs, reward, terminated, truncated = self.receive("step", self.timeout)
        return obs, float(reward), bool(terminated), bool(truncated), {}

    def start(self) -> AsyncVectorEnv:
        """Start the process."""
        if START_METHOD == "forkserver":  # import once for all processes
            multiprocessing.set_forkserver_preload(["__main__", __name__])
        try:
            return AsyncVectorEnv(
                [self.remote], shared_memory=False, context=START_METHOD, autoreset_mode=AutoresetMode.DISABLED
            )
        except (EOFError, OSError) as error:
            raise WorkerError(
                "its process died while it started; a script with env_timeout needs `if __name__ == '__main__':`"
            ) from error

    def call(self, name: str, *arguments: Any) -> None:
        """Send what is to be answered; a process that is dead already is found by who waits for the answer."""
        with contextlib.suppress(OSError):
            getattr(self.vector, name)(*arguments)

    def receive(self, kind: str, limit: float) -> list[Any]:
        """The answer to a reset or step, without its info.

        Raises:
            WorkerError: if there is none within the limit, the process then being killed, or if it is an error.
            KeyboardInterrupt: if the environment raised it.
        """
        self.sent = False
        try:
            *answer, info = getattr(self.vector, f"{kind}_wait")(timeout=limit)
        except multiprocessing.TimeoutError as error:
            self.kill()
            raise WorkerError(f"hung: no answer within {limit:g} s") from error
        except (EOFError, OSError, gymnasium.error.NoAsyncCallError) as error:
            self.vector.processes[0].join(CLOSE_LIMIT)
            code = self.vector.processes[0].exitcode
            self.kill()
            raise WorkerError(f"its process died (exit code {code})") from error
        if "interrupt" in info:
            raise KeyboardInterrupt
        if "error" in info:
            raise WorkerError(info["error"][0])
        return first_of(answer)

    def close(self) -> None:
        """Close the environment, if it lets itself be closed soon, and end its process in any case."""
        if self.vector is None:
            return
        with contextlib.suppress(Exception):  # dead, or still busy
            self.vector.call_async("finish")
            self.vector.call_wait(CLOSE_LIMIT)
        self.kill()

    def kill(self) -> None:
        """End the process at once; the next reset starts another."""
        vector, self.vector, self.sent = self.vector, None, False
        vector.processes[0].kill()
        vector.processes[0].join()
        vector.parent_pipes[0].close()
        vector.closed = True  # Gymnasium's own way out would wait for the environment
