import jax
import pytest

from ddpg_jax.runs.machine.cache import THRESHOLD, enable_compilation_cache


@pytest.fixture(autouse=True)
def restored():
    before = jax.config.jax_compilation_cache_dir, getattr(jax.config, THRESHOLD)
    yield
    jax.config.update("jax_compilation_cache_dir", before[0])
    jax.config.update(THRESHOLD, before[1])


def test_the_folder_is_the_users_own_choice_or_their_cache(tmp_path, monkeypatch):
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "chosen"))
    assert enable_compilation_cache() == tmp_path / "chosen"
    jax.config.update("jax_compilation_cache_dir", None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert enable_compilation_cache() == tmp_path / "ddpg_jax"
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "ddpg_jax")
    assert getattr(jax.config, THRESHOLD) == 0


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    jax.config.update("jax_compilation_cache_dir", None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert enable_compilation_cache() is None
    assert jax.config.jax_compilation_cache_dir is None
