"""The service stick of a field engineer: a report and a request for a certificate come out, a chain and an update go
in, and whatever else is on it, or wrong with it, does nothing but say so."""

from __future__ import annotations

import ssl
import subprocess
import time

import pytest

import box as boxes
import images
from dicom import PATIENT, PATIENT_ID, Run, Streaming
from stick import Ports, Stick

pytestmark = pytest.mark.full
LINE = "/run/framegate-box/stick"
STATE = "busctl get-property de.pengutronix.rauc / de.pengutronix.rauc.Installer Operation"


class Engineer:
    """Somebody with sticks before a box that is on."""

    def __init__(self, box: boxes.Box, ports: Ports):
        self.box, self.ports = box, ports
        self.name = box.check("hostname")

    def wait(self, pattern: str, seconds: float = 120) -> str:
        """Until the console's line about sticks begins so."""
        what = f"cat {LINE}; lsblk; journalctl -n 40 -u 'framegate-stick*' -u rauc"
        return self.box.check(
            f"end=$(( $(date +%s) + {seconds:.0f} )); until grep '^{pattern}' {LINE}; do "
            f"[ $(date +%s) -lt $end ] || {{ {what}; exit 1; }}; sleep 0.3; done", seconds + 60)  # fmt: skip

    def use(self, stick: Stick, seconds: float = 120) -> str:
        """Plugs it in, waits until it is done, pulls it out; returns what the report says of it."""
        self.box.check(f"rm -f {LINE}")
        plugged = self.ports.plug(stick)
        try:
            self.wait("done", seconds)
        finally:
            self.ports.pull(plugged)
        return self.said(stick)

    def said(self, stick: Stick) -> str:
        return self.report(stick).split("This stick\n", 1)[1].split("\n\n", 1)[0]

    def report(self, stick: Stick) -> str:
        return stick.read(f"{self.name}/report.txt")


@pytest.fixture(scope="module")
def engineer(factory, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stick")
    monitor = folder / "monitor"
    disk = boxes.overlay(folder / "box.qcow2", factory)
    box = boxes.Box(folder, disk, more=Ports.options(monitor)).start()
    try:
        box.wait_healthy()
        yield Engineer(box, Ports(monitor))
    finally:
        box.cut_power()


def test_how_the_box_is_and_its_request_come_out(engineer, tmp_path):
    run = Run(tmp_path / "run")
    run.send(engineer.box.ports[104], "FG" + engineer.name[-6:].upper(), 5)
    stick = Stick(tmp_path / "stick.img")
    assert engineer.use(stick) == "nothing was asked for"
    assert stick.names() == {f"{engineer.name}/{name}" for name in ("report.txt", "server.csr", "server.pem")}
    identity = "/etc/framegate/identity"
    for name in ("server.csr", "server.pem"):
        assert stick.read(f"{engineer.name}/{name}").strip() == engineer.box.check(f"cat {identity}/{name}")
    report = engineer.report(stick)
    for word in (engineer.box.check(f"cat {identity}/device-id"), "2.0.0-development", "10.0.2.15", "framegate.service",
                 "active (running)", "SHA-256", "rootfs.0"):  # fmt: skip
        assert word in report, word
    assert "works" in report.split("\nHealth\n")[1].split("\n\n")[0]
    for word in (PATIENT, PATIENT.split("^")[0], PATIENT_ID, run.study):
        assert word not in report
    engineer.box.wait_console(r"stick +done: pull it out")
    engineer.box.check("! grep stick /proc/mounts && ! systemctl --quiet is-failed 'framegate-stick@*'")


def openssl(*line) -> None:
    subprocess.run(["openssl", *map(str, line)], check=True, capture_output=True)


def sign(request: str, name: str, folder, days: int = 90) -> str:
    """A hospital's answer to a request: the chain of it."""
    (folder / "box.csr").write_text(request)
    (folder / "names").write_text(f"subjectAltName=DNS:{name}\nextendedKeyUsage=serverAuth\n")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *curve, "-subj", "/CN=Hospital Root", "-keyout", folder / "ca.key",
            "-out", folder / "ca.pem")  # fmt: skip
    openssl("x509", "-req", "-in", folder / "box.csr", "-CA", folder / "ca.pem", "-CAkey", folder / "ca.key",
            "-days", days, "-extfile", folder / "names", "-out", folder / "box.pem")  # fmt: skip
    return (folder / "box.pem").read_text() + (folder / "ca.pem").read_text()


def test_a_chain_goes_in_and_is_served(engineer, tmp_path):
    stick = Stick(tmp_path / "stick.img")
    engineer.use(stick)
    (tmp_path / "other").mkdir()
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=other",
            "-keyout", tmp_path / "other.key", "-out", tmp_path / "other.csr")  # fmt: skip
    stick.put("chain.pem", sign((tmp_path / "other.csr").read_text(), engineer.name, tmp_path / "other"))
    assert engineer.use(stick).startswith("REFUSED chain.pem: ")
    stick.put("chain.pem", sign(stick.read(f"{engineer.name}/server.csr"), engineer.name, tmp_path))
    said = engineer.use(stick)
    assert "REFUSED" not in said and "issued by CN=Hospital Root" in said, said
    wanted = (tmp_path / "box.pem").read_text().strip()
    end = time.monotonic() + 90
    while ssl.get_server_certificate(("127.0.0.1", engineer.box.ports[443])).strip() != wanted:
        assert time.monotonic() < end, "not served"
        time.sleep(0.5)
    done = subprocess.run(
        ["curl", "-sS", "-m", "60", "--cacert", tmp_path / "ca.pem", "-o", "/dev/null", "--resolve",
         f"{engineer.name}:{engineer.box.ports[443]}:127.0.0.1",
         f"https://{engineer.name}:{engineer.box.ports[443]}/dicomweb/studies"], capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    # The name that systemd gives the service's group stays: it can read what was put in.
    assert engineer.box.check("stat -c '%U:%G' /etc/framegate/identity/server.pem") == "root:framegate"


def test_what_is_not_taken(engineer, spoiled, update, tmp_path):
    kept = "find /etc/framegate -type f | sort | xargs sha256sum; grub-editenv /efi/EFI/BOOT/grubenv list"
    before = engineer.box.check(kept)
    stick = Stick(tmp_path / "stick.img", mebibytes=600)
    stick.put("open.toml", "[dimse]\nallow = [\"0.0.0.0/0\"]\n").folder("-x 'é$(reboot)`.raucb").put("restart")
    said = engineer.use(stick)
    assert "REFUSED open.toml: no configuration" in said and ".raucb: not a file" in said, said
    stick.remove("-x 'é$(reboot)`.raucb").copy("a.raucb", update).copy("B.RAUCB", update)
    assert "REFUSED 2 bundles" in engineer.use(stick)
    stick.remove("a.raucb").remove("B.RAUCB")
    foreign = spoiled.make("foreign", pki=images.stranger(tmp_path / "stranger"))
    stick.copy("foreign.raucb", foreign)
    said = engineer.use(stick, 300)
    assert "REFUSED foreign.raucb: " in said and "signature" in said.lower(), said
    stick.remove("foreign.raucb").copy("older.raucb", spoiled.make("older", version="1.9.9"))
    said = engineer.use(stick, 300)
    assert "REFUSED older.raucb: " in said and "version" in said.lower(), said
    stick.remove("older.raucb").copy("same.raucb", spoiled.make("same", version="2.0.0-development"))
    assert "is what runs already" in engineer.use(stick, 300)
    stick.remove("same.raucb").put("cut.raucb", update.read_bytes()[:1 << 20])
    assert "REFUSED cut.raucb: " in engineer.use(stick, 300)
    assert engineer.box.check(kept) == before
    assert len(engineer.box.boots()) == 1


def test_sticks_that_are_no_use(engineer, tmp_path):
    def tried(stick: Stick, pattern: str, **how):
        engineer.box.check(f"rm -f {LINE}")
        plugged = engineer.ports.plug(stick, **how)
        try:
            engineer.wait(pattern)
        finally:
            engineer.ports.pull(plugged)

    full = Stick(tmp_path / "full.img")
    room = int(subprocess.run(["mdir", "-i", full.image, "::"], capture_output=True, text=True, check=True)
               .stdout.rsplit(" bytes free")[0].rsplit("\n")[-1].replace(" ", ""))  # fmt: skip
    full.put("fill", b"x" * room)
    tried(full, "not done: it is full")
    tried(Stick(tmp_path / "locked.img"), "not done: ", read_only=True)
    broken = Stick(tmp_path / "broken.img")
    with open(broken.path, "r+b") as file:
        # The table of its clusters, both copies; the folder at the top, which has its name, stays.
        file.seek((1 << 20) + 512 * 8)
        file.write(b"\xa5" * (512 * 200))
    tried(broken, "\\(not done\\|done\\)")
    # Another stick is nobody's business.
    engineer.box.check(f"rm -f {LINE}")
    other = engineer.ports.plug(Stick(tmp_path / "other.img", label="HOLIDAY"))
    engineer.box.check("until ls /dev/disk/by-label/HOLIDAY; do sleep 0.3; done; udevadm settle")
    engineer.box.check(f"! [ -e {LINE} ] && ! systemctl list-units --all 'framegate-stick@*' | grep running")
    engineer.ports.pull(other)
    # Two at once: one after the other.
    two = [Stick(tmp_path / f"two{number}.img") for number in (1, 2)]
    engineer.box.check(f"rm -f {LINE}")
    done = "journalctl -b -o cat -u 'framegate-stick@*' | grep -c '^done'"
    before = int(engineer.box.run(done)[1])
    plugged = [engineer.ports.plug(stick) for stick in two]
    engineer.box.check(f"until [ $({done}) = {before + 2} ]; do sleep 0.5; done", 200)
    for name in plugged:
        engineer.ports.pull(name)
    assert [engineer.said(stick) for stick in two] == ["nothing was asked for"] * 2
    engineer.box.check("! grep framegate-stick /proc/mounts && ! ls -d /run/framegate-stick-*")


def test_an_update_that_is_pulled_out_and_one_that_is_not(engineer, update, tmp_path):
    box = engineer.box
    stick = Stick(tmp_path / "stick.img", mebibytes=400).copy("framegate.raucb", update)
    box.check(f"rm -f {LINE}")
    plugged = engineer.ports.plug(stick)
    box.check("until [ \"$(" + STATE + ")\" = 's \"installing\"' ]; do sleep 0.3; done; sleep 5", 200)
    engineer.ports.pull(plugged)
    engineer.wait("not done: pulled out")
    box.check("until [ \"$(" + STATE + ")\" = 's \"idle\"' ]; do sleep 0.5; done", 200)
    assert "B_OK=1" not in box.check("grub-editenv /efi/EFI/BOOT/grubenv list")

    # A bundle disturbs nobody, and nobody is interrupted for it.
    stick = Stick(tmp_path / "again.img", mebibytes=400).copy("framegate.raucb", update)
    with Streaming(tmp_path / "run", box.ports[104], "FG" + engineer.name[-6:].upper()) as streaming:
        assert "takes effect at the next start" in engineer.use(stick, 900)
    assert streaming.bad == 0 and len(streaming.good) > 3
    assert box.slot() == "A" and len(box.boots()) == 1
    assert "installed from this stick before" in engineer.use(stick.put("restart"))

    # It is asked to restart, and the stick stays in.
    stick.remove(engineer.name)
    box.check(f"rm -f {LINE}")
    plugged = engineer.ports.plug(stick)
    box.wait_boots(2, 1200)
    box.wait_healthy()
    assert box.slot() == "B"
    assert "3.0.0" in box.check("cat /usr/lib/os-release")
    engineer.wait("done", 300)
    engineer.ports.pull(plugged)
    assert "is what runs already" in engineer.said(stick)
    assert len(box.boots()) == 2
