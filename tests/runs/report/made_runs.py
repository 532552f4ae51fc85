"""Run directories made by hand, with rows as training writes them."""

import dataclasses
import json

import numpy as np

from ddpg_jax.config import Config
from ddpg_jax.runs.storage.directory import METRICS, create_run


def write_run(path, rows=(), tail="", seed=0, env="Pendulum-v1", **agent):
    """A run of 10,000 steps with these rows; `tail` is written after them as it is."""
    config = Config(env=env, seed=seed)
    config = dataclasses.replace(
        config,
        agent=dataclasses.replace(config.agent, **agent),
        train=dataclasses.replace(config.train, total_steps=10_000),
    )
    create_run(path, config, "none")
    (path / METRICS).write_text("".join(json.dumps(row) + "\n" for row in rows) + tail)
    return path


def update(step, **figures):
    shared = {"seconds": step / 500, "skipped": 0, "critic_loss": 0.5, "actor_loss": 20.0, "q": -20.0, "target": -20.5}
    more = {"td_error": 0.4, "critic_grad_norm": 3.0, "actor_grad_norm": 0.2, "saturation": 0.25}
    return {"kind": "update", "step": step, **shared, **more, **figures}


def episode(step, value):
    return {"kind": "episode", "step": step, "env": 0, "return": value, "length": 200}


def evaluation(step, returns):
    half = [value / 2 for value in returns]
    lengths = [200] * len(returns)
    figures = {"returns": returns, "lengths": lengths, "discounted_returns": half, "q": half}
    return {"kind": "evaluation", "step": step, **figures}


def probe(step, action, q):
    return {"kind": "probe", "step": step, "action": action, "q": q, "action_stddev": 0.5}


def whole_run():
    """Rows of every kind, as a run of 10,000 steps that learns has them."""
    draw = np.random.default_rng(0).normal
    level = lambda step: -1400 + 0.125 * step  # noqa: E731
    rows = []
    for step in range(200, 10_001, 200):
        rows.append(episode(step, level(step) + draw(0, 80)))
        if step % 1000 == 0:
            rows.append(update(step, q=-100 + step / 200, critic_loss=float(np.exp(draw())), skipped=step // 4000))
            action = [[float(np.sin(state + step / 3000))] for state in range(32)]
            rows.append(probe(step, action, draw(size=32).tolist()))
            rows.append(evaluation(step, (level(step) + draw(0, 60, size=10)).tolist()))
    rows.append({"kind": "restart", "step": 4200, "reason": "environment 0 failed: <b>no</b> answer"})
    return rows
