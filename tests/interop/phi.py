"""No patient in any output: whatever a framegate that the tests run writes is kept until the end of the run, and then
searched for every name and identifier of a patient that the tests have used. The search counts as one test.

What the tests use is collected by itself where they set it in a data set of pydicom; what goes another way is told by
`secret()`. Output and values lie in one folder, which all processes of a parallel run share, and which stays when
something was found."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import unquote

import pydicom
import pytest
from pydicom.datadict import dictionary_VR, tag_for_keyword

FOLDER = "FRAMEGATE_TEST_OUTPUT"
NAME = "test_no_patient_is_in_any_output"
# Whoever holds one of these knows who is imaged.
IDENTIFIERS = {"PatientID", "PatientBirthDate", "AccessionNumber", "AdmissionID"}
# Parts of invented names that a log may well say: what was searched for is the whole name.
ORDINARY = set(
    "Again Back Entries Many Modality New Next One Other Patient Room Safe Station Test Way Week".split()
)

_used: set[str] = set()


def secret(value: str) -> str:
    """Says that this is the name or an identifier of a patient, and returns it."""
    _used.add(value)
    return value


def _collecting(set_attribute):
    def collect(self, name, value):
        if isinstance(value, str | pydicom.valuerep.PersonName) and str(value) and (tag := tag_for_keyword(name)):
            if name in IDENTIFIERS or dictionary_VR(tag) == "PN":
                _used.add(str(value))
        set_attribute(self, name, value)

    return collect


def words(values: Iterable[str]) -> dict[str, str]:
    """What to look for, and of which value it is: the whole, and the parts of a name (PS3.5 section 6.2.1)."""
    found = {}
    for value in values:
        for whole in re.split(r"[=\\]", value):
            found[whole] = value
            parts = re.split(r"[\^ ]+", whole)
            if len(parts) > 1:
                found |= {part: value for part in parts if len(part.encode()) > 3 and part not in ORDINARY}
    # Shorter ones are in every log: in fingerprints and tokens, by chance.
    return {word: value for word, value in found.items() if len(word.encode()) > 3}


def leaks(lines: Iterable[str], values: Iterable[str]) -> Iterator[tuple[int, str, str]]:
    """Line, from 1, value, and what it says, of every line that holds one of the values."""
    known = words(values)
    if not known:
        return
    # A number between points or colons is of an address, a time or a UID.
    one_of = "|".join(re.escape(word) for word in sorted(known, key=len, reverse=True))
    pattern = re.compile(rf"(?<![^\W_])(?<!\d[.:])(?:{one_of})(?![^\W_])(?![.:]\d)")
    for number, line in enumerate(lines, 1):
        if found := pattern.search(line) or ("%" in line and pattern.search(unquote(line))):
            yield number, known[found.group()], line.rstrip("\n")


def output(name: str) -> Path | None:
    """A file for what a process of this name writes; `None` outside of a run that is searched."""
    folder = os.environ.get(FOLDER)
    if folder is None:
        return None
    number, path = tempfile.mkstemp(".log", f"{re.sub(r'[^A-Za-z0-9-]+', '-', name)}-", folder)
    os.close(number)
    return Path(path)


class Search:
    """The plugin."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.is_worker = hasattr(config, "workerinput")
        if not self.is_worker:
            os.environ[FOLDER] = tempfile.mkdtemp(prefix="framegate-output-")
        self.folder = Path(os.environ[FOLDER])
        self.set_attribute = pydicom.Dataset.__setattr__
        pydicom.Dataset.__setattr__ = _collecting(self.set_attribute)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session):
        pydicom.Dataset.__setattr__ = self.set_attribute
        values = self.folder / f"values-{os.getpid()}.json"
        values.write_text(json.dumps(sorted(_used)), encoding="utf-8")
        # A worker's part is searched by whoever started it.
        if self.is_worker:
            return
        del os.environ[FOLDER]
        outputs = sorted(self.folder.glob("*.log"))
        if not outputs:
            shutil.rmtree(self.folder)
            return
        used = {value for file in self.folder.glob("values-*.json") for value in json.loads(file.read_text("utf-8"))}
        lines, found = 0, []
        for file in outputs:
            text = file.read_text("utf-8", errors="replace").splitlines()
            lines += len(text)
            found += [f"{file}:{number}: {value!r} in: {line}" for number, value, line in leaks(text, used)]
        said = f"searched {lines} lines of {len(outputs)} outputs for {len(used)} names and identifiers of patients"
        self._report(session, said, found)
        if not found:
            shutil.rmtree(self.folder)

    def _report(self, session, said: str, found: list[str]) -> None:
        place = (str(Path(__file__)), None, NAME)
        report = pytest.TestReport(
            nodeid=f"{Path(__file__).name}::{NAME}",
            location=place,
            keywords={},
            outcome="failed" if found else "passed",
            longrepr="\n".join([said, *found[:50]]) if found else None,
            when="call",
        )
        self.config.hook.pytest_runtest_logreport(report=report)
        if found:
            session.testsfailed += 1
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        reporter.write_line("")
        reporter.write_line(said)
