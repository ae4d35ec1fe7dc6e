"""What the layers install is what systemd/ and systemd/box have, each file in its place."""

import re
import stat

import pytest
from metadata import DISTRO_LAYER, PROJECT, RECIPES, VERSION, all_values, run_function, tree, unpack, value

SYSTEMD = PROJECT / "systemd"
INC = RECIPES / "framegate/framegate.inc"
BOX = RECIPES / "box/framegate-box.bb"
RAUC = RECIPES / "rauc/framegate-rauc-conf.bb"
needs_box = pytest.mark.skipif(not (SYSTEMD / "box").is_dir(), reason="there is no systemd/box")


@pytest.fixture
def installed(tmp_path):
    """What the recipe of framegate installs beside the program."""
    source, root = tmp_path / "source", tmp_path / "root"
    unpack(INC, source)
    variables = {"D": str(root), "S": str(source)} | {
        name: value(INC, name) for name in ("FRAMEGATE_UNITS", "FRAMEGATE_SCRIPTS")
    }
    done = run_function(INC, "do_install:append", variables, tmp_path)
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture
def box(tmp_path):
    """What the recipe of the box installs."""
    source = tmp_path / "source"
    root = tmp_path / "root"
    root.mkdir()
    unpack(BOX, source)
    variables = {
        "D": str(root),
        "S": str(source),
        "UNPACKDIR": str(BOX.parent / "files"),
        "FRAMEGATE_MASKED": value(BOX, "FRAMEGATE_MASKED"),
    }
    done = run_function(BOX, "do_install", variables, tmp_path)
    assert done.returncode == 0, done.stderr
    return root


def test_every_file_of_systemd_is_installed(installed):
    there = {path for path in SYSTEMD.iterdir() if path.is_file() and path.suffix != ".md"}
    contents = {(installed / name).read_bytes() for name in tree(installed)}
    assert {path.name for path in there if path.read_bytes() not in contents} == set()
    # And two documents, which are not of systemd/, and a drop-in that only this system needs.
    assert len(tree(installed)) == len(there) + 3


def test_units_and_scripts_are_where_systemd_and_the_units_look(installed):
    for unit in (installed / "usr/lib/systemd/system").rglob("*.*"):
        if not unit.is_file():
            continue
        for program in re.findall(r"^Exec\w+=[-+!@:]*(/usr/lib/framegate/[\w-]+)", unit.read_text(), re.M):
            path = installed / program.lstrip("/")
            assert path.exists(), f"{unit.name} runs {program}"
            assert path.stat().st_mode & stat.S_IXUSR
    assert (installed / "usr/lib/systemd/system-preset/50-framegate.preset").exists()
    assert (installed / "usr/share/framegate/framegate.toml").exists()


def enabled(text):
    return set(re.findall(r"^enable (\S+)", text, re.M))


def test_enabled_units_are_those_of_the_preset():
    assert set(all_values(INC, "SYSTEMD_SERVICE:${PN}")) == enabled((SYSTEMD / "framegate.preset").read_text())


def test_user_is_that_of_sysusers():
    line = next(
        line for line in (SYSTEMD / "framegate.sysusers").read_text().splitlines() if line.startswith("u framegate ")
    )
    comment, home, shell = re.fullmatch(r'u framegate \S+ "([^"]+)" (\S+) (\S+)', line).groups()
    wanted = value(INC, "USERADD_PARAM:${PN}").replace("${localstatedir}", "/var").replace("${sbindir}", "/usr/sbin")
    assert f"--home-dir {home} " in wanted and f"--shell {shell} " in wanted and f"--comment '{comment}' " in wanted
    groups = re.findall(r"^m framegate (\S+)", (SYSTEMD / "framegate.sysusers").read_text(), re.M)
    assert f"--groups {','.join(groups)} " in wanted


@needs_box
def test_number_of_the_user_is_that_of_the_box():
    lines = "".join(path.read_text() for path in (SYSTEMD / "box").rglob("*.conf") if path.parent.name == "sysusers.d")
    number = re.search(r"^u framegate (\d+) ", lines, re.M)[1]
    assert f"--uid {number} " in value(INC, "USERADD_PARAM:${PN}")


@needs_box
def test_the_box_is_the_tree_but_for_names(box):
    renamed = {
        "etc/chrony/chrony.conf": "etc/chrony.conf",
        "etc/default/chrony": "etc/default/chronyd",
        "usr/lib/systemd/system/chrony.service.d/box.conf": "usr/lib/systemd/system/chronyd.service.d/box.conf",
    }
    wanted = {renamed.get(name, name) for name in tree(SYSTEMD / "box") if not name.startswith("etc/rauc/")}
    assert tree(box) == wanted | {"usr/lib/systemd/system/nftables.service"}
    assert all(
        (box / name).readlink() == (SYSTEMD / "box" / name).readlink() for name in wanted if (box / name).is_symlink()
    )


@needs_box
def test_the_box_has_no_name_of_debians_chrony(box):
    for name in sorted(tree(box)):
        path = box / name
        if path.is_symlink():
            continue
        assert not re.search(r"\bchrony\.service\b|\b_chrony\b|/etc/chrony/", path.read_text()), name
    assert "\nuser chronyd\n" in (box / "etc/chrony.conf").read_text()
    assert (box / "etc/default/chronyd").read_text().count("OPTIONS=") == 1


@needs_box
def test_enabled_units_of_the_box_are_those_of_the_preset(box):
    presets = "".join(path.read_text() for path in (box / "usr/lib/systemd/system-preset").iterdir())
    elsewhere = {"systemd-networkd.service", "systemd-resolved.service", "chronyd.service"}
    ours = enabled(presets) - elsewhere
    assert set(all_values(BOX, "SYSTEMD_SERVICE:${PN}")) == ours
    for unit in ours:
        text = (box / "usr/lib/systemd/system" / unit).read_text()
        assert "[Install]" in text, unit


@needs_box
def test_programs_that_the_box_calls_come_with_it(box):
    packages = {
        "bash": "bash",
        "chronyc": "chronyc",
        "grub-editenv": "grub-editenv",
        "flock": "util-linux-flock",
        "lsblk": "util-linux-lsblk",
        "mount": "util-linux-mount",
        "umount": "util-linux-umount",
        "nft": "nftables",
        "systemd-analyze": "systemd-analyze",
        "systemd-cryptsetup": "cryptsetup",
        "rauc": "rauc",
        "hostname": "net-tools",
    }
    scripts = "".join(
        (box / name).read_text()
        for name in tree(box)
        if name.startswith(("usr/lib/framegate/", "usr/lib/systemd/system/")) and not (box / name).is_symlink()
    )
    there = all_values(BOX, "RDEPENDS:${PN}") + all_values(RECIPES / "images/framegate-image.bb", "IMAGE_INSTALL")
    for program, package in packages.items():
        if re.search(rf"(?<![\w-]){program}(?![\w.-])", scripts):
            assert package in there, program


@needs_box
def test_rauc_is_told_of_this_machine_and_version(tmp_path):
    keyring = tmp_path / "keyring.pem"
    keyring.write_text("certificates")
    variables = {
        "D": str(tmp_path / "root"),
        "S": str(PROJECT),
        "MACHINE": "framegate-some-box",
        "DISTRO_VERSION": VERSION,
    }
    done = run_function(RAUC, "do_install", variables | {"FRAMEGATE_KEYRING": str(keyring)}, tmp_path)
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "root/etc/rauc/system.conf").read_text().splitlines()
    assert "compatible=framegate-some-box" in lines and f"min-bundle-version={VERSION}" in lines
    assert (tmp_path / "root/etc/rauc/keyring.pem").read_text() == "certificates"
    # Without a keyring there is no image.
    done = run_function(RAUC, "do_install", variables | {"FRAMEGATE_KEYRING": ""}, tmp_path)
    assert done.returncode == 1 and "FRAMEGATE_KEYRING" in done.stderr


def test_systemd_has_what_the_units_ask_of_it():
    distro = DISTRO_LAYER / "conf/distro/framegate.conf"
    options = all_values(distro, "PACKAGECONFIG:append:pn-systemd")
    unit = (SYSTEMD / "framegate.service").read_text()
    # Ignored with a warning where systemd is built without.
    assert ("LoadCredentialEncrypted=" in unit) == ("openssl" in options)
    assert "repart" in options and "cryptsetup" in options
    assert "serial-getty-generator" in all_values(distro, "PACKAGECONFIG:remove:pn-systemd")
    assert value(distro, "SERIAL_CONSOLES") == ""


def test_nobody_logs_in():
    image = (RECIPES / "images/framegate-image.bb").read_text()
    assert value(RECIPES / "images/framegate-image.bb", "IMAGE_FEATURES") == "read-only-rootfs"
    assert not re.search(r"ssh|dropbear|empty-root-password|allow-root-login|tools-debug", image.split("inherit", 1)[1])
