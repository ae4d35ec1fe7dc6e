"""Objects that a test sends into a box, and what it reads out of one, with programs that are not ours: DCMTK and curl."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path

import numpy
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, XRayAngiographicImageStorage, generate_uid

PATIENT = "Zwetschgenknoedel^Xaverine"
"""A name that is nowhere else."""
PATIENT_ID = "QX-7719-LMZ-0042"


class Run:
    """A run of single frames of one series."""

    def __init__(self, folder: Path):
        self.folder, self.study, self.series, self.number = folder, generate_uid(), generate_uid(), 0
        folder.mkdir(parents=True, exist_ok=True)
        self.sent: dict[str, bytes] = {}

    def frame(self) -> Path:
        self.number += 1
        data = Dataset()
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = XRayAngiographicImageStorage
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        data.StudyInstanceUID, data.SeriesInstanceUID = self.study, self.series
        data.PatientName, data.PatientID, data.PatientBirthDate, data.PatientSex = PATIENT, PATIENT_ID, "19610203", "F"
        data.Modality, data.StudyDate, data.StudyTime = "XA", "20260101", "101500"
        data.InstanceNumber, data.SeriesNumber = self.number, 1
        data.Rows = data.Columns = 128
        data.BitsAllocated = data.BitsStored = 8
        data.HighBit, data.PixelRepresentation, data.SamplesPerPixel = 7, 0, 1
        data.PhotometricInterpretation = "MONOCHROME2"
        pixels = numpy.random.default_rng(self.number).integers(0, 256, (128, 128), dtype=numpy.uint8).tobytes()
        data.PixelData = pixels
        path = self.folder / f"{self.number:05}.dcm"
        data.save_as(path, enforce_file_format=True)
        self.sent[data.SOPInstanceUID] = pixels
        return path

    def send(self, port: int, called: str, count: int = 1) -> None:
        """C-STOREs so many frames in one association, which calls the box by its AE title."""
        files = [self.frame() for _ in range(count)]
        line = ["storescu", "-v", "-aec", called, "-xe", "-to", "30", "127.0.0.1", str(port), *map(str, files)]
        done = subprocess.run(line, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr


class Streaming:
    """Frames going into a box, for as long as the context lasts; the box may go and come back."""

    def __init__(self, folder: Path, port: int, called: str):
        self.run, self.port, self.called, self.good, self.bad = Run(folder), port, called, [], 0
        self.stop = threading.Event()

    def work(self) -> None:
        while not self.stop.is_set():
            began = time.monotonic()
            try:
                self.run.send(self.port, self.called, 3)
                self.good.append((began, time.monotonic()))
            except (AssertionError, subprocess.TimeoutExpired):
                self.bad += 1
            self.stop.wait(0.3)

    def __enter__(self) -> "Streaming":
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.stop.set()
        self.thread.join(150)


def curl(certificate: Path, name: str, port: int, path: str, accept: str) -> subprocess.CompletedProcess:
    """A request to the box by its own name, trusting its own certificate and no other."""
    return subprocess.run(
        ["curl", "-sS", "--fail-with-body", "-m", "60", "--cacert", certificate, "--resolve", f"{name}:{port}:127.0.0.1",
         "-H", f"Accept: {accept}", f"https://{name}:{port}/dicomweb{path}"],
        capture_output=True, timeout=90,
    )  # fmt: skip
