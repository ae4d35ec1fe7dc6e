"""A box with a console, for a browser: the real binary with a capture that plays a clip, a destination that takes its
instances, and a worklist of DCMTK's."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from gateway import Gateway, Process, free_port
from pki import Authority

ROWS, COLUMNS, FRAMES, RATE = 480, 640, 40, 20.0
# What no page, file or log may show before somebody has unlocked it.
PATIENTS = {"C4711": "Konsole^Karla", "C4712": "Konsole^Konrad", "C4713": "Andere^Anton"}


class Box(Gateway):
    """A gateway whose control socket is in a directory of its own, with its console open."""

    def __init__(self, program: Path, folder: Path, authority: Authority, **sections: dict) -> None:
        self.program = program
        self.console = ("127.0.0.1", free_port())
        self.runtime = folder / "run"
        self.runtime.mkdir(parents=True)
        opened = {"listen": "%s:%d" % self.console, "code_may": ["operate", "phi"]} | sections.pop("console", {})
        super().__init__(program, folder, authority, console=opened, **sections)

    def start(self) -> None:
        # As systemd names it.
        with mock.patch.dict(os.environ, RUNTIME_DIRECTORY=str(self.runtime)):
            super().start()

    def _listening(self) -> bool:
        """With what is opened last: the console, and the control socket."""
        if not super()._listening() or not (self.runtime / "control.sock").is_socket():
            return False
        try:
            socket.create_connection(self.console, timeout=5).close()
        except OSError:
            return False
        return True

    @property
    def url(self) -> str:
        return "https://%s:%d/" % self.console

    def code(self) -> str:
        """A one-time code, as whoever has a shell on the box gets one."""
        command = [str(self.program), "console-code", "--json", "--runtime-directory", str(self.runtime)]
        said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        assert said.returncode == 0, said.stderr
        return json.loads(said.stdout)["code"]


def clip(folder: Path) -> str:
    """A device that plays grey pictures in which a catheter sways and a ball goes round."""
    rows, columns = np.mgrid[0:ROWS, 0:COLUMNS]
    pictures = []
    for frame in range(FRAMES):
        phase = 2 * np.pi * frame / FRAMES
        ground = 150 - 60 * np.hypot((columns - 320) / 320, (rows - 240) / 240)
        catheter = np.abs(columns - 300 - 40 * np.sin(rows / 70 + phase) - rows / 6) < 3 + rows / 200
        ball = np.hypot(columns - 320 - 120 * np.cos(phase), rows - 230 - 90 * np.sin(phase)) < 22
        pictures.append(np.clip(ground - 80 * catheter - 60 * ball, 0, 255).astype(np.uint8))
    (folder / "angiogram.raw").write_bytes(np.stack(pictures).tobytes())
    path = folder / "angiogram.toml"
    path.write_text(
        f'file = "angiogram.raw"\nformat = "GREY"\nwidth = {COLUMNS}\nheight = {ROWS}\nrate = {RATE}\n'
    )
    return f"replay:{path}"


@contextlib.contextmanager
def worklist(folder: Path) -> Iterator[dict]:
    """wlmscpfs with one entry for each patient; yields the section that asks it."""
    if shutil.which("wlmscpfs") is None:
        pytest.skip("wlmscpfs is not installed")
    place = folder / "wl" / "RIS"
    place.mkdir(parents=True)
    (place / "lockfile").touch()
    for hour, (patient_id, name) in enumerate(PATIENTS.items(), 8):
        entry(patient_id, name, f"{hour:02}3000").save_as(place / f"{patient_id}.wl", enforce_file_format=True)
    port = free_port()
    command = ["wlmscpfs", "--data-files-path", str(place.parent), "--keep-char-set", "-dfr", str(port)]
    with open(folder / "wlmscpfs.log", "w", encoding="utf-8") as log:
        child = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield {"address": f"127.0.0.1:{port}", "ae_title": "RIS", "station_ae_titles": ["XA1"], "refresh_seconds": 1}
    finally:
        child.kill()
        child.wait()


def entry(patient_id: str, name: str, time: str) -> pydicom.Dataset:
    """A scheduled procedure step of today."""
    one = pydicom.Dataset()
    one.SpecificCharacterSet = "ISO_IR 192"
    one.PatientName, one.PatientID, one.PatientBirthDate, one.PatientSex = name, patient_id, "19700102", "O"
    one.AccessionNumber, one.StudyInstanceUID = f"ACC-{patient_id}", generate_uid(entropy_srcs=[patient_id])
    one.RequestedProcedureID, one.RequestedProcedureDescription = f"RP-{patient_id}", "Coronary angiography"
    step = pydicom.Dataset()
    step.ScheduledStationAETitle, step.ScheduledStationName, step.Modality = "XA1", "CATH1", "XA"
    step.ScheduledProcedureStepStartDate = datetime.date.today().strftime("%Y%m%d")
    step.ScheduledProcedureStepStartTime = time
    step.ScheduledPerformingPhysicianName = ""
    step.ScheduledProcedureStepDescription, step.ScheduledProcedureStepID = "Left heart", f"SPS-{patient_id}"
    one.ScheduledProcedureStepSequence = Sequence([step])
    one.file_meta = FileMetaDataset()
    one.file_meta.MediaStorageSOPClassUID = "1.2.276.0.7230010.3.1.0.1"
    one.file_meta.MediaStorageSOPInstanceUID = one.StudyInstanceUID
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return one


@contextlib.contextmanager
def destination(program: Path, folder: Path, authority: Authority) -> Iterator[dict]:
    """`framegate receive`; yields the section that pushes to it."""
    leaf, port = authority.leaf("receiver", server=True), free_port()
    command = [str(program), "receive", "--listen", f"127.0.0.1:{port}"]
    receiver = Process([*command, "--certificate", str(leaf.certificate), "--key", str(leaf.key)], folder)
    try:
        yield {"url": f"https://127.0.0.1:{port}/dicomweb", "ca": str(authority.ca), "mode": "send", "retry_ms": 200}
    finally:
        receiver.stop()


@contextlib.contextmanager
def room(program: Path, folder: Path, authority: Authority, **sections: dict) -> Iterator[Box]:
    """A whole room: capture, worklist, a destination that works and one that does not."""
    folder.mkdir(parents=True, exist_ok=True)
    with worklist(folder) as ris, destination(program, folder, authority) as navigation:
        box = Box(
            program, folder / "box", authority,
            capture__xa={"device": clip(folder), "pixels": "grey", "modality": "XA"},
            worklist__ris=ris,
            destination__navigation=navigation,
            destination__away={"url": f"https://127.0.0.1:{free_port()}/dicomweb", "ca": str(authority.ca), "retry_ms": 500},
            subscription__navigation={"search": "/series", "subscriber": "NAVIGATION", "destination": "navigation"},
            subscription__away={"search": "/series", "filter": "Modality=US", "subscriber": "AWAY", "destination": "away"},
            **sections,
        )
        try:
            yield box
        finally:
            if box.child.poll() is None:
                box.child.kill()
            box.wait()
