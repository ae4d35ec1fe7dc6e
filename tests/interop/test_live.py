"""Series that grow while they are read, and everything that may happen meanwhile: late and choosy
readers, a stalled reader, an aborted sender, a new certificate, the end of the service."""

from __future__ import annotations

import signal
import socket
import ssl
import subprocess

import pytest

from association import VERIFICATION, Association
from cryptography import x509
from gateway import Process, wait_for
from live import ANY_SYNTAX, PATIENCE, LiveRead, Status, open_when_there, part10
from multipart import Reader
from objects import EXPLICIT_LE, IMPLICIT_LE, Recipe, Source, build
from scu import store_all
from test_cut_through import pieces

FRAMES = 10
# So that a series stays open after its sender is gone, for as long as a test wants it to.
HELD = {"linger_ms": 60_000}


class SlowStore:
    """A C-STORE of a native multi-frame object whose frames are sent when the test says so."""

    def __init__(self, gateway, folder, recipe: Recipe | None = None) -> None:
        recipe = recipe or Recipe("xa", "mono8", EXPLICIT_LE, FRAMES, True)
        self.source: Source = build(recipe, folder)
        head, *self._frames = pieces(self.source)
        dataset = self.source.dataset
        self.association = Association(gateway.dimse, dataset.SOPClassUID, [EXPLICIT_LE])
        self.association.begin_store(dataset.SOPClassUID, dataset.SOPInstanceUID)
        self.association.data(head)

    @property
    def path(self) -> str:
        return f"/studies/{self.source.study}/series/{self.source.series}"

    def send(self, count: int) -> None:
        """The next frames, which must not include the last one."""
        for _ in range(count):
            self.association.data(self._frames.pop(0))
        assert self._frames

    def finish(self) -> None:
        """The frames left, the response, the release."""
        while self._frames:
            frame = self._frames.pop(0)
            self.association.data(frame, last=not self._frames)
        assert self.association.status() == 0x0000
        self.association.release()


def numbers(parts) -> list[int]:
    return [int(part10(part).InstanceNumber) for part in parts]


@pytest.mark.parametrize("http2", [False, True], ids=["h1", "h2"])
def test_late_reader_gets_what_was_and_what_comes(gateway, tmp_path, http2):
    store = SlowStore(gateway, tmp_path)
    store.send(5)
    reader = open_when_there(gateway, store.path, http2=http2)
    assert [reader.next_instance().InstanceNumber for _ in range(5)] == [1, 2, 3, 4, 5]
    store.finish()
    assert numbers(reader.rest()) == [6, 7, 8, 9, 10]


def test_study_and_series_grow_alike(gateway, tmp_path):
    store = SlowStore(gateway, tmp_path)
    store.send(2)
    study = open_when_there(gateway, f"/studies/{store.source.study}")
    series = open_when_there(gateway, store.path)
    assert study.next_instance() == series.next_instance()
    store.finish()
    assert numbers(study.rest()) == numbers(series.rest()) == list(range(2, FRAMES + 1))


def test_from_latest_skips_the_past(gateway, tmp_path):
    store = SlowStore(gateway, tmp_path)
    store.send(5)
    all_of_it = open_when_there(gateway, store.path)
    for _ in range(5):
        all_of_it.next_instance()
    # The fifth is in the ring now, and is the latest.
    reader = LiveRead(gateway, f"{store.path}?from=latest")
    store.finish()
    got = numbers(reader.rest())
    assert got in ([5, 6, 7, 8, 9, 10], [6, 7, 8, 9, 10])


def test_from_an_instance_number(gateway, tmp_path):
    store = SlowStore(gateway, tmp_path)
    store.send(5)
    open_when_there(gateway, store.path)
    early, late = LiveRead(gateway, f"{store.path}?from=3"), LiveRead(gateway, f"{store.path}?from=8")
    store.finish()
    assert numbers(early.rest()) == [3, 4, 5, 6, 7, 8, 9, 10]
    assert numbers(late.rest()) == [8, 9, 10]


@pytest.mark.parametrize("query", ["from=yesterday", "from=1.5", "rate=0", "rate=fast"])
def test_bad_live_parameters_are_told(gateway, tmp_path, query):
    store = SlowStore(gateway, tmp_path)
    store.send(2)
    open_when_there(gateway, store.path)
    with pytest.raises(Status) as refusal:
        LiveRead(gateway, f"{store.path}?{query}")
    assert refusal.value.args == (400,)
    store.finish()


def test_rate_thins_out_frames(gateway, tmp_path):
    """At one frame in a thousand seconds, ten frames that come at once are thinned to one or two."""
    store = SlowStore(gateway, tmp_path)
    store.send(1)
    reader = open_when_there(gateway, f"{store.path}?rate=0.001")
    assert reader.next_instance().InstanceNumber == 1
    store.finish()
    assert len(reader.rest()) <= 1


def test_two_readers_get_the_same_bytes(gateway, tmp_path):
    store = SlowStore(gateway, tmp_path)
    store.send(1)
    one, two = open_when_there(gateway, store.path), open_when_there(gateway, store.path, http2=True)
    store.finish()
    first, second = one.rest(), two.rest()
    assert len(first) == FRAMES
    assert [part.body for part in first] == [part.body for part in second]


def test_a_reader_that_hangs_up_leaves_the_others_alone(gateway, tmp_path):
    store = SlowStore(gateway, tmp_path)
    store.send(2)
    leaver, stayer = open_when_there(gateway, store.path), open_when_there(gateway, store.path)
    leaver.next_instance()
    leaver.hang_up()
    store.finish()
    assert len(stayer.rest()) == FRAMES


def test_a_stalled_reader_is_dropped_and_counted(own_gateway, tmp_path):
    gateway = own_gateway(dicomweb__limits={"send_timeout_ms": 2000})
    # 64 MiB in all: more than the kernel's socket buffers can swallow.
    store = SlowStore(gateway, tmp_path, Recipe("xa", "mono16", EXPLICIT_LE, 32, True, rows=1024, columns=1024))
    store.send(1)
    reader = open_when_there(gateway, store.path)
    stalled = stalled_get(gateway, store.path)
    dropped = "stalled|slow_reader|reader.*dropped|dropped.*reader"
    before = gateway.metric(dropped)
    store.finish()
    assert numbers(reader.rest()) == list(range(1, 33))
    wait_for(lambda: gateway.metric(dropped) > before, "the stalled reader is counted")
    # What the kernel had taken may still be read; behind it the connection is gone.
    with pytest.raises((ConnectionError, ssl.SSLError, EOFError)):
        while True:
            if not stalled.recv(1 << 20):
                raise EOFError


def stalled_get(gateway, path: str) -> ssl.SSLSocket:
    """A GET whose answer is never read, over a socket that can hold little."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    plain.settimeout(30)
    plain.connect(gateway.web)
    secure = gateway.authority.client_context().wrap_socket(plain, server_hostname="127.0.0.1")
    request = f"GET /dicomweb{path} HTTP/1.1\r\nHost: localhost\r\nAccept: {ANY_SYNTAX}\r\n\r\n"
    secure.sendall(request.encode())
    assert secure.recv(12) == b"HTTP/1.1 200"
    return secure


def test_an_aborted_association_ends_the_series(gateway, tmp_path):
    store = SlowStore(gateway, tmp_path)
    store.send(3)
    reader = open_when_there(gateway, store.path)
    assert [reader.next_instance().InstanceNumber for _ in range(3)] == [1, 2, 3]
    store.association.abort()
    assert reader.rest() == []


def test_a_vanished_sender_ends_the_series(gateway, tmp_path):
    store = SlowStore(gateway, tmp_path)
    store.send(3)
    reader = open_when_there(gateway, store.path)
    store.association.socket.close()
    assert numbers(reader.rest()) == [1, 2, 3]


def test_garbage_costs_only_its_own_association(gateway):
    association = Association(gateway.dimse, VERIFICATION, [IMPLICIT_LE])
    association.raw(b"\xff" * 64)
    other = Association(gateway.dimse, VERIFICATION, [IMPLICIT_LE])
    assert other.echo() == 0x0000
    other.release()


def test_a_series_goes_on_over_associations(own_gateway, tmp_path):
    """A modality that opens one association per object feeds one series while it lingers."""
    gateway = own_gateway(hub=HELD)
    first = build(Recipe("xa", "mono8", EXPLICIT_LE), tmp_path)
    store_all(gateway.dimse, first.path)
    reader = LiveRead(gateway, f"/studies/{first.study}/series/{first.series}")
    assert reader.next_instance().SOPInstanceUID == first.dataset.SOPInstanceUID
    second = first.dataset
    second.SOPInstanceUID = second.file_meta.MediaStorageSOPInstanceUID = f"{first.dataset.SOPInstanceUID[:60]}.2"
    second.save_as(tmp_path / "second.dcm")
    store_all(gateway.dimse, tmp_path / "second.dcm")
    assert reader.next_instance().SOPInstanceUID == second.SOPInstanceUID


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_sigterm_ends_an_open_stream_properly(own_gateway, tmp_path, version):
    """With curl, because Python's h2 takes the GOAWAY of a graceful shutdown for the end of all."""
    gateway = own_gateway(hub=HELD, service={"drain_seconds": 5})
    store = SlowStore(gateway, tmp_path)
    store.send(3)
    open_when_there(gateway, store.path).hang_up()
    body = tmp_path / "series.multipart"
    curl = subprocess.Popen(
        ["curl", "--silent", "--no-buffer", "--fail", version, "--cacert", gateway.authority.ca, "--output", body]
        + ["--header", f"Accept: {ANY_SYNTAX}", gateway.base + store.path]
    )
    wait_for(lambda: body.exists() and body.read_bytes().count(b"DICM") == 3, "three frames")
    gateway.signal(signal.SIGTERM)
    assert curl.wait(PATIENCE) == 0
    received = body.read_bytes()
    boundary = received.lstrip(b"\r\n").split(b"\r\n", 1)[0].removeprefix(b"--").decode()
    reader = Reader(boundary)
    assert numbers(reader.feed(received)) == [1, 2, 3]
    assert reader.closed
    assert gateway.wait(seconds=10) == 0, gateway.output


def serial_served(gateway) -> int:
    """The serial number of the certificate that a new connection is shown."""
    context = gateway.authority.client_context()
    with socket.create_connection(gateway.web, timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as secure:
            return x509.load_der_x509_certificate(secure.getpeercert(binary_form=True)).serial_number


def test_a_new_certificate_is_taken_up_while_a_stream_goes_on(own_gateway, tmp_path):
    gateway = own_gateway()
    store = SlowStore(gateway, tmp_path)
    store.send(3)
    reader = open_when_there(gateway, store.path)
    old = serial_served(gateway)
    assert old == gateway.server.serial
    name = gateway.server.certificate.stem
    new = gateway.authority.leaf(name, server=True).serial
    gateway.signal(signal.SIGHUP)
    wait_for(lambda: serial_served(gateway) == new, "the new certificate is served")
    store.finish()
    assert numbers(reader.rest()) == list(range(1, FRAMES + 1))


def test_a_broken_certificate_leaves_the_old_one_in_service(own_gateway):
    gateway = own_gateway()
    gateway.server.certificate.write_text("no certificate\n")
    seen = len(gateway.lines)
    gateway.signal(signal.SIGHUP)
    wait_for(lambda: len(gateway.lines) > seen, "a line about the certificate")
    assert serial_served(gateway) == gateway.server.serial
    assert gateway.child.poll() is None


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[hub]\nlinger_ms = -1\n", "linger_ms"),
        ("[hub]\nlinger_sm = 1\n", "linger_sm"),
        ("[dimse]\nae_title = \"SEVENTEEN_LETTERS\"\n", "ae_title"),
        ("[dicomweb]\nlisten = \"nowhere\"\n", "listen"),
        ("[metrics]\nlisten = \"0.0.0.0:9100\"\nallow = [\"10.0.0.0/8\"]\n", "metrics.token"),
        ("[hub\n", "bad.toml:1:"),
    ],
)
def test_check_names_what_is_wrong(program, tmp_path, text, named):
    file = tmp_path / "bad.toml"
    file.write_text(text)
    checked = Process([str(program), "check", str(file)], tmp_path)
    assert checked.wait() != 0
    assert named in checked.output
    assert "bad.toml" in checked.output
    assert "panicked" not in checked.output
    # And `run` refuses what `check` refuses.
    run = Process([str(program), "run", "--config", str(file)], tmp_path)
    assert run.wait() != 0
    assert named in run.output


def test_check_passes_what_runs(own_gateway, program, tmp_path):
    gateway = own_gateway()
    checked = Process([str(program), "check", str(gateway.config_file)], tmp_path)
    assert checked.wait() == 0, checked.output


def test_no_patient_in_log_or_metrics(own_gateway, tmp_path):
    """Nothing of the patient reaches the log, even in a stream, a search and a refusal."""
    gateway = own_gateway(service={"log": "debug"})
    source = build(Recipe("xa", "mono8", EXPLICIT_LE, 3, True), tmp_path)
    store_all(gateway.dimse, source.path)
    LiveRead(gateway, f"/studies/{source.study}").rest()
    with pytest.raises((Status, AssertionError)):
        LiveRead(gateway, "/studies?PatientID=TEST-0001&StudyDate=nonsense")
    metrics = " ".join(gateway.metrics())
    assert gateway.stop() == 0
    for secret in ("Synth", "TEST-0001", "19700101"):
        assert secret not in gateway.output
        assert secret not in metrics
