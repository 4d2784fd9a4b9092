import json

import pytest

from aether.images import recipes
from aether.images.catalog import ImageSettings, load_images, load_runtimes
from aether.images.errors import MissingImages
from aether.images.store import ImageStore


@pytest.fixture
def cache(tmp_path):
    """A cache in which set-up has run, with small stand-ins for what it makes."""
    store = ImageStore(tmp_path / "cache")

    def file(name, content):
        return lambda into: (into / name).write_bytes(content)

    kernel = store.build(recipes.KERNEL, recipes.kernel_recipe(), file("vmlinux", b"\x7fELF\x02\x01kernel"))
    store.build(recipes.INITRD, recipes.initrd_recipe(kernel), file("initrd", b"initrd"))
    store.build(recipes.BARE_INITRD, recipes.initrd_recipe(None), file("initrd", b"bare"))
    store.build(recipes.NODE, recipes.node_recipe(), file("node.ext4", b"root"))
    return tmp_path / "cache"


@pytest.fixture
def own_kernel(tmp_path):
    path = tmp_path / "vmlinux"
    path.write_bytes(b"\x7fELF\x02\x01my kernel")
    return path


def test_what_set_up_made_is_found(cache):
    images = load_images(cache)
    assert images.kernel.kernel.read_bytes().startswith(b"\x7fELF")
    assert images.kernel.initrd.read_bytes() == b"initrd"
    node = images.runtimes["node"]
    assert node.root.read_bytes() == b"root"
    assert node.command == ("/usr/bin/node", "/opt/aether/bootstrap.cjs")
    assert (node.user, node.default_entrypoint) == (1000, "handler.js")
    assert node.digest


def test_an_empty_cache_names_the_command(tmp_path):
    with pytest.raises(MissingImages) as caught:
        load_images(tmp_path)
    assert caught.value.hint == "run: aether setup"
    assert "not there" in caught.value.message


def test_images_of_older_sources_are_not_used(cache, monkeypatch):
    monkeypatch.setattr(recipes, "node_recipe", lambda: "0123456789ab")
    with pytest.raises(MissingImages, match="older sources"):
        load_images(cache)


def test_the_users_kernel_comes_with_an_initramfs_without_modules(cache, own_kernel):
    ours = load_images(cache)
    images = load_images(cache, ImageSettings(kernel_path=own_kernel))
    assert images.kernel.kernel == own_kernel
    assert images.kernel.initrd.read_bytes() == b"bare"
    assert images.kernel.digest != ours.kernel.digest
    before = images.kernel.digest
    own_kernel.write_bytes(b"\x7fELF\x02\x01another")
    assert load_images(cache, ImageSettings(kernel_path=own_kernel)).kernel.digest != before


def test_a_compressed_kernel_is_refused_with_what_to_do(cache, own_kernel):
    own_kernel.write_bytes(b"MZ compressed")
    with pytest.raises(MissingImages, match="uncompressed") as caught:
        load_images(cache, ImageSettings(kernel_path=own_kernel))
    assert "extract-vmlinux" in caught.value.hint
    with pytest.raises(MissingImages, match="no file"):
        load_images(cache, ImageSettings(kernel_path=own_kernel.parent / "absent"))


def test_a_file_is_the_root_of_node_by_the_seeds_recipe(cache, tmp_path):
    root = tmp_path / "rootfs.ext4"
    root.write_bytes(b"mine")
    images = load_images(cache, ImageSettings(runtime_path=root))
    node = images.runtimes["node"]
    assert list(images.runtimes) == ["node"]
    assert (node.root, node.command, node.user, node.group) == (root, ("/init",), 0, 0)
    assert node.default_entrypoint == "handler.js"


def test_a_file_as_root_needs_no_node_of_ours(tmp_path):
    root = tmp_path / "rootfs.ext4"
    root.write_bytes(b"mine")
    assert load_runtimes(ImageStore(tmp_path / "empty"), ImageSettings(runtime_path=root))["node"].digest


def test_a_folder_adds_runtimes_and_replaces_ours_of_the_same_name(cache, tmp_path):
    folder = tmp_path / "runtimes"
    folder.mkdir()
    (folder / "ruby.ext4").write_bytes(b"ruby")
    settings = ImageSettings(runtime_path=folder)
    images = load_images(cache, settings)
    assert set(images.runtimes) == {"node", "ruby"}
    assert images.runtimes["node"].user == 1000
    (folder / "node.ext4").write_bytes(b"my node")
    assert load_images(cache, settings).runtimes["node"].command == ("/init",)


def test_a_record_beside_a_root_says_how_it_runs(cache, tmp_path):
    root = tmp_path / "ruby.ext4"
    root.write_bytes(b"ruby")
    record = {"command": ["/usr/bin/ruby", "/app.rb"], "user": 1001, "default_entrypoint": "handler.rb"}
    root.with_suffix(".json").write_text(json.dumps(record))
    runtime = load_images(cache, ImageSettings(runtime_path=root)).runtimes["node"]
    assert (runtime.command, runtime.user, runtime.group) == (("/usr/bin/ruby", "/app.rb"), 1001, 1001)
    assert runtime.default_entrypoint == "handler.rb"


@pytest.mark.parametrize(
    "record", ["{", "[]", '{"command": "node"}', '{"command": []}', '{"command": [1]}', '{"user": "me"}']
)
def test_a_wrong_record_is_named(cache, tmp_path, record):
    root = tmp_path / "ruby.ext4"
    root.write_bytes(b"ruby")
    root.with_suffix(".json").write_text(record)
    with pytest.raises(MissingImages, match=r"ruby\.json"):
        load_images(cache, ImageSettings(runtime_path=root))


def test_a_path_that_is_nothing_is_named(cache, tmp_path):
    with pytest.raises(MissingImages, match="RUNTIME_PATH"):
        load_images(cache, ImageSettings(runtime_path=tmp_path / "absent"))
