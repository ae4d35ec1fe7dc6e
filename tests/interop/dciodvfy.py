"""What dciodvfy (dicom3tools) finds wrong with an object."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from conftest import tool


def errors(path: Path, scratch: Path) -> set[str]:
    """The `Error` lines, without the UIDs and file offsets that differ between two objects."""
    findings = tool("dciodvfy", str(path), check=False).stdout
    if "Dicom dataset read failed" in findings:
        # It cannot read deflated datasets.
        inflated = scratch / f"{path.stem}.inflated.dcm"
        subprocess.run(["dcmconv", "+te", path, inflated], check=True)
        findings = tool("dciodvfy", str(inflated), check=False).stdout
    lines = (line for line in findings.splitlines() if "Error" in line)
    return {re.sub(r"\b\d+(\.\d+){3,}\b", "UID", line).strip() for line in lines}
