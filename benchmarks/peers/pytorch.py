"""The eager PyTorch loop, and the memory of every loop that Python drives."""

import gymnasium
import numpy as np

from benchmarks.baseline import NumpyReplay, TorchBatch, TorchDDPG, find_device, synchronize, train_steps
from benchmarks.contenders import AGENT, ENV, SLICE, Progress, read_transitions
from benchmarks.measure import Contender
from ddpg_jax.replay.buffer import ReplayState
from ddpg_jax.types import EnvSpec


class DeviceReplay(NumpyReplay):
    """A memory on the host whose batches go to where PyTorch computes."""

    def sample(self, batch_size: int) -> TorchBatch:
        """Draw a batch."""
        batch, device = super().sample(batch_size), find_device()
        return TorchBatch(*(column.to(device) for column in batch if column is not None))


def numpy_replay(spec: EnvSpec, memory: ReplayState, kind: type[NumpyReplay] = NumpyReplay) -> NumpyReplay:
    """The same transitions in the memory of the loops that Python drives."""
    rows = read_transitions(spec, memory)
    buffer = kind(len(rows.reward), spec.obs.shape[0], spec.action_dim)
    buffer.obs[:], buffer.next_obs[:], buffer.action[:], buffer.reward[:] = (
        rows.obs, rows.next_obs, rows.action, rows.reward,
    )  # fmt: skip
    buffer.discount[:] = np.where(rows.terminated, 0, buffer.gamma)
    buffer.size = buffer.capacity
    return buffer


def torch_loop(spec: EnvSpec, batch_size: int, memory: ReplayState, env_id: str = ENV) -> Contender:
    """The same training of one environment, eager."""
    agent = TorchDDPG(spec.obs.shape[0], spec.action_dim, AGENT, device=find_device())
    buffer = numpy_replay(spec, memory, DeviceReplay)
    env = gymnasium.make(env_id, disable_env_checker=True)
    obs, steps = env.reset(seed=0)[0], 0

    def run() -> Progress:
        nonlocal obs, steps
        obs = train_steps(env, agent, buffer, SLICE, obs, batch_size)
        synchronize()
        steps += SLICE
        return Progress(steps, agent.step)

    return Contender(run, SLICE)
