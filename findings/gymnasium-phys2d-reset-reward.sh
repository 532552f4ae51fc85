#!/usr/bin/env bash
# gymnasium 1.4.0: the Pendulum that steps many environments by JAX pays a reward for the step that only resets.
#
# Vector environments of Gymnasium that reset themselves do so in the step after an end, which ignores its action and
# has the reward 0, as SyncVectorEnv shows here. phys2d's Pendulum gives that step the reward of the old episode's
# last state: an episode of five steps has six rewards, and return and average reward are those of one step too many.
# Printed: phys2d [-1.9  -1.89 -2.09 -2.52 -3.19 -4.13] SyncVectorEnv [-0.76 -0.75 -0.86 -1.09 -1.47  0.  ]
set -euo pipefail
unset PIP_CONSTRAINT PYTHONPATH
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$(command -v python3.11 || command -v python3)" -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --disable-pip-version-check \
  'gymnasium[jax]==1.4.0' jax==0.10.2 jaxlib==0.10.2 pygame-ce==2.5.8 numpy==2.4.6
cd "$place"
"$place/venv/bin/python" -W ignore - <<'PYTHON'
import gymnasium
import numpy as np
from gymnasium.envs.phys2d.pendulum import PendulumJaxVectorEnv


def six_rewards(env):
    env.reset(seed=0)
    steps = [env.step(np.zeros((1, 1), np.float32)) for _ in range(6)]
    assert [bool(truncated[0]) for *_, truncated, _ in steps] == [False] * 4 + [True, False]
    return np.array([float(reward[0]) for _, reward, *_ in steps])


phys2d = six_rewards(PendulumJaxVectorEnv(num_envs=1, max_episode_steps=5))
usual = six_rewards(gymnasium.vector.SyncVectorEnv([lambda: gymnasium.make("Pendulum-v1", max_episode_steps=5)]))
print("phys2d", phys2d.round(2), "SyncVectorEnv", usual.round(2))
assert usual[5] == 0 and phys2d[5] < -0.1
PYTHON
