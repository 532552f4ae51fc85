import numpy as np
import pytest
from scipy import stats

from ddpg_jax.runs.report.statistics import RESAMPLES, interquartile_mean, probability_of_improvement, wins


def scores(*shape, level=0.0):
    return np.random.default_rng(sum(shape)).normal(level, 1.0, shape)


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_the_interval_of_one_environment_is_scipys(seeds):
    x = scores(seeds, 4)
    found = interquartile_mean([x])
    np.testing.assert_array_equal(found.value, stats.trim_mean(x, 0.25, axis=0))
    expected = stats.bootstrap(
        (x,),
        lambda values, axis: stats.trim_mean(values, 0.25, axis=axis),
        n_resamples=RESAMPLES,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(0),
    ).confidence_interval
    # In batches, scipy draws the same numbers in another order.
    spread = expected.high - expected.low
    np.testing.assert_allclose(found.low, expected.low, atol=0.1 * spread.max())
    np.testing.assert_allclose(found.high, expected.high, atol=0.1 * spread.max())


def test_the_interval_is_of_all_possible_resamples():
    x = np.array([0.0, 1.0, 5.0])
    every = np.array(np.meshgrid(x, x, x)).reshape(3, -1)
    expected = np.percentile(np.repeat(stats.trim_mean(every, 0.25, axis=0), 1000), [2.5, 97.5])
    found = interquartile_mean([x])
    np.testing.assert_allclose([found.low, found.high], expected, atol=1e-12)


def test_seeds_are_drawn_again_within_each_environment():
    far = [np.zeros(6), np.full(6, 100.0)]
    found = interquartile_mean(far)
    assert found.low == found.value == found.high == 50, "each environment always has its half of the scores"
    mixed = interquartile_mean([np.concatenate(far)])
    assert mixed.low < 50 < mixed.high


def test_one_seed_has_no_interval():
    found = interquartile_mean([scores(1, 3)])
    assert np.isfinite(found.value).all()
    assert np.isnan([found.low, found.high]).all()
    assert np.isnan(probability_of_improvement([scores(5)], [scores(1)]).low)


def test_the_probability_of_improvement_is_mann_and_whitneys():
    x, y = np.array([1.0, 2.0, 2.0, 5.0]), np.array([2.0, 0.0, 3.0])
    found = probability_of_improvement([x], [y])
    assert found.value == stats.mannwhitneyu(x, y).statistic / 12
    assert found.low <= found.value <= found.high
    assert wins(x, x) == 0.5
    assert wins(x, x - 10) == 1
    two = probability_of_improvement([x, y], [y, x])
    assert two.value == pytest.approx(0.5)


def test_both_values_are_rliables():
    metrics = pytest.importorskip("rliable.metrics", reason="rliable is not installed")
    x, y = scores(8, 3, level=0.6), scores(7, 3)
    assert interquartile_mean(list(x.T)).value == pytest.approx(metrics.aggregate_iqm(x), abs=1e-12)
    assert probability_of_improvement(list(x.T), list(y.T)).value == pytest.approx(
        float(metrics.probability_of_improvement(x, y)), abs=1e-12
    )


def test_both_intervals_are_rliables():
    try:
        from rliable import library, metrics
    except (ImportError, TypeError) as error:
        pytest.skip(f"rliable cannot be imported here: {error}")
    x, y = scores(8, 3, level=0.6), scores(7, 3)
    _, interval = library.get_interval_estimates({"x": x}, lambda s: np.array([metrics.aggregate_iqm(s)]), reps=4000)
    found = interquartile_mean(list(x.T))
    np.testing.assert_allclose([found.low, found.high], interval["x"][:, 0], atol=0.1 * np.ptp(interval["x"]))

    better = lambda a, b: np.array([metrics.probability_of_improvement(a, b)])  # noqa: E731
    _, interval = library.get_interval_estimates({"xy": (x, y)}, better, reps=1000)
    found = probability_of_improvement(list(x.T), list(y.T))
    np.testing.assert_allclose([found.low, found.high], interval["xy"][:, 0], atol=0.1 * np.ptp(interval["xy"]))
