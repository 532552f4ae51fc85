#!/usr/bin/env bash
# highway-env 1.12.1: the goal environment parking-v0 pays rewards that its own compute_reward does not give.
#
# By compute_reward(achieved_goal, desired_goal, info) hindsight pays a step again for another goal. In parking-v0 it
# leaves out the penalty of 5 for a crash, which ends the episode: a step that crashed, whose reward was -5.69, is
# worth -0.69 once it is relabelled, and learning by hindsight does not see crashes. info says which steps crashed.
# Printed: 358 steps, 20 differ, each in a crash and by -5.00
set -euo pipefail
unset PIP_CONSTRAINT PYTHONPATH
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$(command -v python3.11 || command -v python3)" -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --disable-pip-version-check \
  highway-env==1.12.1 gymnasium==1.4.0 numpy==2.4.6
cd "$place"
"$place/venv/bin/python" -W ignore - <<'PYTHON'
import gymnasium
import highway_env
import numpy as np

gymnasium.register_envs(highway_env)
env, rng = gymnasium.make("parking-v0"), np.random.default_rng(0)
steps, differences = 0, []
for seed in range(20):
    env.reset(seed=seed)
    ended = False
    while not ended:
        obs, reward, terminated, truncated, info = env.step(np.array([1.0, rng.uniform(-1, 1)], np.float32))
        computed = env.unwrapped.compute_reward(obs["achieved_goal"], obs["desired_goal"], info)
        steps, ended = steps + 1, terminated or truncated
        if abs(reward - computed) > 1e-6:
            differences.append((info["crashed"], round(float(reward - computed), 6)))
print(f"{steps} steps, {len(differences)} differ, each in a crash and by {differences[0][1]:.2f}")
assert len(differences) >= 10 and set(differences) == {(True, -5.0)}
PYTHON
