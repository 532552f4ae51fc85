"""A whole run under JAX_ENABLE_X64: trained, stopped, resumed, evaluated, exported."""

import jax
import numpy as np
import pytest

from ddpg_jax.runs.console import cli
from ddpg_jax.runs.storage import arrays, checkpoint
from ddpg_jax.runs.storage.fault_points import PASSED, VARIABLE

SETTINGS = {
    "agent.hidden-sizes": 8, "agent.normalization": "batch", "agent.normalize-obs": "", "agent.normalize-reward": "",
    "replay.capacity": 400, "replay.batch-size": 8, "replay.n-step": 3, "replay.sampling": "prioritized",
    "exploration.kind": "ou", "exploration.parameter-noise": 0.1, "train.total-steps": 240, "train.start-steps": 40,
    "train.update-after": 80, "train.log-every": 40, "train.eval-every": 120, "train.eval-episodes": 1,
    "train.final-eval-episodes": 1,
}  # fmt: skip
FLAGS = [text for name, value in SETTINGS.items() for text in (f"--{name}", *str(value).split())]


@pytest.fixture(autouse=True)
def bits():
    with jax.enable_x64(True):
        yield


def test_a_run_in_64_bits_is_trained_stopped_resumed_and_used(tmp_path, monkeypatch):
    run = tmp_path / "run"
    PASSED.clear()
    monkeypatch.setenv(VARIABLE, "stepped:4:term")
    assert cli.main(["train", "--run-dir", str(run), *FLAGS]) == 75
    monkeypatch.delenv(VARIABLE)
    assert cli.main(["resume", str(run)]) == 0
    for command in ("evaluate --episodes 1", "export", "report"):
        name, *options = command.split()
        assert cli.main([name, str(run), *options]) == 0
    (folder,) = checkpoint.complete(run / checkpoint.CHECKPOINTS)[-1:]
    kernel = arrays.header(folder / checkpoint.STATE, "agent.params.actor.params.Dense_0.kernel")
    assert np.dtype(kernel["dtype"]) == np.float64
