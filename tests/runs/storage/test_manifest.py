import hashlib
import json

import pytest

from ddpg_jax.runs.console.errors import StorageError
from ddpg_jax.runs.storage.manifest import LARGEST, MANIFEST, dumps, loads, read_manifest, write_manifest


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "a.bin").write_bytes(b"precious")
    (tmp_path / "inner" / "b.bin").write_bytes(b"")
    write_manifest(tmp_path, {"step": 7})
    return tmp_path


def test_a_folder_that_was_not_touched_gives_its_manifest_back(folder):
    manifest = read_manifest(folder)
    assert manifest["step"] == 7
    assert manifest["files"]["a.bin"]["bytes"] == 8
    # `printf precious | sha256sum`
    assert manifest["files"]["a.bin"]["sha256"].startswith("157fc55121ab2c59")
    assert set(manifest["files"]) == {"a.bin", "inner/b.bin"}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "a.bin").write_bytes(b"preciouS"), "a.bin is not what was written"),
        (lambda f: (f / "a.bin").write_bytes(b"preciou"), "a.bin has 7 bytes, not 8"),
        (lambda f: (f / "a.bin").unlink(), "a.bin is missing"),
        (lambda f: (f / "c.bin").write_bytes(b""), "c.bin is not listed"),
        (lambda f: (f / MANIFEST).unlink(), "manifest.json is missing"),
        (lambda f: (f / MANIFEST).write_text(""), "manifest.json is not what was written"),
        (lambda f: (f / MANIFEST).write_text("[" * 100_000), "manifest.json is not what was written"),
        (lambda f: (f / MANIFEST).write_text((f / MANIFEST).read_text() + "\n"), "manifest.json is not what was"),
        (lambda f: (f / MANIFEST).write_text(" " * (LARGEST + 1)), "more than 16,777,216 are not read"),
        (lambda f: (f / "a.bin").rename(f / "d.bin"), "is missing"),
    ],
)
def test_anything_else_is_named(folder, damage, message):
    damage(folder)
    with pytest.raises(StorageError, match=message):
        read_manifest(folder)


def test_links_are_not_followed(folder, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "a.bin"
    outside.write_bytes(b"precious")
    (folder / "a.bin").unlink()
    (folder / "a.bin").symlink_to(outside)
    with pytest.raises(StorageError, match="a link or a special file"):
        read_manifest(folder)


def test_a_folder_that_is_a_link_is_not_followed(folder, tmp_path_factory):
    link = tmp_path_factory.mktemp("elsewhere") / "link"
    link.symlink_to(folder)
    with pytest.raises(StorageError, match="links are not followed"):
        read_manifest(link)


@pytest.mark.parametrize("name", ["../a.bin", "/etc/hostname", "inner/../a.bin"])
def test_names_that_lead_elsewhere_are_not_followed(folder, name):
    manifest = loads(folder / MANIFEST)
    manifest["files"][name] = manifest["files"]["a.bin"]
    (folder / MANIFEST).write_text(dumps(manifest))
    with pytest.raises(StorageError, match="is missing"):
        read_manifest(folder)


def test_another_format_is_refused(folder):
    manifest = loads(folder / MANIFEST) | {"format": 2}
    (folder / MANIFEST).write_text(dumps(manifest))
    with pytest.raises(StorageError, match="has the format 2; this version reads 1"):
        read_manifest(folder)


@pytest.mark.parametrize("other", [3, [], {}, {"format": 1}, {"format": 1, "files": {"a.bin": {}, "inner/b.bin": 3}}])
def test_an_intact_manifest_of_something_else_is_refused(folder, other):
    (folder / MANIFEST).write_text(dumps(other))
    with pytest.raises(StorageError, match=r"manifest\.json"):
        read_manifest(folder)


def test_the_manifest_is_json_that_others_can_read(folder):
    assert json.loads((folder / MANIFEST).read_text())["manifest"]["step"] == 7


def test_numbers_that_are_not_finite_are_null_and_older_manifests_that_hold_them_are_read(tmp_path):
    file = tmp_path / MANIFEST
    file.write_text(dumps({"progress": {"last": float("inf")}}))
    assert "Infinity" not in file.read_text()
    assert loads(file) == {"progress": {"last": None}}
    body = '{"progress": {"best": Infinity, "last": NaN}}'
    seal = hashlib.sha256(body.encode()).hexdigest()
    older = f'{{"manifest": {body}, "sha256": "{seal}"}}'
    file.write_text(json.dumps(json.loads(older), indent=1, sort_keys=True) + "\n")
    assert loads(file)["progress"]["best"] == float("inf")
