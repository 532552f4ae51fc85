"""`--help` shows what one changes first, `--help-all` everything."""

import re
from dataclasses import fields

import pytest

from ddpg_jax.config import Config
from ddpg_jax.runs.console import cli
from ddpg_jax.runs.console.flags import section_flags
from ddpg_jax.runs.console.help import MAIN_SETTINGS

SETTINGS = dict(section_flags(Config()))


def shown(args, capsys):
    """The help that a command line prints, and the settings in it, in order."""
    with pytest.raises(SystemExit) as ended:
        cli.main(args)
    assert ended.value.code == 0
    out = capsys.readouterr().out
    settings = [flag for flag in re.findall(r"^. (--[a-z.-]+)", out, re.MULTILINE) if flag in SETTINGS]
    return re.sub(r"[│|\s]+", " ", out), settings


def test_help_shows_the_twelve_settings_that_matter_and_the_commands_own_options(capsys):
    out, settings = shown(["train", "--help"], capsys)
    assert len(settings) == 12
    assert {"--env", "--seed", "--train.total-steps", "--agent.actor-lr", "--replay.discount"} <= set(settings)
    for words in ("--preset", "--run-dir", "--import", "An example: ddpg-jax train --", "--help-all"):
        assert words in out
    for words in ("Discount gamma of one step", "Environments stepped together", "(default: 0.98)"):
        assert words in out


def test_help_shows_the_values_of_the_chosen_preset(capsys):
    out, _ = shown(["train", "--preset", "td3", "--help"], capsys)
    assert "(default: 400 300)" in out
    assert shown(["train", "-h", "--preset", "td3"], capsys)[0] == out


def test_help_all_shows_every_setting_with_its_meaning(capsys):
    out, settings = shown(["train", "--help-all"], capsys)
    assert sorted(settings) == sorted(SETTINGS)
    assert "--preset" in out
    for words in ("Discount gamma of one step", "rate of return to the mean", "Environments stepped together"):
        assert words in out


def test_main_settings_come_in_the_order_and_near_the_beginning_of_their_section():
    for kind, names in MAIN_SETTINGS.items():
        places = [[field.name for field in fields(kind)].index(name) for name in names]
        assert places == sorted(places)
        assert kind is Config or max(places) < 4, kind


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_knows_both(command, capsys):
    assert shown([command, "--help"], capsys)[0].startswith(f"usage: ddpg-jax {command}")
    assert shown([command, "--help-all"], capsys)[0].startswith(f"usage: ddpg-jax {command}")
