"""Numbers and lists as people type them."""

import pytest

from ddpg_jax.config import Config, ExplorationConfig
from ddpg_jax.runs.console.flags import parse
from ddpg_jax.runs.console.values import read


def parsed(*args):
    def options(config: Config = Config()) -> Config:  # noqa: B008
        """All settings."""
        return config

    return parse(options, "train", [word.replace("--", "--config.", 1) for word in args])


@pytest.mark.parametrize(
    ("word", "value"),
    [("1e5", 100_000), ("2.5E2", 250), ("1_000", 1_000), ("7", 7), ("1e+3", 1_000), ("-2e0", -2), ("0e9", 0)],
)
def test_a_whole_number_is_an_int_whatever_its_form(word, value):
    found = read(int, word)
    assert (type(found), found) == (int, value)


@pytest.mark.parametrize(
    "word", ["1.5e0", "1e-3", "2.0", "1.5", "e5", "1e", "1e999", "-1e999", "nan", "inf", "one", ""]
)
def test_what_is_not_whole_stays_as_it_was_typed(word):
    assert read(int, word) == word


def test_settings_take_both_forms():
    config = parsed("--train.total-steps", "1e5", "--train.eval-steps", "1e3", "--agent.hidden-sizes", "64,32")
    assert (config.train.total_steps, config.train.eval_steps) == (100_000, 1_000)
    assert config.agent.hidden_sizes == (64, 32)
    assert parsed("--agent.hidden-sizes", "64", "32").agent.hidden_sizes == (64, 32)
    assert parsed("--agent.hidden-sizes", "64,", "32").agent.hidden_sizes == (64, "", 32), "for `validate` to refuse"
    assert parsed("--agent.critic-hidden-sizes", "1e2,8").agent.critic_hidden_sizes == (100, 8)
    assert parsed("--agent.critic-hidden-sizes", "None").agent.critic_hidden_sizes is None
    assert parsed("--writers", "tensorboard,wandb").writers == ("tensorboard", "wandb")
    assert parsed("--writers=wandb").writers == ("wandb",)
    assert parsed().exploration == ExplorationConfig()
