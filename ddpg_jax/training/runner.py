"""What the loop carries and what it reports."""

from typing import NamedTuple

from ddpg_jax.agent.state import AgentState, UpdateInfo
from ddpg_jax.replay.buffer import ReplayState
from ddpg_jax.types import Array, Tree


class Runner(NamedTuple):
    """Everything that the loop carries from one step to the next.

    Attributes:
        step: environment steps so far, over all environments, int32 scalar.
        fault: 0 while all is well, int32 scalar; otherwise nothing moves any more (training/faults.py).
        agent: the learner's state.
        replay: the memory.
        exploration: the state of the noise.
        env: the environments' state.
        obs: what the next action is chosen on, `[N, O]`.
        first: whether an episode starts here, `[N]` bool.
        episode_return: sum of rewards of the running episode, `[N]`.
        episode_length: steps of the running episode, int32 `[N]`.
    """

    step: Array
    fault: Array
    agent: AgentState
    replay: ReplayState
    exploration: Tree
    env: Tree
    obs: Tree
    first: Array
    episode_return: Array
    episode_length: Array


class Metrics(NamedTuple):
    """What each step of a chunk reports, `[T, ...]`.

    Attributes:
        step: environment steps after this one, 0 where the chunk was already over, `[T]`.
        update: report of the updates after this step, nan where there was none, `[T]` each.
        ended: whether an episode ended here, `[T, N]` bool.
        episode_return: return of that episode so far, `[T, N]`.
        episode_length: its length so far, `[T, N]`.
    """

    step: Array
    update: UpdateInfo
    ended: Array
    episode_return: Array
    episode_length: Array
