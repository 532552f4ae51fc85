"""What each option costs: `python -m benchmarks.options`.

A step of training on Gymnasium's Pendulum, with one update, a full memory of a million steps and batches of 256: with
one option each, and with none, in turns. And the update alone of TD3 and of DDPG, beside their arithmetic.
"""

import dataclasses
from typing import Any

import jax

from benchmarks import ceiling, kernels, measure, update
from benchmarks.contenders import ENV, FOREVER, Progress, make_config
from benchmarks.measure import Contender
from ddpg_jax import envs
from ddpg_jax.config import Config
from ddpg_jax.replay.buffer import ReplayState
from ddpg_jax.training.trainer import make_trainer

CAPACITY, BATCH = 1_000_000, 256
TD3: dict[str, Any] = {"num_critics": 2, "policy_delay": 2, "target_noise": 0.2}
# By name: the section of the settings and what is changed in it.
OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "prioritized": ("replay", {"sampling": "prioritized"}),
    "3-step": ("replay", {"n_step": 3}),
    "compact": ("replay", {"compact": True}),
    "TD3": ("agent", TD3),
    "Huber": ("agent", {"critic_loss": "huber"}),
    "51 atoms": ("agent", {"num_atoms": 51}),
    "hard targets": ("agent", {"tau": 1.0, "target_period": 100}),
    "BatchNorm": ("agent", {"normalization": "batch"}),
    "LayerNorm": ("agent", {"normalization": "layer"}),
    "normalized observations": ("agent", {"normalize_obs": True}),
    "normalized rewards": ("agent", {"normalize_reward": True}),
    "OU noise": ("exploration", {"kind": "ou"}),
    "parameter noise": ("exploration", {"parameter_noise": 0.2}),
}


def configure(section: str = "agent", changes: dict[str, Any] | None = None) -> Config:
    """The settings of a contender."""
    config = make_config(BATCH, capacity=CAPACITY)
    return dataclasses.replace(config, **{section: dataclasses.replace(getattr(config, section), **(changes or {}))})


def full_memory(config: Config) -> ReplayState:
    """A memory of these settings, full of random steps of the compiled Pendulum."""
    train = dataclasses.replace(config.train, start_steps=FOREVER - 1, update_after=FOREVER - 2, log_every=10_000)
    trainer = make_trainer(envs.make(f"gymnax/{ENV}"), dataclasses.replace(config, train=train))
    runner, key = trainer.init(jax.random.key(0)), jax.random.key(1)
    while int(runner.step) < CAPACITY:
        runner, _ = trainer.run(key, runner)
    return runner.replay


def training(config: Config) -> Contender:
    """The training loop, chunk by chunk, as a user runs it, from a full memory."""
    trainer, key = make_trainer(envs.make(ENV), config), jax.random.key(0)
    state = [trainer.init(key)._replace(replay=full_memory(config))]

    def run() -> Progress:
        state[0], metrics = trainer.run(key, state[0])
        jax.block_until_ready((state[0], metrics))
        return Progress(int(state[0].step), int(state[0].agent.step))

    return Contender(run, config.train.log_every)


def cost_of_training(chosen: list[str], rounds: int, seconds: float) -> dict:
    """Time of a step with each option over the time without, within rounds."""
    contenders = {"none": training(configure())}
    contenders |= {name: training(configure(*OPTIONS[name])) for name in chosen}
    rates = measure.take_turns(contenders, rounds, seconds)
    return measure.summarize(rates, {f"time with {name} / without": ("none", name) for name in chosen})


def cost_of_td3(rounds: int, seconds: float) -> dict:
    """Time of an update of TD3 over one of DDPG, and the same of their arithmetic."""
    agents = {"DDPG": configure().agent, "TD3": configure("agent", TD3).agent}
    contenders = {name: update.ours_scan(config, BATCH, 100) for name, config in agents.items()}
    summary = measure.summarize(
        measure.take_turns(contenders, rounds, seconds), {"time of TD3 / DDPG": ("DDPG", "TD3")}
    )
    sizes = BATCH, update.OBS_DIM, update.ACTION_DIM, agents["TD3"].hidden_sizes
    flops = ceiling.update_flops(*sizes, TD3["num_critics"], TD3["policy_delay"]) / ceiling.update_flops(*sizes)
    return {**summary, "arithmetic of TD3 / DDPG": round(flops, 4)}


def main() -> None:
    """Measure, print, write."""
    parser = measure.arguments(__doc__)
    parser.add_argument("--options", nargs="+", choices=list(OPTIONS), default=list(OPTIONS))
    args = kernels.parse(parser)
    results = {"td3": cost_of_td3(args.rounds, args.seconds)}
    measure.show_summary("update alone", results["td3"])
    print("arithmetic of TD3 / DDPG", results["td3"]["arithmetic of TD3 / DDPG"])
    measure.write(args, "options", results)
    results["training"] = cost_of_training(args.options, args.rounds, args.seconds)
    measure.show_summary("training", results["training"])
    measure.write(args, "options", results)


if __name__ == "__main__":
    main()
