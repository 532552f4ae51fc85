"""Each figure of the pages on results and performance is one of a results file."""

import json
import pathlib

from docs.generate import figures

ROOT = pathlib.Path(__file__).parents[2]
SAID = {name: (ROOT / "docs" / f"{name}.md").read_text() for name in ("results", "performance")}


def results(name):
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())


def row(first):
    """Cells of the row of results.md that begins with these words, without that first one."""
    (line,) = [line for line in SAID["results"].splitlines() if line.startswith(f"| {first} |")]
    return [cell.strip() for cell in line.split("|")[2:-1]]


def test_returns_are_those_of_the_results():
    parity = results("intel-xeon-2-threads")["sections"]["learning_parity"]["results"]["curves"]
    for side, first in (("ddpg_jax", "ddpg_jax"), ("PyTorch", "PyTorch, same algorithm")):
        curve = parity[side]
        assert row(first) == [f"{curve['final mean']:.1f}", f"{curve['final worst seed']:.1f}"]
    names = {"pendulum": "DDPG", "pendulum-td3": "TD3", "pendulum-prioritized": "prioritised replay"}
    tasks = results("tasks")["results"]
    for task, first in {**names, "pendulum-3-step": "3-step returns"}.items():
        middle, low, high = tasks[task]["interquartile_mean"]
        assert row(first) == [f"{middle:.1f}", f"{low:.1f} to {high:.1f}"]


def test_times_to_solve_are_those_of_the_results():
    methods = {
        "ours": "ddpg_jax, preset `pendulum`", "sbx-ddpg-like-ours": "SBX DDPG, our network and batch",
        "sb3-ddpg-like-ours": "Stable-Baselines3 DDPG, our network and batch",
        "sb3-ddpg": "Stable-Baselines3 DDPG, zoo settings", "sb3-td3": "Stable-Baselines3 TD3, zoo settings",
        "sb3-sac": "Stable-Baselines3 SAC, zoo settings", "sb3-ppo": "Stable-Baselines3 PPO, zoo settings",
        "sbx-td3": "SBX TD3, zoo settings", "sbx-sac": "SBX SAC, zoo settings",
    }  # fmt: skip
    table = {each["method"]: each for each in results("intel-xeon-2-threads")["sections"]["solve"]["results"]["table"]}
    for method, first in methods.items():
        each = table[method]
        seconds = f"{each['median seconds']} ({each['least']} to {each['most']})"
        solved = f"{each['solved']} of {each['seeds']}"
        assert row(first) == [solved, f"{each['median steps']:,}", seconds]


def test_what_is_said_of_speed_is_what_was_measured():
    sections = results("intel-xeon-2-threads")["sections"]
    said = SAID["performance"]
    updates = {point["batch"]: point["ratios"] for point in sections["update"]["results"]}
    training = {point["batch_size"]: point["ratios"] for point in sections["training"]["results"]}
    builds = results("amd-epyc-avx512-builds")["results"]
    kept = {point["case"]: point["ratios"]["this / other"][1] for point in builds}
    options, start = results("options")["results"], sections["start"]["results"]
    memory = sections["replay"]["results"]["memory"]
    grown = [point["resident / predicted"] for point in memory if point["capacity"] >= 1e6]
    cold, cached = (figures.times_one_update(start, f"Gymnasium, {cache}")[1] for cache in ("cold", "cached"))
    figures_said = (
        f"{updates[256]['fraction of best product'][1]:.2f} of the rate",
        f"{updates[64]['fraction of best product'][1]:.2f} of that rate",
        f"{1 - training[256]['training / bare update'][1]:.0%} (batch 256)".replace("%", " %"),
        f"{1 - training[64]['training / bare update'][1]:.0%} (batch 64)".replace("%", " %"),
        f"{training[0]['time of collecting / environment'][1]:.1f} times the time of Pendulum's own step",
        f"to {kept['Gymnasium, batch 64']:.2f} (batch 64) and {kept['Gymnasium, batch 256']:.2f} (batch 256)",
        f"running statistics ({kept['Gymnasium, batch 64, running statistics']:.2f})",
        f"collecting without updates ({kept['Gymnasium, collecting']:.2f})",
        f"{cold:.2f} times that, {start['seconds']['Gymnasium, cold'][1]:.1f} s",
        f"{cached:.2f} times the same update from the cache, {start['seconds']['Gymnasium, cached'][1]:.1f} s",
        f"grew by {min(grown):.3f} to {max(grown):.3f} times",
        f"TD3 takes {options['td3']['ratios']['time of TD3 / DDPG'][1]:.2f} times",
        f"prioritised replay {options['training']['ratios']['time with prioritized / without'][1]:.3f}",
        f"3-step returns {options['training']['ratios']['time with 3-step / without'][1]:.3f}",
    )
    assert [figure for figure in figures_said if figure not in said] == []
