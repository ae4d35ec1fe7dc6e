"""An audit record repository: rsyslog as Debian has it, which takes syslog over TLS from whoever shows a certificate of the
authority, and writes every message on a line of a file."""

from __future__ import annotations

import base64
import dataclasses
import socket
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

from gateway import free_port, wait_for
from pki import Authority

SCHEMA = Path(__file__).with_name("audit-message.rng")

CONFIGURATION = """
global(workDirectory="{folder}" maxMessageSize="64k" defaultNetstreamDriver="gtls"
    defaultNetstreamDriverCAFile="{ca}" defaultNetstreamDriverCertFile="{certificate}"
    defaultNetstreamDriverKeyFile="{key}")
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="x509/certvalid")
template(name="whole" type="string" string="%pri% %protocol-version% %app-name% %msgid% %structured-data% %msg%\\n")
input(type="imtcp" address="127.0.0.1" port="{port}")
action(type="omfile" file="{file}" template="whole")
"""


@dataclasses.dataclass(frozen=True)
class Message:
    """One message, with its syslog header."""

    header: str
    document: str

    @property
    def root(self) -> ET.Element:
        return ET.fromstring(self.document)

    @property
    def event(self) -> str:
        return self.root.find("EventIdentification/EventID").get("originalText")

    @property
    def kind(self) -> str | None:
        code = self.root.find("EventIdentification/EventTypeCode")
        return None if code is None else code.get("originalText")

    @property
    def outcome(self) -> str:
        return self.root.find("EventIdentification").get("EventOutcomeIndicator")

    def participant(self, role: str) -> ET.Element:
        """The one with this role, or the first without any."""
        for one in self.root.findall("ActiveParticipant"):
            code = one.find("RoleIDCode")
            if (code is None and not role) or (code is not None and code.get("originalText") == role):
                return one
        raise AssertionError(f"no {role!r} in {self.document}")

    def object(self, kind: str) -> ET.Element:
        for one in self.root.findall("ParticipantObjectIdentification"):
            if one.find("ParticipantObjectIDTypeCode").get("originalText") == kind:
                return one
        raise AssertionError(f"no {kind!r} in {self.document}")

    def detail(self, kind: str) -> str:
        for one in self.root.iter("ParticipantObjectDetail"):
            if one.get("type") == kind:
                return base64.b64decode(one.get("value")).decode()
        raise AssertionError(f"no {kind!r} in {self.document}")


class Repository:
    """Not running until it is started."""

    def __init__(self, authority: Authority, folder: Path) -> None:
        self._authority = authority
        self._folder = folder
        folder.mkdir(parents=True)
        self._file = folder / "messages"
        self._port = free_port()
        leaf = authority.leaf("repository", server=True)
        self._configuration = folder / "rsyslog.conf"
        self._configuration.write_text(
            CONFIGURATION.format(
                folder=folder, ca=authority.ca, certificate=leaf.certificate, key=leaf.key,
                port=self._port, file=self._file,
            )
        )
        self._child: subprocess.Popen | None = None

    def settings(self, **more) -> dict:
        """[audit] of a gateway that sends here and shows a certificate."""
        leaf = self._authority.leaf("auditor", server=False)
        files = {"certificate": str(leaf.certificate), "key": str(leaf.key)}
        return {"receiver": f"localhost:{self._port}", "ca": str(self._authority.ca), **files, **more}

    def start(self) -> None:
        command = ["/usr/sbin/rsyslogd", "-n", "-f", str(self._configuration), "-i", "NONE"]
        with open(self._folder / "rsyslogd.log", "ab") as log:
            self._child = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder)
        wait_for(self._listens, "rsyslog listens")

    def _listens(self) -> bool:
        assert self._child.poll() is None, (self._folder / "rsyslogd.log").read_text()
        try:
            socket.create_connection(("127.0.0.1", self._port), timeout=5).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        if self._child:
            self._child.terminate()
            self._child.wait(20)
            self._child = None

    def messages(self) -> list[Message]:
        if not self._file.exists():
            return []
        # What is being written has no end yet.
        lines = self._file.read_text(encoding="utf-8").split("\n")[:-1]
        starts = [line.index("<?xml") for line in lines]
        return [Message(line[:start], line[start:]) for line, start in zip(lines, starts, strict=True)]

    def wait_for(self, count: int, event: str, kind: str | None = None) -> list[Message]:
        """The messages of an event, once there are so many; of those that came twice, one."""

        def there() -> list[Message]:
            found = dict.fromkeys(one for one in self.messages() if one.event == event)
            found = [one for one in found if kind in (None, one.kind)]
            return found if len(found) >= count else []

        return wait_for(there, f"{count} messages of {event}")

    def valid(self) -> int:
        """Holds all messages against the schema; how many there are."""
        folder = self._folder / "documents"
        folder.mkdir(exist_ok=True)
        for at, message in enumerate(self.messages()):
            (folder / f"{at:04}.xml").write_text(message.document, encoding="utf-8")
        return hold_against_schema(folder)


def hold_against_schema(folder: Path) -> int:
    """Every document of a folder; how many there are."""
    documents = sorted(folder.glob("*.xml"))
    assert documents
    command = ["xmllint", "--noout", "--nonet", "--relaxng", str(SCHEMA), *map(str, documents)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return len(documents)
