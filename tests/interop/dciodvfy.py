"""What dciodvfy (dicom3tools) finds wrong with an object."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest


def said(path: Path) -> str:
    """All that it says."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed")
    line = ["dciodvfy", path]
    done = subprocess.run(line, capture_output=True, text=True, errors="replace", timeout=120, check=False)
    return done.stdout + done.stderr


def errors(path: Path, scratch: Path) -> set[str]:
    """The `Error` lines, without the UIDs and file offsets that differ between two objects."""
    findings = said(path)
    if "Dicom dataset read failed" in findings:
        # It cannot read deflated datasets.
        inflated = scratch / f"{path.stem}.inflated.dcm"
        subprocess.run(["dcmconv", "+te", path, inflated], check=True)
        findings = said(inflated)
    lines = (line for line in findings.splitlines() if "Error" in line)
    return {re.sub(r"\b\d+(\.\d+){3,}\b", "UID", line).strip() for line in lines}
