"""A modality that keeps its own queue, as they do: it sends an object until it has been told Success."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

from association import Aborted, Association, Rejected
from objects import EXPLICIT_LE, XA, Recipe, build

Address = tuple[str, int]
# What a modality waits before it tries again.
BEFORE_RETRY = 0.02


def many(count: int, folder: Path) -> dict[str, bytes]:
    """XA images of 16 kB, every one another: SOP Instance UID and data set, in the order of sending."""
    source = build(Recipe("xa", "mono8", EXPLICIT_LE, rows=128, columns=128), folder)
    data, uid = source.dataset_bytes(), source.dataset.SOPInstanceUID
    out = {}
    for number in range(count):
        own = f"{uid[:-6]}{number:06}"
        body = data.replace(uid.encode(), own.encode())
        out[own] = body[:-4] + number.to_bytes(4, "little")
    return out


class Modality(threading.Thread):
    """Sends the objects in order, over one association as long as it lasts."""

    def __init__(self, address: Address, objects: dict[str, bytes], told: Callable[[str], None]) -> None:
        super().__init__(daemon=True)
        self._address, self._objects, self._told = address, objects, told
        # Objects that Success was answered to; attempts that broke; statuses of failure.
        self.done, self.broken = 0, 0
        self.failures: list[int] = []
        self._turn = threading.Condition()
        self._most = len(objects)
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            association = None
            for uid, data in self._objects.items():
                with self._turn:
                    self._turn.wait_for(lambda: self.done < self._most)
                while True:
                    try:
                        association = association or Association(self._address, XA, [EXPLICIT_LE], "PACS", "XA1")
                        association.begin_store(XA, uid)
                        association.data(data, last=True, pdu=4096)
                        status = association.status()
                    except (Rejected, Aborted, OSError):
                        association = None
                        self.broken += 1
                    else:
                        if status == 0x0000:
                            break
                        self.failures.append(status)
                    time.sleep(BEFORE_RETRY)
                self._told(uid)
                self.done += 1
            # Killed after its last answer, the other side has nothing more to say.
            with contextlib.suppress(Aborted, OSError):
                association.release()
        except BaseException as error:  # for whoever waits
            self.error = error

    def allow(self, most: int) -> None:
        """Has it send no more than so many objects in all, until it is allowed more."""
        with self._turn:
            self._most = most
            self._turn.notify()

    def finish(self, seconds: float) -> None:
        """Waits until everything has been sent."""
        self.join(seconds)
        assert not self.is_alive(), f"only {self.done} of {len(self._objects)} are sent"
        if self.error is not None:
            raise self.error
