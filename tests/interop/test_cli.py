"""`framegate receive` and `framegate subscribe`: what integrators try their own senders and readers with."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pydicom
import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from pydicom.uid import generate_uid

from conftest import tool
from gateway import Process, free_port, wait_for
from objects import EXPLICIT_LE, Recipe, build


class Told(Process):
    """A command with `--json`: its events."""

    def __init__(self, program: Path, cwd: Path, *arguments: str) -> None:
        super().__init__([str(program), *arguments, "--json"], cwd)

    def events(self, name: str) -> list[dict]:
        with self._grown:
            lines = [line for line in self.lines if line.startswith("{")]
        return [event for event in map(json.loads, lines) if event["event"] == name]

    def wait_for(self, name: str, count: int = 1) -> list[dict]:
        def there():
            assert self.child.poll() is None or len(self.events(name)) >= count, self.output
            return self.events(name) if len(self.events(name)) >= count else None

        return wait_for(there, f"{count} × {name}")

    def interrupt(self) -> dict:
        """SIGINT; the last event is the summary."""
        self.signal(signal.SIGINT)
        assert self.wait() == 0, self.output
        [stopped] = self.events("stopped")
        return stopped


@pytest.fixture
def receiver(program, tmp_path):
    running = Told(program, tmp_path, "receive", "--listen", "127.0.0.1:0", "--save", "saved", "--each")
    running.wait_for("listening")
    yield running
    if running.child.poll() is None:
        running.stop()


def session(certificate: str) -> requests.Session:
    one = requests.Session()
    one.verify = certificate
    one.trust_env = False
    return one


@pytest.fixture(scope="module")
def demo(program, tmp_path_factory):
    ports = [part for name in ("dimse", "https", "console") for part in (f"--{name}-port", str(free_port()))]
    running = Process([str(program), "demo", *ports], tmp_path_factory.mktemp("demo"))
    running.wait_for_line("Ctrl-C")
    running.base = running.wait_for_line(r"^DICOMweb +(https://\S+)").group(1)
    running.ca = running.wait_for_line(r"--cacert (\S+)").group(1)
    yield running
    assert running.stop() == 0, running.output


def test_receive_from_curl(receiver, tmp_path):
    """Send, with a file that curl posts; it is shown, and saved under its UIDs."""
    [listening] = receiver.events("listening")
    source = build(Recipe("xa", "mono8", EXPLICIT_LE, 1, False), tmp_path)
    body = tmp_path / "body"
    body.write_bytes(
        b"--frontier\r\nContent-Type: application/dicom\r\n\r\n" + source.path.read_bytes() + b"\r\n--frontier--\r\n"
    )
    kind = 'multipart/related; type="application/dicom"; boundary=frontier'
    tool(
        "curl", "--fail", "--silent", "--noproxy", "*", "--cacert", listening["certificate"],
        "-H", f"Content-Type: {kind}", "--data-binary", f"@{body}", f"{listening['url']}/instances",
    )
    [one] = receiver.wait_for("instance")
    sent = pydicom.dcmread(source.path)
    assert one["instance"] == sent.SOPInstanceUID
    [opened] = receiver.events("opened")
    assert (opened["modality"], opened["rows"]) == (sent.Modality, sent.Rows)
    receiver.wait_for("ended")
    stopped = receiver.interrupt()
    assert (stopped["instances"], stopped["saved"], stopped["series"]) == (1, 1, 1)
    assert str(sent.PatientName) not in receiver.output
    file = tmp_path / "saved" / sent.StudyInstanceUID / sent.SeriesInstanceUID / f"{sent.SOPInstanceUID}.dcm"
    assert pydicom.dcmread(file) == sent


def test_receive_from_dicomweb_client_counts_gaps(receiver, tmp_path):
    [listening] = receiver.events("listening")
    client = DICOMwebClient(url=listening["url"], session=session(listening["certificate"]))
    source = build(Recipe("sc", "rgb8", EXPLICIT_LE, 1, False), tmp_path)
    for number in (1, 2, 5):
        one = pydicom.dcmread(source.path)
        one.InstanceNumber = number
        one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        client.store_instances([one])
    client.store_instances([one])
    receiver.wait_for("instance", 3)
    stopped = receiver.interrupt()
    assert (stopped["instances"], stopped["gaps"], stopped["missing"], stopped["duplicates"]) == (3, 1, 2, 1)


def test_subscribe_follows_the_demo(program, demo, tmp_path):
    """Registers, pulls, saves, and deletes its subscription when it is told to stop."""
    running = Told(
        program, tmp_path, "subscribe", demo.base, "--ca", demo.ca, "--subscriber", "VIEWER", "--save", "saved", "--each"
    )
    [subscribed] = running.wait_for("subscribed")
    instances = running.wait_for("instance", 10)
    numbers = [one["number"] for one in instances]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert running.wait_for("second")[0]["bytes_per_second"] is not None
    [notified, *_] = running.events("notified")
    assert notified["type"] == 2 and notified["sequence"] >= 1
    stopped = running.interrupt()
    assert stopped["saved"] >= 10 and stopped["missing"] == 0
    saved = list((tmp_path / "saved").glob("*/*/*.dcm"))
    assert len(saved) == stopped["saved"]
    assert pydicom.dcmread(saved[0]).Rows == 512
    assert "^" not in running.output, "no patient's name"
    left = session(demo.ca).get(f"{demo.base}/{subscribed['resource'].strip('/')}/subscribers/VIEWER", timeout=10)
    assert left.status_code == 404


def test_subscribe_stops_after_its_count_and_takes_a_rate(program, demo, tmp_path):
    done = tool(
        str(program), "subscribe", demo.base, "--ca", demo.ca, "--count", "6", "--rate", "5", "--from", "latest", "--json"
    )
    stopped = json.loads(done.stdout.splitlines()[-1])
    assert stopped["instances"] == 6 and stopped["missing"] >= 5


def test_subscribe_to_pictures(program, demo, tmp_path):
    folder = tmp_path / "saved"
    tool(
        str(program), "subscribe", demo.base, "--insecure", "--rendered", "--count", "3", "--save", str(folder)
    )
    pictures = list(folder.glob("*/*/*.jpg"))
    assert len(pictures) == 3 and all(one.read_bytes().startswith(b"\xff\xd8") for one in pictures)


def test_subscribe_only_tells(program, demo, tmp_path):
    done = tool(str(program), "subscribe", demo.base, "--ca", demo.ca, "--no-pull", "--level", "instances", "--count", "4")
    assert "Series Becoming Available" in done.stdout and "Instance Available" in done.stdout
    assert "DICOM" not in done.stdout.split("subscribed", 1)[0]


def test_a_filter_that_matches_nothing_pulls_nothing(program, demo, tmp_path):
    running = Told(program, tmp_path, "subscribe", demo.base, "--ca", demo.ca, "--filter", "Modality=XX")
    running.wait_for("connected")
    running.wait_for("second", 2)
    assert running.interrupt()["instances"] == 0


def test_exit_statuses(program, demo, tmp_path):
    def status(*arguments: str) -> int:
        return tool(str(program), *arguments, check=False).returncode

    assert status("subscribe", "nowhere") == 2
    assert status("subscribe", demo.base, "--ca", str(tmp_path / "absent.pem")) == 78
    assert status("subscribe", f"https://127.0.0.1:{free_port()}/dicomweb", "--insecure") == 1
    assert status("subscribe", demo.base, "--ca", demo.ca, "--filter", "NoSuchAttribute=1") == 1
    assert status("receive", "--certificate", str(tmp_path / "a"), "--key", str(tmp_path / "b")) == 78
