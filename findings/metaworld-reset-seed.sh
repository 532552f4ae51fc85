#!/usr/bin/env bash
# metaworld 3.1.1: reset(seed=s) begins another task each time.
#
# In gymnasium.make("Meta-World/MT1", env_name="reach-v3", seed=1) the arm begins three resets with the same seed at
# the same place, and the goal, the last three numbers of the observation, is another in each. Goals are drawn by a
# generator that make(seed=...) alone sets, so an episode is repeated only by making the environment anew. Gymnasium
# asks that reset(seed=s) repeats an episode.
# Printed: goals [0.02 0.85 0.21] [0.05 0.83 0.11] [-0.05  0.83  0.09]
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
first = [env.reset(seed=5)[0] for _ in range(3)]
print("goals", *(obs[-3:].round(2) for obs in first))
assert all(np.array_equal(obs[:3], first[0][:3]) for obs in first)
assert len({tuple(obs[-3:]) for obs in first}) == 3
anew = gymnasium.make("Meta-World/MT1", env_name="reach-v3", seed=1).reset(seed=5)[0]
assert np.array_equal(anew, first[0])
PYTHON
