import json
import random
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ddpg_jax.runs.console.errors import StorageError
from ddpg_jax.runs.storage import checkpoint
from ddpg_jax.runs.storage.checkpoint import HOST, STATE
from ddpg_jax.runs.storage.fault_points import PASSED, VARIABLE
from ddpg_jax.runs.storage.manifest import MANIFEST, dumps, loads, regular_files, write_manifest
from ddpg_jax.runs.storage.run_state import read_progress


def tree(step):
    return {
        "params": (jnp.full((3, 4), step, jnp.float32), ()),
        "rows": {"float32": jnp.arange(600.0).reshape(100, 2, 3), "uint8": jnp.ones((100, 2, 5), jnp.uint8)},
        "empty": jnp.zeros((0, 3)),
        "nan": jnp.float32(jnp.nan),
        "flag": jnp.array([True, False]),
        "step": jnp.int32(step),
    }


LIKE = jax.eval_shape(lambda: tree(0))


def save(run, step, keep=2):
    return checkpoint.save(run, step, tree(step), b"host", {"seconds": 0.1}, keep)


def nothing_to_say(line):
    raise AssertionError(line)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    run = tmp_path_factory.mktemp("two")
    return run, save(run, 10), save(run, 20)


def test_a_checkpoint_that_is_pruned_while_it_is_read_gives_way_to_the_next(tmp_path, monkeypatch):
    save(tmp_path, 10, keep=1)
    restore = checkpoint.restore

    def late(found, *arguments):
        monkeypatch.setattr(checkpoint, "restore", restore)
        save(tmp_path, 20, keep=1)
        return restore(found, *arguments)

    monkeypatch.setattr(checkpoint, "restore", late)
    found, part = checkpoint.read(lambda: checkpoint.newest(tmp_path, nothing_to_say), LIKE["rows"], "rows.")
    assert found.step == 20
    np.testing.assert_array_equal(part["float32"], tree(20)["rows"]["float32"])


def test_what_is_restored_is_what_was_saved(two):
    run, _, newer = two
    found = checkpoint.newest(run, nothing_to_say)
    assert (found.path, found.step, found.progress) == (newer, 20, {"seconds": 0.1})
    assert (found.path / HOST).read_bytes() == b"host"
    restored = checkpoint.restore(found, LIKE)
    assert jax.tree.structure(restored) == jax.tree.structure(LIKE)
    for mine, theirs in zip(jax.tree.leaves(restored), jax.tree.leaves(tree(20)), strict=True):
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs)


def test_a_part_can_be_restored_alone(two):
    found = checkpoint.newest(two[0], nothing_to_say)
    part = checkpoint.restore(found, LIKE["rows"], "rows.")
    np.testing.assert_array_equal(part["float32"], tree(20)["rows"]["float32"])


def test_only_the_newest_are_kept_and_nothing_unfinished_stays(tmp_path):
    for step in (1, 2, 3, 4):
        save(tmp_path, step, keep=3)
    assert [path.name for path in checkpoint.complete(tmp_path / "checkpoints")] == [
        "000002-step2", "000003-step3", "000004-step4",
    ]  # fmt: skip
    assert len(list((tmp_path / "checkpoints").iterdir())) == 3


def damage(rng, path):
    """Flip a bit, truncate, append, delete or empty a file; returns what was done."""
    kind = rng.choice(["flip", "truncate", "append", "delete", "empty"])
    content = path.read_bytes()
    if not content and kind in ("flip", "truncate", "empty"):
        kind = "append"
    if kind == "flip":
        place = rng.randrange(len(content))
        content = content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :]
    elif kind == "truncate":
        content = content[: rng.randrange(len(content))]
    elif kind == "append":
        content += bytes([rng.randrange(256)])
    elif kind == "empty":
        content = b""
    path.unlink()
    if kind != "delete":
        path.write_bytes(content)
    return kind


def test_200_of_200_corruptions_are_detected_and_the_one_before_is_used(two):
    run, older, newer = two
    rng, seen = random.Random(0), set()
    files = sorted(regular_files(newer))
    for _ in range(200):
        path = newer / rng.choice(files)
        intact = path.read_bytes()
        seen.add(damage(rng, path))
        lines = []
        found = checkpoint.newest(run, lines.append)
        assert (found.path, found.step) == (older, 10), path
        assert len(lines) == 1
        assert lines[0].startswith("a newer checkpoint is damaged: ")
        assert lines[0].endswith("going on from 000001-step10")
        path.write_bytes(intact)
    assert len(seen) == 5
    assert checkpoint.newest(run, nothing_to_say).path == newer


def test_when_all_are_damaged_none_is_used(two, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(two[0], run)
    for path in checkpoint.complete(run / "checkpoints"):
        (path / HOST).write_bytes(b"other")
    with pytest.raises(StorageError, match=r"every checkpoint in .* is damaged: .*step20/host.bin has 5.*step10/host"):
        checkpoint.newest(run, nothing_to_say)


def test_a_run_without_a_checkpoint_has_none(tmp_path):
    assert checkpoint.newest(tmp_path, nothing_to_say) is None


def test_damaged_ones_are_set_aside_and_not_counted(two, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(two[0], run)
    newer = checkpoint.complete(run / "checkpoints")[-1]
    (newer / HOST).write_bytes(b"other")
    checkpoint.set_aside(checkpoint.newest(run, lambda line: None))
    assert (run / "checkpoints" / "000002-step20.damaged" / HOST).read_bytes() == b"other"
    assert save(run, 20).name == "000003-step20"
    assert checkpoint.newest(run, nothing_to_say).path.name == "000003-step20"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"params": jax.ShapeDtypeStruct((3, 5), jnp.float32)},
            r"params holds float32\[3, 4\], .* ask for float32\[3, 5\]",
        ),
        (
            {"params": jax.ShapeDtypeStruct((3, 4), jnp.float16)},
            r"params holds float32\[3, 4\], .* ask for float16\[3, 4\]",
        ),
        ({"other": jax.ShapeDtypeStruct((3, 4), jnp.float32)}, r"holds no array other"),
    ],
)
def test_other_shapes_than_the_settings_ask_for_are_refused(tmp_path, change, message):
    checkpoint.save(tmp_path, 1, {"params": jnp.ones((3, 4))}, b"", {}, 2)
    with pytest.raises(StorageError, match=message):
        checkpoint.restore(checkpoint.newest(tmp_path, nothing_to_say), change)


@pytest.mark.parametrize(
    "huge", [{"shape": [10**12, 4]}, {"chunks": [10**12, 4]}, "[" * 10_000, "[" * 100_000, "3", "{}"]
)
def test_oversized_headers_are_refused_before_anything_is_allocated(tmp_path, huge):
    """Also where the manifest vouches for them: a checkpoint may come from anyone."""
    path = checkpoint.save(tmp_path, 1, {"params": jnp.ones((3, 4))}, b"", {}, 2)
    header = path / STATE / "params" / ".zarray"
    header.write_text(huge if isinstance(huge, str) else json.dumps(json.loads(header.read_text()) | huge))
    about = loads(path / MANIFEST)
    (path / MANIFEST).unlink()
    write_manifest(path, {name: about[name] for name in ("step", "progress", "arrays")})
    found = checkpoint.newest(tmp_path, nothing_to_say)
    with pytest.raises(StorageError, match=r"params"):
        checkpoint.restore(found, {"params": jax.ShapeDtypeStruct((3, 4), jnp.float32)})


@pytest.mark.parametrize("point", ["saving", "state-saved", "manifest-saved"])
def test_a_full_disk_leaves_the_one_before_and_says_how_much_is_needed(tmp_path, monkeypatch, point):
    older = save(tmp_path, 10)
    PASSED.clear()
    monkeypatch.setenv(VARIABLE, f"{point}:1:full")
    needed = sum(leaf.nbytes for leaf in jax.tree.leaves(tree(0))) + 4 + 2**20
    with pytest.raises(
        StorageError, match=rf"No space left on device; it needs up to {needed:,} bytes, and [\d,]+ are"
    ):
        save(tmp_path, 20)
    assert checkpoint.newest(tmp_path, nothing_to_say).path == older
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["000001-step10"]


def test_a_manifest_that_was_made_for_another_file_is_refused(two, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(two[0], run)
    older, newer = checkpoint.complete(run / "checkpoints")
    shutil.copy(older / MANIFEST, newer / MANIFEST)
    assert checkpoint.newest(run, lambda line: None).path == older


@pytest.mark.parametrize("missing", ["step", "progress"])
def test_a_manifest_without_step_or_progress_is_refused(tmp_path, missing):
    path = save(tmp_path, 1)
    about = loads(path / MANIFEST)
    (path / MANIFEST).unlink()
    write_manifest(path, {name: about[name] for name in ("step", "progress", "arrays") if name != missing})
    with pytest.raises(StorageError, match="without step, progress or arrays"):
        checkpoint.newest(tmp_path, nothing_to_say)


@pytest.mark.parametrize("values", [{}, {"means": {}, "speed": 3}, {"means": {"total": 3}}, {"means": 3}])
def test_a_progress_of_another_version_is_refused(values):
    with pytest.raises(StorageError, match="not what this version writes"):
        read_progress(values)


def test_manifests_say_what_they_hold(two):
    about = loads(two[2] / MANIFEST)
    assert about["arrays"]["rows.float32"] == {"shape": [100, 2, 3], "dtype": "float32"}
    assert dumps(about) == (two[2] / MANIFEST).read_text()


def test_what_another_version_wrote_is_refused_with_what_to_do(two):
    found = checkpoint.newest(two[0], nothing_to_say)
    with pytest.raises(
        StorageError, match=r"holds no array params\.2, .* go on with the version that the run's config\.json"
    ):
        checkpoint.restore(found, {"params": (*LIKE["params"], LIKE["step"])})
