"""Video that vivid makes, in every format, through V4L2 and the built gateway, pulled over TLS from outside
the machine.

Frames are held against what vivid draws into them: no frame is torn, comes twice or out of order, and a gap
in Instance Number is a gap in the driver's numbers. Frame rates are not tested: the machine may be slow."""

from __future__ import annotations


import pytest

import osd
from gateway import wait_for
from scene import ANALOG, HDMI, PLANES, brightness, check_frames, check_order, gaps, number, profile, read, send

GREY, COLOR = {"pixels": "grey"}, {"pixels": "color"}
USERPTR = 'memory = "userptr"'


def capture(guest, mode: str, fourcc: str, more: str = "", **settings) -> None:
    """Starts a gateway that captures this mode in this format."""
    guest.profile("tried", profile(fourcc, more=more))
    send(guest, mode)
    guest.gateway(xa={"device": "/dev/video0", "profile": "tried", "modality": "XA"} | settings)


@pytest.mark.parametrize(
    ("options", "mode", "fourcc", "settings", "shape"),
    [
        (HDMI, "1280x720p60", "YUYV", GREY, (720, 1280, 1, 8)),
        (HDMI, "1280x720p60", "UYVY", COLOR, (720, 1280, 3, 8)),
        (HDMI, "1280x720p60", "RGB3", COLOR, (720, 1280, 3, 8)),
        (HDMI, "1280x720p60", "GREY", GREY, (720, 1280, 1, 8)),
        (HDMI, "1280x720p60", "Y10 ", GREY, (720, 1280, 1, 10)),
        (HDMI, "1280x720p60", "Y12 ", GREY, (720, 1280, 1, 12)),
        (HDMI, "1280x720p60", "Y16 ", GREY, (720, 1280, 1, 16)),
        (HDMI, "1280x720p60", "NV12", GREY, (720, 1280, 1, 8)),
        (PLANES, "1280x720p60", "NM12", COLOR, (720, 1280, 3, 8)),
        (PLANES, "1280x720p60", "NM16", GREY, (720, 1280, 1, 8)),
        (ANALOG, "720x576i50", "YUYV", GREY, (576, 720, 1, 8)),
        (HDMI, "1920x1080p60", "YUYV", GREY, (1080, 1920, 1, 8)),
        (HDMI, "1920x1080p60", "BGR3", COLOR, (1080, 1920, 3, 8)),
        (HDMI, "1920x1080p30", "Y10 ", GREY, (1080, 1920, 1, 10)),
        (HDMI, "1920x1080p30", "Y12 ", GREY, (1080, 1920, 1, 12)),
    ],
)
def test_every_format_arrives_whole_and_numbered_as_the_driver_did(machine, options, mode, fourcc, settings, shape):
    guest = machine(options)
    capture(guest, mode, fourcc, **settings)
    stream = read(guest)
    instances = [stream.next_instance() for _ in range(15 if settings is COLOR else 30)]
    check_frames(instances)
    first = instances[0]
    assert (first.Rows, first.Columns, first.SamplesPerPixel, first.BitsStored) == shape
    assert guest.state() == "streaming"
    guest.stop()
    # What is left is the end of a series that is complete.
    stream.rest()


def test_both_fields_of_a_buffer_become_frames(machine):
    guest = machine(ANALOG)
    capture(guest, "720x576i50", "YUYV", **GREY, deinterlace="bob")
    stream = read(guest)
    instances = [stream.next_instance() for _ in range(40)]
    drawn = [osd.sequence_and_field(brightness(instance)) for instance in instances]
    # Of 576 lines, the top field is the older one.
    check_order(instances, [2 * sequence + field for sequence, field in drawn])
    times = [instance.AcquisitionDateTime for instance in instances]
    assert times == sorted(set(times)), times
    for instance in instances:
        pixels = instance.pixel_array
        assert pixels.shape == (576, 720) and (pixels[::2] == pixels[1::2]).all()
        # What moves stands still within one field.
        assert (pixels[260:] == pixels[260]).all(), f"frame {instance.InstanceNumber} is torn"
    guest.stop()


@pytest.mark.parametrize("fourcc", ["GREY", "YUYV"])
def test_a_driver_that_writes_into_our_memory(machine, fourcc):
    guest = machine(HDMI)
    capture(guest, "1280x720p60", fourcc, more=USERPTR, **GREY)
    stream = read(guest)
    # They are kept: memory that was handed on is not written again.
    check_frames([stream.next_instance() for _ in range(60)])
    # The driver's own buffers would be mapped.
    assert "/dev/video" not in guest.maps()
    guest.stop()


@pytest.mark.parametrize(
    ("options", "mode", "fourcc", "more", "per_buffer"),
    [
        (HDMI, "1280x720p30", "YUYV", "", 1),
        (HDMI, "1280x720p30", "GREY", USERPTR, 1),
        (ANALOG, "720x576i50", "YUYV", "", 2),
    ],
)
def test_what_the_driver_loses_is_missing_from_the_numbers(machine, options, mode, fourcc, more, per_buffer):
    guest = machine(options)
    settings = GREY | ({"deinterlace": "bob"} if per_buffer == 2 else {})
    capture(guest, mode, fourcc, more, **settings)
    stream = read(guest)
    instances = [stream.next_instance()]
    guest.vivid(percentage_of_dropped_buffers=25)
    instances += [stream.next_instance() for _ in range(60 * per_buffer)]
    guest.vivid(percentage_of_dropped_buffers=0)

    def all_told() -> bool:
        """Every frame that is counted as lost, and no other, is missing from what was read."""
        instances.append(stream.next_instance())
        while stream.arrived():
            instances.append(stream.next_instance())
        return gaps(instances) == guest.count("frames_lost") + guest.count("frames_dropped")

    wait_for(all_told, "the gaps in the numbers are the frames that are counted as lost")
    assert gaps(instances) > 5 * per_buffer
    if per_buffer == 1:
        check_frames(instances)
    else:
        drawn = [osd.sequence_and_field(brightness(instance)) for instance in instances]
        check_order(instances, [2 * sequence + field for sequence, field in drawn])
    assert number(instances[0]) == 1
    guest.stop()
