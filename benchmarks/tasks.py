"""What the options achieve on real tasks: `python -m benchmarks.tasks`, or `--tasks fetch-her fetch-plain`.

Each seed is a `ddpg-jax train` of its own, one on each processor at a time; what counts is the last policy, over 100
greedy episodes. Goal environments are asked whether the goal is reached in the last step of the episode.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import queue
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any, NamedTuple

import gymnasium
import jax
import numpy as np

from benchmarks import kernels, measure
from ddpg_jax import envs
from ddpg_jax.action_bounds import scale_action
from ddpg_jax.runs.policy import load_policy, policy_config
from ddpg_jax.runs.report.statistics import interquartile_mean

TD3 = "--agent.num-critics 2 --agent.policy-delay 2 --agent.target-noise 0.2"
FETCH = "--env FetchReach-v4 --preset her --train.total-steps 8000 --train.eval-every 4000"
FETCH_SHORT = "--env FetchReach-v4 --preset her --train.eval-every 0 --train.total-steps"
PARKING = "--env parking-v0 --preset her --train.total-steps 50000 --train.eval-every 0"
MAZE = "--env PointMaze_UMaze-v3 --preset her --train.total-steps 60000"


class Task(NamedTuple):
    """Something to learn.

    Attributes:
        flags: of `ddpg-jax train`.
        seeds: how many, from 0 on.
        goal: whether success is counted.
    """

    flags: str
    seeds: int
    goal: bool = False


TASKS = {
    "pendulum": Task("--env Pendulum-v1", 10),
    "pendulum-td3": Task(f"--env Pendulum-v1 {TD3}", 10),
    "pendulum-prioritized": Task("--env Pendulum-v1 --replay.sampling prioritized --replay.importance-steps 10000", 10),
    "pendulum-3-step": Task("--env Pendulum-v1 --replay.n-step 3", 10),
    "mountain-car": Task("--env MountainCarContinuous-v0", 5),
    "fetch-her": Task(FETCH, 3, goal=True),
    "fetch-plain": Task(f"{FETCH} --replay.hindsight none", 3, goal=True),
    "fetch-her-3000": Task(f"{FETCH_SHORT} 3000", 3, goal=True),
    "fetch-plain-3000": Task(f"{FETCH_SHORT} 3000 --replay.hindsight none", 3, goal=True),
    "fetch-her-2000": Task(f"{FETCH_SHORT} 2000", 3, goal=True),
    "fetch-plain-2000": Task(f"{FETCH_SHORT} 2000 --replay.hindsight none", 3, goal=True),
    "maze-her": Task(MAZE, 3, goal=True),
    "maze-plain": Task(f"{MAZE} --replay.hindsight none", 3, goal=True),
    "cartpole-swingup": Task("--env dmc/cartpole-swingup", 3),
    "parking-her": Task(PARKING, 3, goal=True),
    "parking-plain": Task(f"{PARKING} --replay.hindsight none", 3, goal=True),
}
EPISODES = 100


def train(task: Task, seed: int, path: pathlib.Path, processor: int) -> dict[str, Any]:
    """Train one seed on one processor; its last evaluation as plain values."""
    command = [sys.executable, "-m", "ddpg_jax.runs.console.cli", "train", *task.flags.split()]
    command += ["--seed", str(seed), "--run-dir", str(path)]
    begin = time.perf_counter()
    subprocess.run(["taskset", "-c", str(processor), *command], check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - begin
    rows = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    last = [row for row in rows if row["kind"] == "evaluation"][-1]
    returns = np.array(last["returns"])
    found: dict[str, Any] = {"seed": seed, "steps": last["step"], "seconds": round(seconds, 1)}
    found |= {"mean_return": round(float(returns.mean()), 2), "worst_return": round(float(returns.min()), 2)}
    return found | ({"success_rate": success_rate(path)} if task.goal else {})


def success_rate(path: pathlib.Path) -> float:
    """Share of greedy episodes whose last step reaches the goal, in the environment as it is without us."""
    config = policy_config(path)
    envs.make(config.env).close()  # its family is registered then
    env = gymnasium.make(config.env)
    policy = load_policy(path, config, envs.make(config.env).spec, print)
    act = jax.jit(lambda obs: scale_action(policy.agent.act(policy.params, obs), policy.spec))
    successes = []
    for episode in range(EPISODES):
        obs, _ = env.reset(seed=10_000 + episode)
        over = False
        while not over:
            parts = dict(obs)  # highway-env's are in a dict of another kind
            action = np.asarray(act(jax.tree.map(lambda leaf: np.asarray(leaf, np.float32)[None], parts)))[0]
            obs, _, terminated, truncated, info = env.step(action.astype(env.action_space.dtype))
            over = terminated or truncated
        successes.append(float(info["is_success"] if "is_success" in info else info["success"]))
    return statistics.fmean(successes)


def summarize(task: Task, seeds: list[dict[str, Any]]) -> dict[str, Any]:
    """The seeds of one task, with interquartile mean and 95 % interval of their mean returns."""
    estimate = interquartile_mean([np.array([seed["mean_return"] for seed in seeds])])
    found: dict[str, Any] = {"command": f"ddpg-jax train {task.flags} --seed SEED", "seeds": seeds}
    found["interquartile_mean"] = [round(float(value), 2) for value in estimate]
    if task.goal:
        found["success_rates"] = [seed["success_rate"] for seed in seeds]
    return found


def main() -> None:
    """Train all seeds of the chosen tasks and write what came of them; tasks not chosen stay in the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--seeds", type=int, help="of each task, instead of its own number")
    parser.add_argument("--out", type=pathlib.Path, help="JSON file to write, or to go on with")
    args = kernels.parse(parser)
    known = json.loads(args.out.read_text())["results"] if args.out and args.out.exists() else {}
    processors: queue.Queue[int] = queue.Queue()
    for processor in sorted(os.sched_getaffinity(0)):
        processors.put(processor)

    def one(name: str, seed: int, place: str) -> dict[str, Any]:
        processor = processors.get()
        try:
            found = train(TASKS[name], seed, pathlib.Path(place) / f"{name}-{seed}", processor)
        finally:
            processors.put(processor)
        print(name, found, flush=True)
        return found

    with tempfile.TemporaryDirectory() as place, concurrent.futures.ThreadPoolExecutor(processors.qsize()) as pool:
        jobs = {
            name: [pool.submit(one, name, seed, place) for seed in range(args.seeds or TASKS[name].seeds)]
            for name in args.tasks
        }
        for name, seeds in jobs.items():
            known[name] = summarize(TASKS[name], [seed.result() for seed in seeds])
            measure.write(args, "tasks", known)
    rows = [(name, *found["interquartile_mean"], found.get("success_rates", "")) for name, found in known.items()]
    measure.show("last policies", ("task", "interquartile mean", "from", "to", "success"), rows)


if __name__ == "__main__":
    main()
