"""What a release image must not hold, seen in the image itself: nothing of the bench, nothing secret, nobody who could
log in; and what it must."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

import images
from raw import RawDisk

BENCH = images.PROJECT / "image/bench"


@pytest.fixture(scope="module")
def tree(release, tmp_path_factory) -> Path:
    """The root of slot A, unpacked from the disk."""
    folder = tmp_path_factory.mktemp("release")
    disk = RawDisk(images.disk(release), folder)
    root = folder / "root"
    subprocess.run(["unsquashfs", "-q", "-n", "-d", root, disk.extract("root-a")], check=True, stdout=subprocess.DEVNULL)
    yield root
    subprocess.run(["rm", "-rf", folder])


def files(tree: Path):
    for folder, _, names in os.walk(tree):
        for name in names:
            path = Path(folder) / name
            if path.is_file() and not path.is_symlink():
                yield path


def test_it_lacks_every_file_of_the_bench(tree):
    ours = [path.relative_to(BENCH) for path in BENCH.rglob("*") if path.is_file()]
    assert ours
    assert [path for path in ours if (tree / path).exists()] == []
    names = {path.name for path in files(tree)}
    assert not {name for name in names if name.startswith(("vivid", "vimc", "test-agent"))}
    assert "BENCH" not in (tree / "etc/issue").read_text()


@pytest.mark.full
def test_a_bench_image_is_where_these_files_are(bench, tmp_path):
    """Else the test above would find nothing whatever is wrong."""
    disk = RawDisk(images.disk(bench), tmp_path)
    said = subprocess.run(["unsquashfs", "-l", "-d", "", disk.extract("root-a")], check=True, capture_output=True, text=True)
    listed = set(said.stdout.split())
    for path in BENCH.rglob("*"):
        if path.is_file():
            assert f"/{path.relative_to(BENCH)}" in listed
    assert any("vivid.ko" in line for line in listed)


def test_nobody_can_log_in(tree):
    for line in (tree / "etc/shadow").read_text().splitlines():
        name, word = line.split(":")[:2]
        assert word.startswith(("!", "*")), f"{name} has a password"
    for program in ("sshd", "dropbear", "telnetd", "login", "sulogin", "su", "sudo", "agetty", "getty"):
        for folder in ("usr/bin", "usr/sbin", "usr/lib/openssh"):
            assert not (tree / folder / program).exists(), program
    wanted = [path.name for path in (tree / "etc/systemd/system").rglob("*") if path.parent.suffix == ".wants"]
    assert not [name for name in wanted if "getty" in name or "ssh" in name]
    assert os.readlink(tree / "etc/systemd/system/serial-getty@.service") == "/dev/null"


def test_nothing_secret_is_in_it(tree, release):
    ours = {hashlib.sha256(path.read_bytes()).digest() for path in images.PKI.glob("*.key")}
    for path in files(tree):
        content = path.read_bytes()
        assert hashlib.sha256(content).digest() not in ours, path
        # Libraries of cryptography try themselves with keys of their own, which are in every copy.
        if content.startswith(b"\x7fELF"):
            continue
        assert not re.search(rb"PRIVATE KEY-----\s*M[A-Za-z0-9+/]{40}", content), path
    assert not list(tree.glob("etc/ssh/ssh_host_*"))
    assert [path for name in ("dev", "run", "tmp") for path in (tree / name).iterdir()] == []
    assert (tree / "etc/machine-id").read_bytes() == b""
    assert not (tree / "var/lib/systemd/random-seed").exists() and not (tree / "var/lib/systemd/credential.secret").exists()
    assert not list((tree / "etc/framegate").iterdir())


def test_what_is_setuid_is_known(tree):
    """Nobody is there to use one, and every one is a way up for a service that was taken over."""
    found = {str(path.relative_to(tree)) for path in files(tree) if path.stat().st_mode & 0o6000}
    assert found <= {
        "usr/bin/mount", "usr/bin/umount", "usr/lib/dbus-1.0/dbus-daemon-launch-helper", "usr/sbin/unix_chkpwd",
    }  # fmt: skip


def test_modules_have_what_they_need(tree):
    [kernel] = [path.name for path in (tree / "usr/lib/modules").iterdir()]
    made = subprocess.run([images.PROJECT / "image/rootfs"], check=True, capture_output=True, text=True).stdout.strip()
    folder, missing = tree / "usr/lib/modules" / kernel, []
    for line in (Path(made) / "modules.dep").read_text().splitlines():
        name, _, needs = line.partition(":")
        if (folder / name).exists():
            missing += [(name, need) for need in needs.split() if not (folder / need).exists()]
    assert missing == []
    kept = {path.name.partition(".")[0] for path in folder.rglob("*.ko.xz")}
    assert {"uvcvideo", "dm-crypt", "nf_tables", "virtio_net", "e1000e", "igc", "i6300esb", "iTCO_wdt", "nbd", "loop",
            "xhci-pci", "usb-storage", "sd_mod", "vfat", "nls_cp437", "nls_ascii"} <= kept  # fmt: skip


def test_it_says_what_it_is_and_whom_it_trusts(tree, release):
    words = dict(line.split("=", 1) for line in (tree / "usr/lib/os-release").read_text().splitlines() if "=" in line)
    assert words["IMAGE_ID"] == "framegate" and words["IMAGE_VERSION"] == "1.0.0-development"
    assert "DEVELOPMENT" in (tree / "etc/issue").read_text()
    system = (tree / "etc/rauc/system.conf").read_text()
    assert f"compatible={images.COMPATIBLE}\n" in system and "min-bundle-version=1.0.0-development\n" in system
    assert (tree / "etc/rauc/keyring.pem").read_bytes() == (images.PKI / "ca.pem").read_bytes()


def test_the_bill_of_materials_names_packages_and_crates(release):
    bill = json.loads(images.only(release, ".spdx.json").read_text())
    assert bill["spdxVersion"] == "SPDX-2.3"
    named = {part["name"]: part["versionInfo"] for part in bill["packages"]}
    assert {"systemd", "rauc", "libc6", "chrony", "rustls", "framegate-image"} <= set(named)
    assert all(named.values())
    ids = [part["SPDXID"] for part in bill["packages"]]
    assert len(ids) == len(set(ids))


def test_the_sums_are_those_of_the_files(release):
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=release, check=True)
