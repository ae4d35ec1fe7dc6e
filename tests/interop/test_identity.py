"""The certificates of a box: made at its first boot, requested, signed by a hospital's authorities (openssl and
cryptography), imported, and served while a stream goes on."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway import wait_for
from live import LiveRead, open_when_there
from test_live import FRAMES, SlowStore, numbers

DAY = datetime.timedelta(days=1)
PEM = serialization.Encoding.PEM


class Box:
    """An identity, with its key in memory, and the commands that work on it."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.program = program
        self.directory = folder / "identity"
        self.key = folder / "server.key"

    def run(self, action: str, *arguments) -> subprocess.CompletedProcess:
        environment = {**os.environ, "CREDENTIALS_DIRECTORY": str(self.key.parent)}
        command = [self.program, "identity", action, *arguments]
        return subprocess.run(
            [str(word) for word in command], capture_output=True, text=True, timeout=60, check=False, env=environment
        )

    def does(self, action: str, *arguments) -> str:
        done = self.run(action, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refuses(self, action: str, *arguments) -> str:
        done = self.run(action, *arguments)
        assert (done.returncode, done.stdout) == (1, ""), done
        return done.stderr

    def create(self) -> str:
        return self.does("create", "--directory", self.directory, "--key", self.key)

    def show(self) -> dict:
        return json.loads(self.does("show", "--directory", self.directory, "--json"))

    def csr(self, *names: str) -> x509.CertificateSigningRequest:
        options = [option for name in names for option in ("--name", name)]
        text = self.does("csr", "--directory", self.directory, *options)
        request = x509.load_pem_x509_csr(text.encode())
        assert request.is_signature_valid
        return request


class Hospital:
    """An RSA root, as hospitals have, an issuing authority below it, and what it signs."""

    def __init__(self) -> None:
        self._root_key = rsa.generate_private_key(65537, 3072)
        self._key = ec.generate_private_key(ec.SECP384R1())
        root = name("Hospital Root")
        self.root = self._sign(root, root, self._root_key.public_key(), self._root_key, authority=True)
        self.issuing = self._sign(name("Hospital Issuing"), root, self._key.public_key(), self._root_key, authority=True)

    @staticmethod
    def _sign(subject, issuer, public_key, key, *, authority=False, names=None, usage=None, days=90):
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 200 * DAY)
            .not_valid_after(now + days * DAY)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        if usage is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        return builder.sign(key, hashes.SHA256())

    def answer(self, request, *, usage=ExtendedKeyUsageOID.SERVER_AUTH, days=90) -> x509.Certificate:
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return self._sign(
            request.subject, self.issuing.subject, request.public_key(), self._key, names=names, usage=usage, days=days
        )


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(one.public_bytes(PEM) for one in certificates)


@pytest.fixture(scope="module")
def hospital() -> Hospital:
    return Hospital()


@pytest.fixture
def box(program):
    """A box whose identity was made just now, in memory, as the key demands."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        pytest.skip("no tmpfs at /dev/shm")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        made = Box(program, Path(folder))
        made.create()
        yield made


def openssl(*arguments, check: bool = True) -> str:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    command = ["openssl", *(str(word) for word in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 or not check, done.stderr
    return done.stdout + done.stderr


def test_another_implementation_reads_what_was_made(box):
    shown = box.show()
    certificate = box.directory / "server.pem"
    said = openssl("x509", "-in", certificate, "-noout", "-fingerprint", "-sha256", "-subject", "-dates", "-ext", "subjectAltName")
    assert f"={shown['fingerprint_sha256']}" in said
    assert "notBefore=Jan  1 00:00:00 2025 GMT" in said and "notAfter=Jan  1 00:00:00 2035 GMT" in said
    hostname = shown["hostname"]
    assert hostname == f"framegate-{shown['device_id'][6:]}"
    assert shown["names"] == [hostname, f"{hostname}.local"]
    assert all(f"DNS:{one}" in said for one in shown["names"])
    assert "OK" in openssl("req", "-in", box.directory / "server.csr", "-noout", "-verify")
    assert "OK" in openssl("verify", "-CAfile", certificate, certificate)
    assert shown["self_signed"] and shown["key_matches_request"] and shown["state"] == "valid"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in box.directory.iterdir()}
    assert modes == dict.fromkeys(["device-id", "hostname", "server.pem", "server.csr"], 0o640)
    assert (stat.S_IMODE(box.directory.stat().st_mode), stat.S_IMODE(box.key.stat().st_mode)) == (0o750, 0o600)


def test_an_identity_is_made_once_and_its_key_is_never_on_a_disk(box, tmp_path):
    before = box.show()
    again = box.refuses("create", "--directory", box.directory, "--key", box.key.with_name("b"))
    assert f"{box.directory} is there already" in again
    assert box.show() == before
    filesystem = subprocess.run(["stat", "-f", "-c", "%T", tmp_path], capture_output=True, text=True, check=True)
    if filesystem.stdout.strip() != "tmpfs":
        refused = box.refuses("create", "--directory", tmp_path / "identity", "--key", tmp_path / "key")
        assert "not on a tmpfs" in refused and not list(tmp_path.iterdir())


@pytest.mark.parametrize("cut", [1, 2, 3, 5, 8, 13, 21])
def test_creation_that_is_killed_is_whole_or_begins_anew(program, cut):
    """Killed after so many milliseconds; a second run makes whatever the first did not."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        box = Box(program, Path(folder))
        command = [program, "identity", "create", "--directory", box.directory, "--key", box.key]
        child = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL)
        try:
            child.wait(cut / 1000)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if not box.directory.exists():
            box.create()
        assert box.show()["key_matches_request"]
        assert box.csr("a.example").public_key() == x509.load_pem_x509_certificate(
            (box.directory / "server.pem").read_bytes()
        ).public_key()


def test_a_request_has_the_names_that_were_asked_for(box):
    shown = box.show()
    first = box.csr()
    names = first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == shown["names"]
    other = box.csr("room7.hospital.example", "192.0.2.7", "2001:db8::7")
    names = other.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["room7.hospital.example"]
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.7", "2001:db8::7"]
    assert other.public_key() == first.public_key()
    assert "neither a DNS name nor an IP address" in box.refuses("csr", "--name", "room 7")


def test_what_is_no_chain_of_ours_is_refused_with_advice(box, hospital, tmp_path):
    leaf = hospital.answer(box.csr())
    served = (box.directory / "server.pem").read_bytes()
    stranger = Hospital()
    key = ec.generate_private_key(ec.SECP256R1())
    foreign = x509.CertificateSigningRequestBuilder().subject_name(name("x"))
    foreign = foreign.add_extension(x509.SubjectAlternativeName([x509.DNSName("x")]), critical=False)
    foreign = hospital.answer(foreign.sign(key, hashes.SHA256()))
    bundle = pkcs7.serialize_certificates([leaf, hospital.issuing], PEM)
    binary = pkcs7.serialize_certificates([leaf, hospital.issuing], serialization.Encoding.DER)
    client = hospital.answer(box.csr(), usage=ExtendedKeyUsageOID.CLIENT_AUTH)
    cases = {
        "none of its certificates is for the key of this box": pem(foreign, hospital.issuing),
        "was not signed by": pem(leaf, stranger.issuing),
        "openssl pkcs7 -print_certs": bundle,
        "openssl pkcs7 -inform DER -print_certs": binary,
        "openssl x509 -inform DER": leaf.public_bytes(serialization.Encoding.DER),
        "holds a request and no certificate": (box.directory / "server.csr").read_bytes(),
        "has expired on": pem(hospital.answer(box.csr(), days=-1), hospital.issuing),
        "is not for servers": pem(client, hospital.issuing),
        "holds no CERTIFICATE section": b"<html>not found</html>",
    }
    file = tmp_path / "answer"
    for advice, content in cases.items():
        file.write_bytes(content)
        assert advice in box.refuses("import", file, "--directory", box.directory), advice
    assert (box.directory / "server.pem").read_bytes() == served
    # What the advice says works.
    file.write_bytes(binary)
    openssl("pkcs7", "-inform", "DER", "-print_certs", "-in", file, "-out", tmp_path / "chain.pem")
    assert "installed in" in box.does("import", tmp_path / "chain.pem", "--directory", box.directory)


def served_chain(gateway, authority_pem: bytes, hostname: str) -> str:
    """The fingerprint of what a new connection is shown, by a client that trusts only this root."""
    context = ssl.create_default_context(cadata=authority_pem.decode())
    with socket.create_connection(gateway.web, timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname=hostname) as secure:
            certificate = x509.load_der_x509_certificate(secure.getpeercert(binary_form=True))
            return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def test_the_hospitals_chain_is_served_while_a_stream_goes_on(box, hospital, own_gateway, tmp_path):
    files = {"certificate": str(box.directory / "server.pem"), "key": str(box.key)}
    gateway = own_gateway(dicomweb__tls=files)
    shown = box.show()
    first = (box.directory / "server.pem").read_bytes()
    assert served_chain(gateway, first, shown["hostname"]) == shown["fingerprint_sha256"]

    class Trusting:
        """The stream's client knows the box's first certificate."""

        web, base = gateway.web, gateway.base

        class authority:
            @staticmethod
            def client_context() -> ssl.SSLContext:
                context = ssl.create_default_context(cadata=first.decode())
                context.check_hostname = False
                return context

    store = SlowStore(gateway, tmp_path)
    store.send(3)
    reader: LiveRead = open_when_there(Trusting, store.path)
    seen = [int(reader.next_instance().InstanceNumber)]

    answer = tmp_path / "answer.pem"
    leaf = hospital.answer(box.csr("room7.hospital.example"), days=20)
    # In the order of a bundle that somebody put together by hand.
    answer.write_bytes(pem(hospital.root, leaf, hospital.issuing))
    said = box.does("import", answer, "--directory", box.directory)
    assert "not in the order" in said and "no name of the certificate is that of this box" in said
    gateway.signal(signal.SIGHUP)
    gateway.wait_for_line("a certificate expires soon: have it renewed.*dicomweb.tls.certificate.*days=19")
    now = box.show()
    assert now["fingerprint_sha256"] == leaf.fingerprint(hashes.SHA256()).hex(":").upper()
    assert (now["self_signed"], now["key_matches_request"], now["days_left"]) == (False, True, 19)
    wait_for(
        lambda: served_chain(gateway, pem(hospital.root), "room7.hospital.example") == now["fingerprint_sha256"],
        "the hospital's chain is served, whole",
    )
    expires = gateway.metric(r'framegate_tls_certificate_expiry_timestamp_seconds\{listener="dicomweb"\}')
    assert expires == int(leaf.not_valid_after_utc.timestamp())
    assert gateway.metric(r'framegate_tls_certificate_expiry_timestamp_seconds\{listener="dimse"\}') > expires
    assert (box.directory / "server.pem.previous").read_bytes() == first

    store.finish()
    assert seen + numbers(reader.rest()) == list(range(1, FRAMES + 1))
