#!/usr/bin/env bash
# jaxlib 0.10.2 on CPU: whether the reading of 64 rows is shared among threads depends on how large the array is that
# they are read from, not on how much is read.
#
# The same 64 rows of 10 numbers, 2.5 KB, are read by one thread from an array of 10,000 rows, and by two from one of
# 100,000 rows. To wake the second thread takes longer than to read the rows, and in a loop it takes a processor from
# whoever else had it. A replay memory is read like this at every step.
# Needs two processors or more.
# Printed (on two): 10,000 rows: threads []; 100,000 rows: threads ['2']
set -euo pipefail
unset PIP_CONSTRAINT PYTHONPATH XLA_FLAGS
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$(command -v python3.11 || command -v python3)" -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --disable-pip-version-check jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
cd "$place"
JAX_PLATFORMS=cpu "$place/venv/bin/python" -W ignore - <<'PYTHON'
import re

import jax
import jax.numpy as jnp


def read(rows, index):
    return rows[index]


def threads(function, length):
    text = jax.jit(function).lower(jnp.zeros((length, 10)), jnp.zeros(64, jnp.int32)).compile().as_text()
    return re.findall(r'outer_dimension_partitions":\["(\d+)"', text)


small, large = threads(read, 10_000), threads(read, 100_000)
print(f"10,000 rows: threads {small}; 100,000 rows: threads {large}")
assert not small and len(large) == 1 and int(large[0]) > 1
PYTHON
