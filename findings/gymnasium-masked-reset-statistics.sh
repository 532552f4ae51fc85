#!/usr/bin/env bash
# gymnasium 1.4.0: a masked reset makes vector RecordEpisodeStatistics forget the running episodes of all environments.
#
# Two Pendulums, of 200 and of 50 steps, each reset by itself as it ends: reset(options={"reset_mask": ended}). When
# the long one ends after 200 steps, it is reported with a length of 50 and the return of its last 50 steps, since
# each reset of the short one set both counts to zero.
# Printed: reported length 50, return -248.7; really 200 steps, return -978.8
set -euo pipefail
unset PIP_CONSTRAINT PYTHONPATH
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$(command -v python3.11 || command -v python3)" -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --disable-pip-version-check \
  gymnasium==1.4.0 pygame-ce==2.5.8 numpy==2.4.6
cd "$place"
"$place/venv/bin/python" -W ignore - <<'PYTHON'
import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics

limits = (200, 50)
makers = [lambda limit=limit: gymnasium.make("Pendulum-v1", max_episode_steps=limit) for limit in limits]
env = RecordEpisodeStatistics(SyncVectorEnv(makers, autoreset_mode=AutoresetMode.DISABLED))
env.reset(seed=[0, 1])
total = 0.0
for step in range(200):
    _, reward, terminated, truncated, info = env.step(np.zeros((2, 1), np.float32))
    total += reward[0]
    ended = terminated | truncated
    if ended.any() and step < 199:
        env.reset(seed=[2, 3], options={"reset_mask": ended})
length, returned = info["episode"]["l"][0], info["episode"]["r"][0]
print(f"reported length {length}, return {returned:.1f}; really 200 steps, return {total:.1f}")
assert truncated[0] and length == 50 and abs(returned - total) > 100
PYTHON
