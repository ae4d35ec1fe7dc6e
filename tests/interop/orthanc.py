"""Runs Orthanc with its DICOMweb plugin (Debian: orthanc, orthanc-dicomweb) as a peer."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import requests

from gateway import free_port, wait_for

PLUGIN_FOLDERS = ["/usr/share/orthanc/plugins", "/usr/lib/orthanc"]


class Orthanc:
    """A running Orthanc: `rest` is its REST API, `base` its DICOMweb service."""

    def __init__(self, folder: Path, **config) -> None:
        program = shutil.which("Orthanc")
        plugins = [str(path) for name in PLUGIN_FOLDERS for path in Path(name).glob("libOrthancDicomWeb.so*")]
        if program is None or not plugins:
            pytest.skip("orthanc and orthanc-dicomweb are not installed")
        folder.mkdir(parents=True, exist_ok=True)
        self.http = ("127.0.0.1", free_port())
        self.dimse = ("127.0.0.1", free_port())
        settings = {
            "Name": "ORTHANC",
            "HttpPort": self.http[1],
            "DicomPort": self.dimse[1],
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "HttpsVerifyPeers": True,
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "index"),
            # The same one, where both folders have it.
            "Plugins": plugins[:1],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": False, **config.pop("DicomWeb", {})},
            **config,
        }
        file = folder / "orthanc.json"
        file.write_text(json.dumps(settings))
        self._log = (folder / "orthanc.log").open("w+")
        self.child = subprocess.Popen(
            [program, str(file)], cwd=folder, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log
        )
        self.session = requests.Session()
        self.session.trust_env = False
        try:
            wait_for(self._answers, "Orthanc to answer", 60)
        except BaseException:
            self.stop()
            raise

    def _answers(self) -> bool:
        assert self.child.poll() is None, f"Orthanc ended at its start:\n{self.log}"
        try:
            return self.session.get(f"{self.rest}/dicom-web/servers", timeout=5).status_code == 200
        except requests.ConnectionError:
            return False

    @property
    def rest(self) -> str:
        return "http://%s:%d" % self.http

    @property
    def base(self) -> str:
        return f"{self.rest}/dicom-web"

    @property
    def log(self) -> str:
        self._log.flush()
        return Path(self._log.name).read_text(errors="replace")

    def stop(self) -> None:
        self.child.terminate()
        try:
            self.child.wait(20)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self._log.close()


def start(folder: Path, **config) -> Orthanc:
    """Starts one; keys of Orthanc's configuration as keywords."""
    return Orthanc(folder, **config)
