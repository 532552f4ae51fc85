"""Evaluated return of the last policy over seeds: `python -m benchmarks.learning --preset pendulum`.

Trains each seed as `ddpg-jax train` does and evaluates the last policy, not the best one.
"""

import argparse
import dataclasses
import json
import pathlib
import time

import jax
import numpy as np

import ddpg_jax
from ddpg_jax import envs
from ddpg_jax.presets import find_preset, preset_for
from ddpg_jax.training.evaluation import make_evaluate
from ddpg_jax.training.loop import make_trainer


def train_seed(config: ddpg_jax.Config) -> dict:
    """Train one seed and evaluate its last policy; curve and final figures as plain values."""
    train = config.train
    trainer = make_trainer(envs.make(config.env, train.num_envs), config)
    evaluate = make_evaluate(envs.make(config.env, 10), trainer.agent.act, train.final_eval_episodes)
    init_key, run_key, eval_key = jax.random.split(jax.random.key(config.seed), 3)
    begin, runner, curve = time.perf_counter(), trainer.init(init_key), []
    while (left := train.total_steps - int(runner.step)) > 0:
        runner, metrics = trainer.run(run_key, runner, min(train.log_every, left))
        ended, returns = np.asarray(metrics.ended), np.asarray(metrics.episode_return)
        curve += [float(value) for value in returns[ended]]
    seconds = time.perf_counter() - begin
    returns = evaluate(eval_key, runner.agent.params.actor).returns
    return {
        "seed": config.seed,
        "steps": int(runner.step),
        "mean_return": round(float(returns.mean()), 2),
        "std_return": round(float(returns.std()), 2),
        "worst_return": round(float(returns.min()), 2),
        "training_seconds": round(seconds, 1),
        "episode_returns": [round(value, 1) for value in curve],
    }


def main() -> None:
    """Run the seeds and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--env", default="Pendulum-v1")
    parser.add_argument("--preset", help="default: the one tuned for the environment")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(10)))
    parser.add_argument("--out", type=pathlib.Path, help="JSON file to write")
    args = parser.parse_args()
    preset = args.preset or preset_for(args.env)
    config = dataclasses.replace(find_preset(preset).config, env=args.env)
    runs = []
    for seed in args.seeds:
        runs.append(train_seed(dataclasses.replace(config, seed=seed)))
        print({name: value for name, value in runs[-1].items() if name != "episode_returns"}, flush=True)
    means = [run["mean_return"] for run in runs]
    command = (
        f"python -m benchmarks.learning --env {args.env} --preset {preset} --seeds {' '.join(map(str, args.seeds))}"
    )
    summary = {"command": command, "mean": round(float(np.mean(means)), 2), "worst_seed": min(means)}
    print(summary)
    if args.out:
        result = {**summary, "config": dataclasses.asdict(config), "runs": runs}
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
