#!/usr/bin/env bash
# gymnasium 1.4.0: NormalizeReward adds the return of an episode that was truncated to the next one's, over the reset.
#
# Its running discounted return ends where an episode terminates and nowhere else: neither a truncation nor reset()
# sets it to zero. Of rewards that are all 1, with gamma 0.5 and episodes of three steps, the returns so far are 1,
# 1.5, 1.75; in the second episode they are 1.875, 1.9375, 1.96875. What is divided by is the deviation of this sum
# over all episodes ever played, in every environment that only a time limit ends (Pendulum, HalfCheetah); the wrapper
# for vectors does the same. Stable-Baselines3's VecNormalize sets it to zero at both ends.
set -euo pipefail
unset PIP_CONSTRAINT PYTHONPATH
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$(command -v python3.11 || command -v python3)" -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --disable-pip-version-check \
  gymnasium==1.4.0 numpy==2.4.6
cd "$place"
"$place/venv/bin/python" -W ignore - <<'PYTHON'
import gymnasium
import numpy as np


class ThreeSteps(gymnasium.Env):
    observation_space = action_space = gymnasium.spaces.Box(-1, 1, (1,))

    def reset(self, *, seed=None, options=None):
        return np.zeros(1, np.float32), {}

    def step(self, action):
        return np.zeros(1, np.float32), 1.0, False, False, {}


env = gymnasium.wrappers.NormalizeReward(gymnasium.wrappers.TimeLimit(ThreeSteps(), 3), gamma=0.5)
episodes = []
for _ in range(2):
    env.reset()
    ended, returns = False, []
    while not ended:
        *_, ended, _ = env.step(np.zeros(1, np.float32))
        returns.append(float(np.squeeze(env.discounted_reward)))
    episodes.append(returns)
print(*episodes)
assert episodes == [[1.0, 1.5, 1.75], [1.875, 1.9375, 1.96875]]
PYTHON
