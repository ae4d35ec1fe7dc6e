"""The short form of `tests/soak`: long enough for the slow ones to be told what they missed and for
the one that never reads to be dropped."""

from __future__ import annotations

import pytest

import soak


@pytest.mark.parametrize("way", ["pull", "push"])
def test_bad_subscribers_disturb_nobody(program, tmp_path, way):
    seen = soak.run(program, tmp_path / way, way, seconds=12, fps=30, megabytes=0.5)
    assert not seen["problems"], seen
