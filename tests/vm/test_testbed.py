"""The test bed itself: what other tests rely on."""
# kernel: vivid.n_devs=1

from __future__ import annotations

import os
import subprocess
from itertools import pairwise

import libjpeg
import pytest

import v4l2
from camera import Camera, number
from vivid import Vivid

WIDTH, HEIGHT = 1920, 1080


@pytest.fixture
def vivid():
    card = Vivid()
    yield card
    card.restore()


@pytest.fixture
def camera():
    with Camera() as one:
        yield one


def ends_with_enodev(node, fault):
    """Whether a stream of v4l2-ctl ends by ENODEV when the fault happens."""
    line = v4l2.streaming(node, 0)
    with subprocess.Popen(line, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as streaming:
        assert any("dqbuf" in said for said in streaming.stderr)
        fault()
        # It tells the error of DQBUF, but of QBUF only that there was one.
        return any("No such device" in said or "qbuf error" in said for said in streaming.stderr)


def test_vivid_delivers_what_its_input_sees(vivid):
    vivid.hdmi("1920x1080p30")
    frames = v4l2.capture(vivid.node, 10)
    assert {len(frame.data) for frame in frames} == {WIDTH * HEIGHT * 2}
    assert not any(frame.flagged for frame in frames)
    assert all(one.sequence < next.sequence and one.seconds < next.seconds for one, next in pairwise(frames))


def test_the_loop_is_exact_to_the_byte(vivid, tmp_path):
    size = 1280 * 720 * 2
    sent = [bytes([16 + n]) * size for n in range(6)]
    # One that no scaler and no conversion would leave as it is.
    sent += [bytes(16 + at * 37 % 211 for at in range(251)) * (size // 251 + 1)]
    sent[-1] = sent[-1][:size]
    raw = tmp_path / "sent.raw"
    raw.write_bytes(b"".join(sent))
    with vivid.looped(raw, 1280, 720):
        frames = v4l2.capture(vivid.node, 24)
    got = [sent.index(frame.data) if frame.data in sent else None for frame in frames]
    assert None not in got
    assert len(set(got)) > 3


def test_vivid_has_the_faults_of_a_signal(vivid):
    vivid.hdmi("1280x720p60")
    for fault, said in ((vivid.no_signal, "Link has been severed"), (vivid.no_lock, "No locks available")):
        fault()
        with pytest.raises(v4l2.Refused, match=said):
            v4l2.control(vivid.node, "--query-dv-timings")
    vivid.select("1920x1080p60")
    assert "Active width: 1920" in v4l2.control(vivid.node, "--query-dv-timings")
    vivid.lock()
    vivid.corrupt()
    frames = v4l2.capture(vivid.node, 5)
    assert sum(frame.flagged for frame in frames) == 1
    assert ends_with_enodev(vivid.node, vivid.disconnect)
    assert v4l2.capture(vivid.node, 1)
    assert ends_with_enodev(vivid.node, vivid.remove)
    assert v4l2.nodes("vivid") == []
    vivid.insert()
    assert v4l2.capture(vivid.node, 1)


def test_the_camera_streams_1080p30_with_rising_numbers(camera):
    node = camera.node()
    v4l2.set_format(node, WIDTH, HEIGHT, "YUYV")
    frames = v4l2.capture(node, 60)
    numbers = [number(frame.data, WIDTH) for frame in frames]
    # The driver's count of lost frames is the truth: what is not lost arrives in its place.
    assert {have - frame.sequence for have, frame in zip(numbers, frames)} == {0}
    rate = (frames[-1].sequence - frames[0].sequence) / (frames[-1].seconds - frames[0].seconds)
    # A busy machine is slower.
    assert 5 < rate < 32


def test_the_camera_streams_jpeg(camera):
    node = camera.node()
    v4l2.set_format(node, WIDTH, HEIGHT, "MJPG")
    for frame in v4l2.capture(node, 5):
        # Y, Cb, Cr as they are coded, without conversion.
        pixels = libjpeg.decode(frame.data, colour_transform=0)
        assert pixels.shape == (HEIGHT, WIDTH, 3)
        bits = pixels[8, 8 : 32 * 16 : 16, 0] > 128
        assert sum(int(bit) << (31 - at) for at, bit in enumerate(bits)) == frame.sequence


def test_unplugging_ends_the_stream_and_plugging_brings_the_node_back(camera):
    node = camera.node()
    assert ends_with_enodev(node, lambda: camera.command("unplug"))
    v4l2.wait_until(lambda: not camera.nodes(), "the node is gone")
    assert not os.path.exists(node)
    camera.command("plug")
    assert len(v4l2.capture(camera.node(), 3)) == 3


@pytest.mark.parametrize("fault", ["error", "truncate"])
def test_a_damaged_frame_is_a_gap(camera, fault):
    node = camera.node()
    v4l2.set_format(node, 640, 480, "YUYV")
    camera.command(f"{fault} 5")
    frames = v4l2.capture(node, 20)
    numbers = [number(frame.data, 640) for frame in frames]
    assert [frame.sequence for frame in frames] == numbers
    assert not any(n % 5 == 4 for n in numbers)
    assert numbers[-1] - numbers[0] > len(numbers)


def test_what_the_camera_shows_without_a_signal(camera):
    node = camera.node()
    v4l2.set_format(node, 640, 480, "YUYV")
    camera.command("splash")
    splash = {frame.data for frame in v4l2.capture(node, 3)}
    camera.command("frozen")
    frozen = {frame.data for frame in v4l2.capture(node, 3)}
    assert len(splash) == len(frozen) == 1 and splash != frozen
    camera.command("stall")
    with pytest.raises(subprocess.TimeoutExpired):
        v4l2.capture(node, 1, seconds=1)
    camera.command("resume")
    assert len({frame.data for frame in v4l2.capture(node, 3)}) == 3
