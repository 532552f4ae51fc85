import pytest

from ddpg_jax.training.pace import next_pace


@pytest.mark.parametrize(
    ("pace", "steps", "seconds", "expected"),
    [
        (100, 100, 1.0, 100),
        (100, 100, 0.5, 200),
        (100, 100, 0.01, 400),
        (100, 100, 0.0, 400),
        (100, 100, 30.0, 50),
        (100, 10, 0.1, 100),  # a short call says how fast it is, and nothing against long ones
        (100, 10, 10.0, 50),
        (1, 1, 9.0, 1),
    ],
)
def test_a_call_takes_about_a_second_and_one_that_compiled_only_halves_it(pace, steps, seconds, expected):
    assert next_pace(pace, steps, seconds) == expected
