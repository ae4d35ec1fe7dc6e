"""What anybody who takes a layer expects of it, and what the linters of that world say."""

import json
import re
import subprocess
import sys

import jsonschema
import kas
import pathlib
import pytest
import yaml
from metadata import BSP_LAYER, DISTRO_LAYER, LAYERS, PROJECT, assignments, machines, metadata_files, value

BOTH = [DISTRO_LAYER, BSP_LAYER]
KAS = sorted((LAYERS / "kas").glob("*.yml"))
# Layers, by the name under which others depend on them.
NAMES = {
    "core": "meta",
    "rauc": "meta-rauc",
    "openembedded-layer": "meta-oe",
    "networking-layer": "meta-networking",
    "meta-python": "meta-python",
    "raspberrypi": "meta-raspberrypi",
    "framegate": "yocto/meta-framegate",
    "framegate-bsp": "yocto/meta-framegate-bsp",
}


@pytest.mark.parametrize("layer", BOTH, ids=lambda p: p.name)
def test_a_layer_has_its_papers(layer):
    # As yocto-check-layer asks, and as people do.
    readme = (layer / "README.md").read_text()
    assert "maintainer" in readme.lower() and "patch" in readme.lower() and re.search(r"\S+@\S+", readme)
    for name in ("SECURITY.md", "MAINTAINERS", "COPYING.MIT"):
        assert (layer / name).stat().st_size > 0, name
    assert value(layer / "conf/layer.conf", f"LAYERSERIES_COMPAT_{layer.name.removeprefix('meta-')}") == "wrynose"
    # Either machines or a distribution: a layer with both is refused.
    assert bool(list(layer.glob("conf/machine/*.conf"))) != bool(list(layer.glob("conf/distro/*.conf")))


@pytest.mark.parametrize("path", metadata_files(".bbappend"), ids=lambda p: p.name)
def test_an_append_changes_nothing_for_others(path):
    """A build that only has the layer among its own builds the same as before."""
    names = [name for name, _, _ in assignments(path)] + re.findall(r"^([\w:-]+) ?\(\)", path.read_text(), re.M)
    assert names
    for name in names:
        assert re.search(r":framegate-(distro|bsp|x86)$", name), name


def test_no_recipe_has_the_name_of_an_override():
    """BitBake refuses that: every variable of a package would be one of the override too."""
    files = list(DISTRO_LAYER.glob("conf/distro/*.conf")) + list(BSP_LAYER.glob("conf/machine/**/*.*"))
    overrides = {
        word
        for path in files
        for n, _, v in assignments(path)
        if n in ("DISTROOVERRIDES", "MACHINEOVERRIDES")
        for word in v.split(":")
    }
    overrides |= set(machines())
    assert {"framegate-distro", "framegate-bsp"} <= overrides
    assert overrides.isdisjoint(path.stem.split("_")[0] for path in metadata_files(".bb"))


def test_wks_files_are_where_the_release_looks():
    assert all(path.parent.relative_to(BSP_LAYER) == pathlib.Path("files/wic") for path in LAYERS.rglob("*.wks*"))


def test_oelint_has_nothing_to_say():
    files = metadata_files(".bb", ".inc", ".bbappend", ".bbclass", ".conf")
    command = [
        pathlib.Path(sys.executable).parent / "oelint-adv",
        "--quiet",
        "--relpaths",
        "--constantmods",
        "+oelint.constants.json",
        "--",
    ]
    done = subprocess.run(command + files, cwd=LAYERS, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr.strip(), done.stdout + done.stderr


def load(path):
    return yaml.safe_load(path.read_text())


@pytest.mark.parametrize("path", KAS, ids=lambda p: p.name)
def test_kas_file_is_what_kas_reads(path):
    schema = json.loads((pathlib.Path(kas.__file__).parent / "schema-kas.json").read_text())
    jsonschema.validate(load(path), schema)
    for name in load(path)["header"].get("includes", []):
        assert (path.parent / name).exists(), name


def combined(path):
    """Repositories of a kas file and of those that it includes."""
    content = load(path)
    repos = {}
    for name in content["header"].get("includes", []):
        repos |= combined(path.parent / name)
    return repos | content.get("repos", {})


def test_each_machine_has_a_kas_file():
    named = {load(path)["machine"]: path.stem for path in KAS if "machine" in load(path)}
    assert named == {name: name.removeprefix("framegate-") for name in machines()}


@pytest.mark.parametrize("path", [p for p in KAS if p.stem != "cve"], ids=lambda p: p.name)
def test_every_repository_is_pinned(path):
    for name, repo in combined(path).items():
        if "url" in repo:
            assert re.fullmatch("[0-9a-f]{40}", repo.get("commit", "")), name
            assert ("tag" in repo) != ("branch" in repo), name


@pytest.mark.parametrize("path", [p for p in KAS if "machine" in load(p)], ids=lambda p: p.name)
def test_layers_that_ours_depend_on_are_there(path):
    there = {layer for name, repo in combined(path).items() for layer in (repo.get("layers") or {name: None})}
    for layer in BOTH:
        for name in value(layer / "conf/layer.conf", f"LAYERDEPENDS_{layer.name.removeprefix('meta-')}").split():
            assert NAMES[name] in there, name
        assert f"yocto/{layer.name}" in there
    for name in re.findall(r"needs (meta-\w+)", machines()[load(path)["machine"]].read_text()):
        assert name in there, name


def test_release_of_the_pins_is_the_one_that_is_told():
    common = load(LAYERS / "kas/common.yml")["repos"]
    tags = {common[name]["tag"] for name in ("bitbake", "openembedded-core")}
    assert len(tags) == 1
    assert tags.pop() in (LAYERS / "README.md").read_text()


def test_documents_name_what_is_there():
    text = (PROJECT / "docs/flash.md").read_text() + (LAYERS / "README.md").read_text()
    for name in re.findall(r"`((?:yocto|image|tests|systemd|hw-profiles)/[\w./-]+)`", text):
        assert (PROJECT / name).exists(), name
