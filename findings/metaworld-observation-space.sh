#!/usr/bin/env bash
# metaworld 3.1.1: no observation of Meta-World/MT1 lies in its own observation space.
#
# The space says that the last three numbers, the goal, are all 0 (low = high = 0), as in the environments that hide
# it; MT1 shows it. So observation_space.contains(obs) is False for each observation, and what scales by the space's
# bounds, as Gymnasium's RescaleObservation does, divides by 0 there.
# Printed: 0 of 101 observations in the space; bounds of the goal [0. 0. 0.] [0. 0. 0.], the goal [0.02 0.85 0.21]
set -euo pipefail
unset PIP_CONSTRAINT PYTHONPATH
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$(command -v python3.11 || command -v python3)" -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --disable-pip-version-check \
  metaworld==3.1.1 gymnasium==1.4.0 mujoco==3.3.0 packaging==26.3 numpy==2.4.6
cd "$place"
"$place/venv/bin/python" -W ignore - <<'PYTHON'
import gymnasium
import metaworld
import numpy as np

env = gymnasium.make("Meta-World/MT1", env_name="reach-v3", seed=1)
space = env.observation_space
obs, _ = env.reset(seed=5)
env.action_space.seed(0)
seen = [obs, *(env.step(env.action_space.sample())[0] for _ in range(100))]
inside = sum(space.contains(obs) for obs in seen)
print(f"{inside} of {len(seen)} observations in the space", end="; ")
print(f"bounds of the goal {space.low[-3:]} {space.high[-3:]}, the goal {obs[-3:].round(2)}")
within = [(obs >= space.low) & (obs <= space.high) for obs in seen]
assert inside == 0 and obs.dtype == space.dtype and obs.shape == space.shape
assert np.all(within, axis=0)[:-3].all() and (space.low[-3:] == 0).all() and (space.high[-3:] == 0).all()
PYTHON
