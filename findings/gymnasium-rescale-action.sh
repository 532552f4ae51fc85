#!/usr/bin/env bash
# gymnasium 1.4.0: RescaleAction sends actions that lie outside of the wrapped environment's own Box.
#
# Of 819 symmetric float32 Boxes, with the bounds 0.1, 0.2, ..., 81.9, the largest or smallest action of the wrapper,
# 1 or -1, becomes a number one unit in the last place beyond the bound in 37 cases, since the sum is rounded on the
# way. An environment that asserts action_space.contains(action) stops there. Where one dimension's bounds are equal,
# as they may be in a Box, every action becomes nan there, and nothing is said.
# Printed: 37 of 1638 ends lie outside of the Box; a fixed dimension gets nan.
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


class Told(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (1,))

    def __init__(self, low, high):
        self.action_space = gymnasium.spaces.Box(np.array(low, np.float32), np.array(high, np.float32))

    def reset(self, *, seed=None, options=None):
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.action = action
        return np.zeros(1, np.float32), 0.0, False, False, {}


def received(low, high, action):
    env = Told(low, high)
    wrapped = gymnasium.wrappers.RescaleAction(env, np.float32(-1), np.float32(1))
    wrapped.reset()
    assert wrapped.action_space.contains(action)
    wrapped.step(action)
    return env.action, env.action_space.contains(env.action)


ends = [received([-h], [h], np.array([a], np.float32)) for h in np.arange(1, 820) / 10 for a in (-1, 1)]
outside = sum(not inside for _, inside in ends)
fixed, _ = received([-1.0, 0.5], [1.0, 0.5], np.array([0.25, 0.25], np.float32))
print(f"{outside} of {len(ends)} ends lie outside of the Box; a fixed dimension gets {fixed[1]}")
assert outside == 37 and np.isnan(fixed[1]) and fixed[0] == 0.25
PYTHON
