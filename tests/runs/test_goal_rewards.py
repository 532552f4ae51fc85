"""What a person is told where the reward of other goals is not that of the steps."""

import gymnasium
import pytest
from worlds import Reach

from ddpg_jax.runs.console import cli

TINY = [
    "--agent.hidden-sizes", "8", "--replay.capacity", "1000", "--replay.batch-size", "8", "--train.total-steps", "120",
    "--train.start-steps", "60", "--train.update-after", "60", "--train.log-every", "30", "--train.eval-every", "0",
    "--train.final-eval-episodes", "1", "--replay.hindsight", "future",
]  # fmt: skip


class Walled(Reach):
    """A wall on the right costs 5, and the reward of its goals does not say so."""

    def step(self, action):
        obs, reward, terminated, truncated, info = super().step(action)
        return obs, reward - 5.0 * bool(self.place[0] > 0.05), terminated, truncated, info


@pytest.fixture
def env_id():
    gymnasium.register("Walled-v0", Walled)
    yield "Walled-v0"
    del gymnasium.registry["Walled-v0"]


def test_a_reward_that_reads_more_than_its_goals_is_said_once(env_id, tmp_path, capsys):
    assert cli.main(["train", *TINY, "--env", env_id, "--run-dir", str(tmp_path / "run")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert said.count("warning: the reward that hindsight takes for other goals is not that of") == 1
    assert "of the 120 first steps: it gives" in said
