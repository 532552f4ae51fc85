"""Named points at which a test can make a process die, or its disk be full; off in normal use.

`DDPG_JAX_FAULT=NAME[:NTH[:ACTION]]` acts at the NTH passing (1 by default) of the point NAME: `kill` (the default),
`term` and `int` send the process that signal, `full` is a write that finds no space left.
"""

import collections
import errno
import os
import signal

VARIABLE = "DDPG_JAX_FAULT"
SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "int": signal.SIGINT}
POINTS = (
    "initializing",  # before the first program is compiled
    "initialized",
    "created",  # the run directory stands
    "stepped",  # a chunk has run, and its rows are not yet written
    "probe-states-kept",
    "logged",
    "evaluating",
    "evaluated",
    "saving",  # before a checkpoint's first file
    "state-saved",
    "manifest-saved",
    "saved",  # the checkpoint has its name
    "pruning",
    "pruned",
    "resuming",  # a checkpoint was found, and nothing is changed yet
    "cut",  # metrics are cut back to the checkpoint
    "restored",
    "finished",
)
PASSED: collections.Counter[str] = collections.Counter()


def fault_point(name: str) -> None:
    """Do what the environment variable asks for at this point.

    Args:
        name: one of `POINTS`.

    Raises:
        OSError: for the action `full`.
    """
    wanted = os.environ.get(VARIABLE)
    if wanted is None:
        return
    PASSED[name] += 1
    point, nth, action = [*wanted.split(":"), *("1", "kill")[wanted.count(":") :]]
    if name != point or PASSED[name] != int(nth):
        return
    if action == "full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.kill(os.getpid(), SIGNALS[action])
