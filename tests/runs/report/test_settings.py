"""Settings as they stand in tables and tell runs apart."""

from ddpg_jax.config import Config
from ddpg_jax.runs.report.settings import differing, flat_settings, shown


def test_arguments_of_an_environment_are_one_line():
    config = Config(env_kwargs={"g": 9.0, "a": [1, {"b": None}]}, wrappers=("FlattenObservation",))
    flat = flat_settings(config)
    assert shown(flat["env_kwargs"]) == 'a = [1, {"b": null}], g = 9.0'
    assert shown(flat["wrappers"]) == "FlattenObservation"
    assert shown(flat_settings(Config())["env_kwargs"]) == "none"
    assert {*flat.values()}, "a group of runs is known by its values"


def test_other_arguments_are_another_setting():
    many = [flat_settings(Config(env_kwargs=given)) for given in ({}, {"g": 9.0}, {"h": 9.0})]
    assert differing(many) == ["env_kwargs"]
