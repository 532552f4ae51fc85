#!/usr/bin/env bash
# sbx-rl 0.28.0: DDPG and TD3 take a schedule as learning rate and use its first value for the whole training.
#
# learning_rate may be a number or a schedule of the remaining progress. The actor's rate is read once, when the
# network is built, as schedule(1), and never again. With a schedule that is 0 from the first step on, DDPG's actor
# still changes as with the constant 1e-3: the parameters of both after 300 steps are equal to the bit.
# Printed: largest change of the actor 0.14, schedule and constant equal: True
set -euo pipefail
unset PIP_CONSTRAINT PYTHONPATH
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$(command -v python3.11 || command -v python3)" -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --disable-pip-version-check \
  sbx-rl==0.28.0 stable-baselines3==2.9.2 torch==2.13.0 gymnasium==1.3.0 pygame-ce==2.5.8 jax==0.10.2 \
  jaxlib==0.10.2 flax==0.12.8 optax==0.2.8 numpy==2.4.6
cd "$place"
"$place/venv/bin/python" -W ignore - <<'PYTHON'
import gymnasium
import jax
import numpy as np
from sbx import DDPG


def trained(learning_rate):
    env = gymnasium.make("Pendulum-v1")
    model = DDPG("MlpPolicy", env, learning_rate, learning_starts=100, buffer_size=1_000, seed=0)
    before = jax.tree.map(np.array, model.policy.actor_state.params)
    model.learn(300)
    return before, model.policy.actor_state.params


def largest(a, b):
    return max(float(np.abs(x - y).max()) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)))


before, scheduled = trained(lambda progress: 1e-3 if progress == 1 else 0.0)
_, constant = trained(1e-3)
change, equal = largest(before, scheduled), largest(scheduled, constant) == 0
print(f"largest change of the actor {change:.2f}, schedule and constant equal: {equal}")
assert change > 1e-3 and equal
PYTHON
