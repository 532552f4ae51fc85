"""Environment steps a second with one update for each: `python -m benchmarks.training --env Pendulum-v1 --batch 256`.

Ours through Gymnasium and, where gymnax has the environment, fully compiled; beside it the bare update, an eager
PyTorch loop, Stable-Baselines3, SBX, Rejax (TD3 against our TD3) and the structure of CleanRL's JAX loop. First of
all, collecting: the policy acts, steps are stored and nothing is learned, against the environment's own step.

With N environments there are N updates after each step of all of them, for everyone, so a rate is one of environment
steps and of updates alike; it is checked on each contender before it is timed. The PyTorch and CleanRL loops step one
environment and take part with N = 1 only. `benchmarks/peers` says what else is equal and what is not. All
combinations together take about half an hour.
"""

import argparse
import dataclasses
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from benchmarks import kernels
from benchmarks.contenders import (
    AGENT,
    ENV,
    FOREVER,
    bare_update,
    check_work,
    compiled_env,
    env_alone,
    fill_replay,
    make_config,
    read_transitions,
    training,
)
from benchmarks.measure import Contender, arguments, have, num_threads, show_summary, summarize, take_turns, write
from ddpg_jax import envs
from ddpg_jax.replay.buffer import ReplayState
from ddpg_jax.types import EnvSpec, Transition

PEERS = {"torch": "torch", "sb3": "stable_baselines3", "sbx": "sbx", "rejax": "rejax", "cleanrl": "torch"}
STABLE_BASELINES = ("sb3", "sbx")  # which share their interface
TD3 = dataclasses.replace(AGENT, num_critics=2, policy_delay=2, target_noise=0.2)
COLLECTING_CHUNK = 2_000  # steps of one call where a step takes tens of microseconds
TRAINING_RATIOS = {
    "training / bare update": ("training", "bare update"),
    "compiled / bare update": ("compiled", "bare update"),
    "training / PyTorch loop": ("training", "PyTorch loop"),
    "training / SB3": ("training", "SB3"),
    "training / SBX": ("training", "SBX"),
    "training / CleanRL structure": ("training", "CleanRL structure"),
    "compiled TD3 / Rejax TD3": ("compiled TD3", "Rejax TD3"),
}
COLLECTING_RATIOS = {
    "time of collecting / environment": ("environment", "collecting"),
    "collecting / SB3": ("collecting", "SB3 collecting"),
    "collecting / SBX": ("collecting", "SBX collecting"),
}


class World(NamedTuple):
    """Where everyone acts and what everyone's memory holds.

    Attributes:
        env_id: Gymnasium's.
        num_envs: N.
        spec: the spaces.
        memory: a full memory of N environments.
        rows: the same transitions in NumPy.
    """

    env_id: str
    num_envs: int
    spec: EnvSpec
    memory: ReplayState
    rows: Transition


def make_world(env_id: str, num_envs: int) -> World:
    """N environments and their transitions.

    Raises:
        EnvError: if there is no such environment here.
    """
    spec, memory = envs.make(env_id).spec, fill_replay(env_id, num_envs)
    return World(env_id, num_envs, spec, memory, read_transitions(spec, memory))


def our_training(world: World, batch_size: int) -> dict[str, Contender]:
    """Ours: the bare update, training through Gymnasium, and compiled."""
    config = make_config(batch_size, world.num_envs)
    env, compiled = envs.make(world.env_id, world.num_envs), compiled_env(world.env_id, world.num_envs)
    contenders = {
        "bare update": bare_update(env, batch_size, world.memory),
        "training": training(env, config, world.memory),
    }
    if compiled:
        contenders["compiled"] = training(compiled, config, world.memory)
    return contenders


def peers_training(world: World, batch_size: int, peers: Sequence[str]) -> dict[str, Contender]:
    """The others; each module is imported only if its package is there."""
    env_id, num_envs, spec, memory, rows = world
    contenders: dict[str, Contender] = {}
    if "torch" in peers and num_envs == 1:
        from benchmarks.peers import pytorch

        contenders["PyTorch loop"] = pytorch.torch_loop(spec, batch_size, memory, env_id)
    for peer in [peer for peer in STABLE_BASELINES if peer in peers]:
        from benchmarks.peers import stable_baselines

        contenders[peer.upper()] = stable_baselines.loop(PEERS[peer], env_id, num_envs, batch_size, rows, learn=True)
    if "cleanrl" in peers and num_envs == 1:
        from benchmarks.peers import cleanrl

        contenders["CleanRL structure"] = cleanrl.training(env_id, batch_size, spec, memory)
    compiled = compiled_env(env_id, num_envs)
    if "rejax" in peers and compiled:
        from benchmarks.peers import rejax_td3

        contenders["compiled TD3"] = training(compiled, make_config(batch_size, num_envs, agent=TD3), memory)
        contenders["Rejax TD3"] = rejax_td3.training(env_id, num_envs, batch_size, spec, rows)
    return contenders


def collecting(world: World, peers: Sequence[str]) -> dict[str, Contender]:
    """Everyone who acts and stores without learning, and the environment by itself."""
    env_id, num_envs = world.env_id, world.num_envs
    config = make_config(64, num_envs, update_after=FOREVER - 1, log_every=COLLECTING_CHUNK)
    contenders = {
        "environment": env_alone(env_id),
        "collecting": training(envs.make(env_id, num_envs), config, world.memory),
    }
    for peer in [peer for peer in STABLE_BASELINES if peer in peers]:
        from benchmarks.peers import stable_baselines

        contenders[f"{peer.upper()} collecting"] = stable_baselines.loop(
            PEERS[peer], env_id, num_envs, 64, world.rows, learn=False, size=200
        )
    return contenders


def measure(
    world: World, contenders: Mapping[str, Contender], ratios: Mapping, args: argparse.Namespace, batch_size: int = 0
) -> dict:
    """Check and time contenders, and print the table; figures as plain values.

    Args:
        world: what they act in.
        contenders: by name.
        ratios: as `summarize` takes them.
        args: rounds and seconds.
        batch_size: rows of each update, 0 where nothing is learned.
    """
    work = check_work(contenders, learn=batch_size > 0)
    summary = summarize(take_turns(contenders, args.rounds, args.seconds), ratios)
    kind = f"training, batch {batch_size}" if batch_size else "collecting"
    show_summary(f"{world.env_id}, N = {world.num_envs}, {kind}", summary)
    setting = {"env": world.env_id, "num_envs": world.num_envs, "batch_size": batch_size}
    return {**setting, "work_of_one_call": {name: done._asdict() for name, done in work.items()}, **summary}


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = arguments(__doc__)
    parser.add_argument("--env", nargs="+", default=[ENV, "HalfCheetah-v5"], help="Gymnasium ids (default: both)")
    parser.add_argument("--num-envs", type=int, nargs="+", default=[1, 8, 64], help="N (default: 1 8 64)")
    parser.add_argument("--batch", type=int, nargs="+", default=[64, 256], help="rows of each update (default: 64 256)")
    parser.add_argument(
        "--peers", nargs="*", choices=PEERS, default=list(PEERS), help="default: all; none after --peers"
    )
    return kernels.parse(parser)


def main() -> None:
    """Measure every combination, print the tables, write the figures after each."""
    args = parse_args()
    peers = [peer for peer in args.peers if have(PEERS[peer], "baseline" if PEERS[peer] == "torch" else "peers")]
    if have("torch", "baseline"):
        from benchmarks.baseline import equal_terms

        equal_terms(num_threads())
    results: list[dict] = []
    for env_id in args.env:
        for num_envs in args.num_envs:
            try:
                world = make_world(env_id, num_envs)
            except envs.EnvError as error:
                print(f"skipped: {error}", file=sys.stderr)
                continue
            results.append(measure(world, collecting(world, peers), COLLECTING_RATIOS, args))
            for batch_size in args.batch:
                contenders = our_training(world, batch_size) | peers_training(world, batch_size, peers)
                results.append(measure(world, contenders, TRAINING_RATIOS, args, batch_size))
            write(args, "training", results)


if __name__ == "__main__":
    main()
