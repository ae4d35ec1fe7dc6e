"""Sends objects to the gateway with pynetdicom, bytes of the dataset as they stand in the file."""

from __future__ import annotations

import ssl
from pathlib import Path

import pydicom
from pynetdicom import AE, _config

# Without this pynetdicom decodes the file and writes it anew.
_config.STORE_SEND_CHUNKED_DATASET = True


def store(
    address: tuple[str, int],
    *paths: Path,
    called: str = "FRAMEGATE",
    calling: str = "PYNETDICOM",
    context: ssl.SSLContext | None = None,
) -> list[int]:
    """Sends the files over one association, each in its own presentation context; the statuses."""
    ae = AE(ae_title=calling)
    contexts = []
    for path in paths:
        meta = pydicom.dcmread(path, stop_before_pixels=True).file_meta
        proposed = (meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID)
        if proposed not in contexts:
            contexts.append(proposed)
            ae.add_requested_context(*proposed)
    tls = None if context is None else (context, address[0])
    association = ae.associate(*address, ae_title=called, max_pdu=16382, tls_args=tls)
    assert association.is_established, "association refused"
    try:
        return [association.send_c_store(path).Status for path in paths]
    finally:
        association.release()


def store_all(address: tuple[str, int], *paths: Path) -> None:
    """As `store`, and every status must be Success."""
    statuses = store(address, *paths)
    assert statuses == [0x0000] * len(paths), [hex(status) for status in statuses]
