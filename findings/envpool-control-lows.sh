#!/usr/bin/env bash
# envpool 1.2.5: in all 51 DeepMind Control tasks the lowest observation is said to be the smallest number above zero.
#
# The Box of each part has low = 2.2e-308 and high = 1.8e308, the least positive and the greatest double, where the
# lowest is meant. So every observation with a number of 0 or less lies outside of its own space: whoever checks
# `space.contains`, clips to the bounds, or takes their middle as zero is misled. Gymnasium's and envpool's MuJoCo
# tasks have low = -inf.
# Printed: 51 tasks with low 2.2250738585072014e-308; CheetahRun-v1 after its reset: position outside, velocity outside
set -euo pipefail
unset PIP_CONSTRAINT PYTHONPATH
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$(command -v python3.11 || command -v python3)" -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --disable-pip-version-check envpool==1.2.5 gymnasium==1.4.0 numpy==2.4.6
cd "$place"
"$place/venv/bin/python" -W ignore - <<'PYTHON'
import envpool
import gymnasium
import numpy as np


def lows(name):
    try:
        space = envpool.make_spec(name).observation_space
    except (ImportError, RuntimeError):  # Procgen and VizDoom need more of the system
        return set()
    boxes = space.spaces.values() if isinstance(space, gymnasium.spaces.Dict) else [space]
    return {float(box.low.min()) for box in boxes if isinstance(box, gymnasium.spaces.Box) and box.dtype == np.float64}


least = float(np.finfo(np.float64).tiny)
tasks = [name for name in envpool.list_all_envs() if least in lows(name)]
env = envpool.make_gymnasium("CheetahRun-v1", num_envs=1, seed=0)
obs, _ = env.reset()
where = {
    name: "inside" if space.contains(np.asarray(obs[name][0])) else "outside"
    for name, space in env.observation_space.spaces.items()
}
said = ", ".join(f"{name} {place}" for name, place in sorted(where.items()))
print(f"{len(tasks)} tasks with low {least}; CheetahRun-v1 after its reset: {said}")
assert len(tasks) == 51 and set(where.values()) == {"outside"}
PYTHON
