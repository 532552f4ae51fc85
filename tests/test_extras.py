"""What `.ci/extras` installs and uses, which takes too long to be done here."""

import pathlib
import re
import tomllib

ROOT = pathlib.Path(__file__).parents[1]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def test_every_extra_is_used_once():
    uses = re.findall(r"^    ([a-z0-9]+)\) ", (ROOT / ".ci" / "extras").read_text(), re.MULTILINE)
    assert uses == list(EXTRAS)


def test_what_minari_imports_comes_with_it():
    """Minari 0.5.4 imports Pillow and does not ask for it."""
    assert any(needed.startswith("pillow") for needed in EXTRAS["minari"])


def test_the_lock_holds_a_version_of_everything_that_is_asked_for():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    locked = {line.split("==")[0].lower().replace("_", "-") for line in lines}
    asked = {re.match(r"[\w.-]+", needed)[0].lower() for extra in EXTRAS.values() for needed in extra}
    assert asked - {"ddpg-jax", "ddpg_jax"} <= locked
