"""The recipe of framegate says the same as Cargo.toml, Cargo.lock and the files that it is made of."""

import hashlib
import re
import subprocess
import tomllib

import pytest
from metadata import (
    CARGO,
    DISTRO_LAYER,
    PROJECT,
    RECIPES,
    VERSION,
    all_values,
    local_sources,
    metadata_files,
    unpack,
    value,
)

INC = RECIPES / "framegate/framegate.inc"
CRATES = RECIPES / "framegate/framegate-crates.inc"
LOCK = tomllib.loads((PROJECT / "Cargo.lock").read_text())["package"]
# What the layers' release brings: openembedded-core, tag yocto-6.0.2.
RUST_OF_WRYNOSE = (1, 94)


def test_crates_are_those_of_the_lock_file():
    wanted = {(p["name"], p["version"]): p["checksum"] for p in LOCK if "source" in p}
    text = CRATES.read_text()
    fetched = re.findall(r"crate://crates\.io/([^/\s]+)/(\S+)", text)
    sums = dict(re.findall(r'^SRC_URI\[(\S+)\.sha256sum\] = "([0-9a-f]{64})"$', text, re.M))
    assert sorted(fetched) == sorted(wanted)
    assert sums == {f"{name}-{version}": checksum for (name, version), checksum in wanted.items()}
    assert subprocess.run([PROJECT / "yocto/update-crates", "--check"]).returncode == 0


def test_a_crate_from_elsewhere_is_refused():
    module = {"__name__": "update_crates", "__file__": str(PROJECT / "yocto/update-crates")}
    exec(compile((PROJECT / "yocto/update-crates").read_text(), "update-crates", "exec"), module)
    lock = '[[package]]\nname = "a"\nversion = "1.0.0"\nsource = "git+https://example.org/a"\nchecksum = "00"\n'
    with pytest.raises(ValueError, match="a 1.0.0 is not from crates.io"):
        module["crates_inc"](lock)


def test_one_recipe_of_the_version_of_the_crate():
    assert [path.name for path in (RECIPES / "framegate").glob("*.bb")] == [f"framegate_{VERSION}.bb"]
    assert value(DISTRO_LAYER / "conf/distro/framegate.conf", "DISTRO_VERSION") == VERSION


def test_rust_of_the_release_is_new_enough():
    assert tuple(int(n) for n in CARGO["package"]["rust-version"].split(".")) <= RUST_OF_WRYNOSE


def test_packageconfig_follows_the_features_of_the_crate():
    options = [v for v in re.findall(r"^PACKAGECONFIG\[(\w+)\]", INC.read_text(), re.M)]
    assert sorted(options) == sorted(set(CARGO.get("features", {})) - {"default"})


def test_licence_is_that_of_the_crate():
    assert value(INC, "LICENSE").replace("|", "OR") == CARGO["package"]["license"]


@pytest.mark.parametrize(
    "path", [p for p in metadata_files(".bb", ".inc") if "LIC_FILES_CHKSUM" in p.read_text()], ids=lambda p: p.name
)
def test_licence_checksums(path):
    for name, checksum in re.findall(r"file://(\S+);md5=([0-9a-f]+)", value(path, "LIC_FILES_CHKSUM")):
        assert hashlib.md5((PROJECT / name).read_bytes()).hexdigest() == checksum, name


@pytest.mark.parametrize(
    "path", [p for p in metadata_files(".bb", ".inc") if "file://" in p.read_text()], ids=lambda p: p.name
)
def test_local_sources_exist(path):
    for name in local_sources(path):
        source = PROJECT / name if (PROJECT / name).exists() else path.parent / "files" / name
        assert source.exists(), name
        # BitBake makes no checksum of what a link to a device leads to.
        assert not any(p.is_symlink() for p in source.rglob("*")), name


def test_what_the_recipe_takes_is_enough_to_build(tmp_path):
    unpack(INC, tmp_path)
    told = subprocess.run(
        ["cargo", "metadata", "--offline", "--locked", "--no-deps", "--format-version", "1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stderr
    # cargo builds nothing while a target that the manifest names is missing, and says so only then.
    for kind, folder in (("bench", "benches"), ("test", "tests"), ("example", "examples"), ("bin", "src/bin")):
        for target in CARGO.get(kind, []):
            places = (
                [target["path"]]
                if "path" in target
                else [f"{folder}/{target['name']}.rs", f"{folder}/{target['name']}/main.rs"]
            )
            assert any((tmp_path / place).exists() for place in places), places
    # What the compiler reads beside the sources.
    for source in tmp_path.rglob("*.rs"):
        for name in re.findall(r'include_(?:str|bytes)!\(\s*"([^"]+)"', source.read_text()):
            assert (source.parent / name).exists(), f"{source.relative_to(tmp_path)} includes {name}"
    profiles = re.search(r'concat!\("([^"]+)", \$name\)', (tmp_path / "src/config/profile/built_in.rs").read_text())
    assert (tmp_path / "src/config/profile" / profiles[1]).is_dir()


def test_tools_that_crates_build_with_are_there():
    crates = {package["name"] for package in LOCK}
    depends = all_values(INC, "DEPENDS") + all_values(INC, "DEPENDS:append:x86-64")
    assert ("cmake-native" in depends) == ("cmake" in crates)
    # libjpeg-turbo's code for x86-64.
    assert ("nasm-native" in depends) == ("turbojpeg-sys" in crates)
    assert ("clang-native" in depends) == ("bindgen" in crates)
