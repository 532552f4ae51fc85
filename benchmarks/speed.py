"""Steps and updates a second, beside eager PyTorch: `python -m benchmarks.speed --batch 64 256`.

All contenders live in one process, use the same number of threads, learn from the same memory and
take turns: each round runs every one of them once for about half a second, and ratios are taken
within a round. Figures are medians and quartiles over rounds, of the whole call as a user makes it.
Gymnasium's environment checker is off for every contender.
"""

import argparse
import importlib.metadata
import json
import os
import pathlib
import platform
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import torch

from benchmarks.baseline import NumpyReplay, TorchDDPG, train_steps
from ddpg_jax import envs
from ddpg_jax.config import Config, DDPGConfig, ReplayConfig, TrainConfig
from ddpg_jax.envs.protocol import Env
from ddpg_jax.replay.buffer import ReplayState
from ddpg_jax.replay.packing import make_packing
from ddpg_jax.training.learner import make_learn
from ddpg_jax.training.loop import make_trainer
from ddpg_jax.types import EnvSpec, Transition, transition_struct

ENV = "Pendulum-v1"
AGENT = DDPGConfig(normalization="none", actor_lr=1e-3, critic_lr=1e-3, max_grad_norm=1.0)
CAPACITY, CHUNK, FOREVER = 100_000, 200, 2**31 - 1
PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "torch", "gymnasium", "gymnax")
RATIOS = {
    "training / bare update": ("training", "bare update"),
    "training / torch loop": ("training", "torch loop"),
    "bare update / torch update": ("bare update", "torch update"),
    "compiled / bare update": ("compiled training", "bare update"),
    "compiled / training": ("compiled training", "training"),
    "torch loop / torch update": ("torch loop", "torch update"),
}


class Contender(NamedTuple):
    """Something to be timed.

    Attributes:
        run: does its work once, and returns when it is done.
        size: steps or updates of one call.
    """

    run: Callable[[], object]
    size: int


def make_config(batch_size: int, start_steps: int = 1, update_after: int = 1, log_every: int = CHUNK) -> Config:
    """The settings of every contender: one update a step, a run without end."""
    return Config(
        agent=AGENT,
        replay=ReplayConfig(capacity=CAPACITY, batch_size=batch_size),
        train=TrainConfig(total_steps=FOREVER, start_steps=start_steps, update_after=update_after, log_every=log_every),
    )


def fill_replay() -> ReplayState:
    """A full memory of real transitions, from random actions in the compiled Pendulum."""
    config = make_config(1, start_steps=FOREVER - 1, update_after=FOREVER - 2, log_every=CAPACITY)
    trainer = make_trainer(envs.make(f"gymnax/{ENV}"), config)
    key = jax.random.key(0)
    return trainer.run(key, trainer.init(key))[0].replay


def bare_update(spec_env: Env, batch_size: int, memory: ReplayState) -> Contender:
    """Sampling and updating alone, compiled: what no training loop can exceed."""
    trainer = make_trainer(spec_env, make_config(batch_size))
    learn, key = make_learn(trainer.agent, trainer.replay, CHUNK), jax.random.key(0)
    call = jax.jit(
        lambda agent, replay: learn(jax.random.fold_in(key, agent.step), agent, replay), donate_argnums=(0, 1)
    )
    state = [trainer.agent.init(key), jax.tree.map(jnp.copy, memory)]

    def run() -> None:
        state[:] = jax.block_until_ready(call(*state)[:2])

    return Contender(run, CHUNK)


def training(env: Env, config: Config, memory: ReplayState) -> Contender:
    """The training loop, chunk by chunk, as a user runs it."""
    trainer, key = make_trainer(env, config), jax.random.key(0)
    state = [trainer.init(key)._replace(replay=jax.tree.map(jnp.copy, memory))]

    def run() -> None:
        state[0], metrics = trainer.run(key, state[0])
        jax.block_until_ready((state[0], metrics))

    return Contender(run, CHUNK)


def torch_parts(spec: EnvSpec, memory: ReplayState) -> tuple[TorchDDPG, NumpyReplay]:
    """A PyTorch agent and its memory, filled with the same transitions."""
    agent, buffer = TorchDDPG(3, 1, AGENT), NumpyReplay(CAPACITY, 3, 1)
    rows: Transition = make_packing(transition_struct(spec)).unpack(memory.rows)
    rows = jax.tree.map(lambda leaf: np.array(leaf)[:, 0], rows)
    buffer.obs, buffer.next_obs, buffer.action, buffer.reward = map(
        np.asarray, (rows.obs, rows.next_obs, rows.action, rows.reward)
    )
    buffer.discount = np.where(rows.terminated, 0, buffer.gamma).astype(np.float32)
    buffer.size = CAPACITY
    return agent, buffer


def torch_update(spec: EnvSpec, batch_size: int, memory: ReplayState) -> Contender:
    """Sampling and updating alone, eager."""
    agent, buffer = torch_parts(spec, memory)

    def run() -> None:
        for _ in range(CHUNK):
            agent.update(buffer.sample(batch_size))

    return Contender(run, CHUNK)


def torch_loop(spec: EnvSpec, batch_size: int, memory: ReplayState) -> Contender:
    """The same training, eager."""
    agent, buffer = torch_parts(spec, memory)
    env = gymnasium.make(ENV, disable_env_checker=True)
    obs = [env.reset(seed=0)[0]]

    def run() -> None:
        obs[0] = train_steps(env, agent, buffer, CHUNK, obs[0], batch_size)

    return Contender(run, CHUNK)


def env_alone() -> Contender:
    """The environment's own step, with actions that are ready."""
    env = gymnasium.make(ENV, disable_env_checker=True)
    env.reset(seed=0)
    actions = np.random.default_rng(0).uniform(-2, 2, (CHUNK, 1)).astype(np.float32)

    def run() -> None:
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()

    return Contender(run, CHUNK)


def make_contenders(batch_size: int) -> dict[str, Contender]:
    """Everyone, in the order in which they take turns."""
    memory, config = fill_replay(), make_config(batch_size)
    idle = make_config(batch_size, update_after=FOREVER - 1)
    compiled = envs.make(f"gymnax/{ENV}")
    return {
        "bare update": bare_update(compiled, batch_size, memory),
        "training": training(envs.make(ENV), config, memory),
        "torch loop": torch_loop(compiled.spec, batch_size, memory),
        "torch update": torch_update(compiled.spec, batch_size, memory),
        "compiled training": training(compiled, config, memory),
        "collecting": training(envs.make(ENV), idle, memory),
        "environment": env_alone(),
    }


def repeats(contender: Contender, seconds: float) -> int:
    """Warm up, and find how many calls last about so many seconds."""
    times: list[float] = []
    while len(times) < 2 or (len(times) < 5 and sum(times[1:]) < 2 * seconds):
        begin = time.perf_counter()
        contender.run()
        times.append(time.perf_counter() - begin)
    return max(1, round(seconds / min(times)))


def rate(contender: Contender, calls: int) -> float:
    """Steps or updates a second over so many calls."""
    begin = time.perf_counter()
    for _ in range(calls):
        contender.run()
    return calls * contender.size / (time.perf_counter() - begin)


def quartiles(values: np.ndarray) -> list[float]:
    """Lower quartile, median, upper quartile."""
    return [float(f"{value:.4g}") for value in np.quantile(values, [0.25, 0.5, 0.75])]


def measure(batch_size: int, rounds: int, seconds: float) -> dict:
    """Time everyone; rates and their ratios as plain values."""
    contenders = make_contenders(batch_size)
    calls = {name: repeats(contender, seconds) for name, contender in contenders.items()}
    samples = [{name: rate(contenders[name], calls[name]) for name in contenders} for _ in range(rounds)]
    rates = {name: np.array([sample[name] for sample in samples]) for name in contenders}
    return {
        "batch_size": batch_size,
        "per_second": {name: quartiles(values) for name, values in rates.items()},
        "ratios": {name: quartiles(rates[over] / rates[under]) for name, (over, under) in RATIOS.items()},
        "samples": {name: [round(value, 1) for value in values] for name, values in rates.items()},
    }


def show(result: dict) -> None:
    """Print one table."""
    print(f"\nbatch {result['batch_size']:<26} {'median':>10} {'quartiles':>21}")
    for name, (low, median, high) in result["per_second"].items():
        print(f"{name + ' (1/s)':<32} {median:>10,.0f} {low:>10,.0f} {high:>10,.0f}")
    for name, (low, median, high) in result["ratios"].items():
        print(f"{name:<32} {median:>10.3f} {low:>10.3f} {high:>10.3f}")


def num_threads() -> int:
    """Processors that this process may use; XLA takes as many."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> dict:
    """What the figures depend on."""
    info = pathlib.Path("/proc/cpuinfo")
    models = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line]
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "threads": num_threads(),
        "backend": jax.default_backend(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def main() -> None:
    """Measure each batch size, print the tables, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.45, help="of each sample")
    parser.add_argument("--out", type=pathlib.Path, help="JSON file to write")
    args = parser.parse_args()
    torch.set_num_threads(num_threads())
    summary = {"command": " ".join(["python -m benchmarks.speed", *sys.argv[1:]]), **machine(), "results": []}
    print(json.dumps({name: value for name, value in summary.items() if name != "results"}))
    for batch_size in args.batch:
        summary["results"].append(measure(batch_size, args.rounds, args.seconds))
        show(summary["results"][-1])
        if args.out:
            args.out.write_text(json.dumps(summary, indent=1) + "\n")


if __name__ == "__main__":
    main()
