"""A hospital's certificate takes the place of the box's own while images stream: csr, signature, import, reload."""

from __future__ import annotations

import datetime
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from live import LiveRead

from box import Box, wait_for
from client import Client

IDENTITY = "/etc/framegate/identity"


class Hospital:
    """An authority that signs what a box asks for."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hospital")])
        root = self._builder(self._name, self._key.public_key())
        root = root.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.root = self._signed(root)

    def _builder(self, subject: x509.Name, key) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.timezone.utc)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=365))
        )

    def _signed(self, builder: x509.CertificateBuilder) -> str:
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

    def sign(self, request: str) -> str:
        """The certificate for a request, with the names that it asks for."""
        asked = x509.load_pem_x509_csr(request.encode())
        assert asked.is_signature_valid
        names = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        return self._signed(
            self._builder(asked.subject, asked.public_key()).add_extension(names.value, critical=False)
        )


@pytest.fixture(scope="module")
def box(boxes, fresh) -> Box:
    return boxes(fresh, options="vivid.n_devs=1").active()


def served(box: Box) -> list[str]:
    return ssl.get_server_certificate((box.address, 443), timeout=10).split()


def test_a_hospitals_certificate_is_taken_while_images_stream(box):
    own = Client(box, box.run("cat", f"{IDENTITY}/server.pem"))
    stream = LiveRead(own, wait_for(own.series, "the card's series is found")[0])
    stream.next_instance()

    hospital = Hospital()
    certificate = hospital.sign(box.run("cat", f"{IDENTITY}/server.csr"))
    box.write("/run/answer.pem", certificate + hospital.root)
    box.run("framegate", "identity", "import", "/run/answer.pem")
    box.run("systemctl", "reload", "framegate.service")
    wait_for(lambda: served(box) == certificate.split(), "the new certificate is served")

    after = [stream.next_instance().InstanceNumber for _ in range(100)]
    stream.hang_up()
    assert after == sorted(set(after)), "the stream has not gone on"
    assert Client(box, hospital.root).get("/series")[0] == 200


def test_a_certificate_of_another_key_is_refused(box, authority):
    before = served(box)
    box.write("/run/other.pem", authority.leaf("other", server=True).certificate.read_text())
    status, said = box.attempt("framegate", "identity", "import", "/run/other.pem")
    assert status != 0 and "key" in said, said
    box.run("systemctl", "reload", "framegate.service")
    assert served(box) == before
