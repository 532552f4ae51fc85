"""JSON objects on the command line, whole and name by name."""

import shlex

import pytest

from ddpg_jax.config import ConfigError
from ddpg_jax.runs.console.json_flags import join_names


@pytest.mark.parametrize(
    ("line", "joined"),
    [
        ("--seed 3", "--seed 3"),
        ("--kw '{}' --seed 3", "--kw '{}' --seed 3"),
        ("--kw.g 9.0 --seed 3", """--seed 3 --kw '{"g": 9.0}'"""),
        ("--kw.g=9 --kw.name fast", """--kw '{"g": 9, "name": "fast"}'"""),
        ("--kw.on true --kw.low -1 --kw.sizes '[1, 2]'", """--kw '{"on": true, "low": -1, "sizes": [1, 2]}'"""),
        ("""--kw '{"g": 1, "h": 2}' --kw.g 3""", """--kw '{"g": 1, "h": 2}' --kw '{"g": 3, "h": 2}'"""),
        ("""'--kw={"g":1}' --kw.g 3 --kw.g 4""", """'--kw={"g":1}' --kw '{"g": 4}'"""),
        ("--kw.frame-skip 4", """--kw '{"frame_skip": 4}'"""),
        ("--kw.name_of=a=b", """--kw '{"name_of": "a=b"}'"""),
    ],
)
def test_what_is_given_by_name_is_one_object(line, joined):
    assert join_names("--kw", shlex.split(line)) == shlex.split(joined)


@pytest.mark.parametrize("line", ["--kw.g", "--kw.g --seed 3", "--kw.g=--seed", "--kw 3 --kw.g 3"])
def test_what_has_no_value_or_no_place_is_refused(line):
    with pytest.raises(ConfigError, match=r"option --kw(\.g needs a value| must be a JSON object, not 3)"):
        join_names("--kw", line.split())
