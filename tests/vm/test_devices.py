"""What an engineer in front of the box sees of its devices, before anything is configured."""

from __future__ import annotations

import json

from gateway import wait_for
from scene import HDMI, NO_SIGNAL, send
from usb import ID, camera


def listed(guest) -> list[dict]:
    """Devices, as a script reads them."""
    return json.loads(guest.run(guest.program, "devices", "--json"))["devices"]


def test_devices_are_listed_with_all_that_matters(machine):
    guest = machine(HDMI)
    send(guest, "1920x1080p60")
    with camera(guest, "--name", "Test Grabber", "--size", "1280x720,640x480", "--format", "yuyv,mjpeg"):
        # The kernel takes its time to make the nodes of what is plugged in.
        card, grabber = wait_for(lambda: len(found := listed(guest)) == 2 and found, "both are listed", 10)
        assert (card["driver"], card["card"], card["path"]) == ("vivid", "vivid", "/dev/video0")
        assert card["profile"]["name"] == "vivid" and "driver" in card["profile"]["why"]
        assert card["signal"] == "1920x1080p60" and card["advice"] == ""
        assert [entry.split()[0] for entry in card["formats"]][:1] and "0* HDMI" in card["inputs"][0]
        assert {"YUYV", "NV12", "Y10", "BGR3"} <= {entry.split()[0] for entry in card["formats"]}
        assert (grabber["driver"], grabber["usb"]) == ("uvcvideo", ID)
        assert grabber["card"].startswith("Test Grabber")
        assert grabber["profile"]["name"] == "generic-uvc" and "driver" in grabber["profile"]["why"]
        assert grabber["formats"] == ["YUYV 1280x720 640x480", "MJPG 1280x720 640x480"]
        assert "no timings" in grabber["signal"]
        text = guest.run(guest.program, "devices")
        for said in ("/dev/video0: vivid", "profile: vivid (", "signal: 1920x1080p60", f"usb:{ID}", "MJPG 1280x720"):
            assert said in text, text
    guest.vivid(dv_timings_signal_mode=NO_SIGNAL)
    text = guest.run(guest.program, "devices")
    assert "signal: none" in text and "to do: no signal" in text and ID not in text
