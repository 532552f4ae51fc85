import pytest

from ddpg_jax.training.pace import next_pace


@pytest.mark.parametrize(
    ("steps", "seconds", "expected"),
    [(100, 1.0, 100), (100, 0.5, 200), (100, 0.01, 400), (100, 0.0, 400), (100, 1.5, 66), (100, 30.0, 50), (1, 9.0, 1)],
)
def test_a_call_takes_about_a_second_and_one_that_compiled_only_halves_it(steps, seconds, expected):
    assert next_pace(steps, seconds) == expected
