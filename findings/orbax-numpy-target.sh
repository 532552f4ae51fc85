#!/usr/bin/env bash
# orbax-checkpoint 0.12.8: with NumPy arrays as target, StandardCheckpointer restores another shape than was asked for.
#
# A saved array of [2, 3] is asked for as [5]. For a jax.Array or a ShapeDtypeStruct of that shape it refuses,
# "Requested shape: (5,) is not compatible with the stored shape: (2, 3)"; for a numpy.ndarray it gives the [2, 3]
# without a word, so a checkpoint of another network comes in whole. The dtype that was asked for is taken in both
# cases, float to int too.
# Printed: numpy (2, 3), jax refused
set -euo pipefail
unset PIP_CONSTRAINT PYTHONPATH
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$(command -v python3.11 || command -v python3)" -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --disable-pip-version-check \
  orbax-checkpoint==0.12.8 jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
cd "$place"
"$place/venv/bin/python" -W ignore - <<'PYTHON'
import pathlib

import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

path = pathlib.Path("checkpoint").absolute()
with ocp.StandardCheckpointer() as checkpointer:
    checkpointer.save(path, {"w": jnp.ones((2, 3))})
    checkpointer.wait_until_finished()
    found = checkpointer.restore(path, {"w": np.zeros(5, np.float32)})["w"].shape
    try:
        checkpointer.restore(path, {"w": jnp.zeros(5)})
        refused = "accepted"
    except ValueError as error:
        refused = "refused" if "not compatible with the stored shape" in str(error) else str(error)
print(f"numpy {found}, jax {refused}")
assert found == (2, 3) and refused == "refused"
PYTHON
