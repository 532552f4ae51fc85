"""`python -m ddpg_jax` is the command `ddpg-jax`."""

import sys

from ddpg_jax.runs.console.cli import main

if __name__ == "__main__":
    sys.exit(main())
