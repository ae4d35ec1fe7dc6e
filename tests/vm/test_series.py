"""When a series begins and ends, and whose it is: by the signal, by an operator, by the clock."""

from __future__ import annotations

import datetime
import json

from gateway import wait_for
from live import LiveRead, part10
from scene import (
    HDMI,
    NO_SIGNAL,
    SELECTED,
    TIMINGS,
    check_frames,
    goes_on,
    number,
    path_now,
    path_of,
    profile,
    read,
    send,
    series_of,
)

HOUR = datetime.timedelta(hours=1)


def capture(guest, **settings) -> None:
    """Starts a gateway that captures 720p."""
    guest.profile("tried", profile("YUYV"))
    send(guest, "1280x720p30")
    guest.gateway(xa={"device": "/dev/video0", "profile": "tried", "pixels": "grey"} | settings)
    guest.is_in("streaming")


def test_a_change_of_mode_is_the_next_series(machine):
    guest = machine(HDMI)
    capture(guest)
    first = read(guest)
    check_frames([first.next_instance() for _ in range(5)])
    guest.vivid(dv_timings=TIMINGS["1920x1080p30"])
    one, other = series_of(guest, 2)
    # The first one is complete.
    first.rest()
    second = LiveRead(guest, path_of(other)).next_instance()
    assert (second.Rows, second.Columns) == (1080, 1920)
    assert second.StudyInstanceUID == one["0020000D"]["Value"][0]
    guest.stop()


def test_a_series_goes_from_signal_to_loss_of_signal_where_it_is_to(machine):
    guest = machine(HDMI)
    capture(guest, series="signal")
    first = read(guest)
    first.next_instance()
    guest.vivid(dv_timings_signal_mode=NO_SIGNAL)
    # Its end is the closing boundary.
    first.rest()
    guest.is_in("no-signal")
    guest.vivid(dv_timings_signal_mode=SELECTED)
    _, other = series_of(guest, 2)
    assert number(LiveRead(guest, path_of(other)).next_instance()) == 1
    guest.stop()


def operate(guest, method: str, what: str, patient: str = "") -> None:
    """What an operator says of the capture."""
    content = {
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": f"{patient}^Test"}]},
        "00100020": {"vr": "LO", "Value": [patient]},
    }
    body = (json.dumps(content).encode(), "application/dicom+json") if patient else ()
    guest.request(method, f"/operations/captures/xa/{what}", *body)


def rest(stream: LiveRead) -> list:
    """Instances until the end of a series."""
    return [part10(part) for part in stream.rest()]


def test_an_operator_says_who_is_imaged(machine):
    guest = machine(HDMI)
    capture(guest)
    names, studies = [], []
    for patient in ("ALPHA", "BETA"):
        stream = LiveRead(guest, path_now(guest))
        first, before = stream.next_instance(), guest.report()["series"]
        operate(guest, "PUT", "patient", patient)
        whole = [first, *rest(stream)]
        # Whoever was there before is in all of the series, and nobody else.
        assert len({instance.PatientID for instance in whole}) == 1
        names.append(str(first.PatientName))
        studies.append(first.StudyInstanceUID)
        wait_for(lambda: guest.report()["series"] not in ("", before), "the series of the next patient")
    last = LiveRead(guest, path_now(guest)).next_instance()
    assert [*names, str(last.PatientName)] == ["Unidentified^", "ALPHA^Test", "BETA^Test"]
    assert last.PatientID == "BETA" and len({*studies, last.StudyInstanceUID}) == 3
    assert not any(word in guest.log() for word in ("ALPHA", "BETA"))
    guest.stop()


def test_an_operator_stops_and_starts(machine):
    guest = machine(HDMI)
    capture(guest)
    stream = read(guest)
    first = stream.next_instance()
    operate(guest, "POST", "stop")
    check_frames([first, *rest(stream)])
    wait_for(lambda: guest.report()["series"] == "", "nothing is captured")
    # The driver goes on.
    came, frames = guest.count("instances"), guest.count("frames")
    wait_for(lambda: guest.count("frames") > frames + 10, "frames come")
    assert guest.count("instances") == came
    operate(guest, "POST", "start")
    again = LiveRead(guest, path_now(guest)).next_instance()
    assert again.SeriesInstanceUID != first.SeriesInstanceUID and number(again) == 1
    assert again.StudyInstanceUID == first.StudyInstanceUID
    goes_on(guest)
    guest.stop()


def taken(instance) -> datetime.datetime:
    """Acquisition DateTime, without its zone."""
    return datetime.datetime.strptime(str(instance.AcquisitionDateTime)[:21], "%Y%m%d%H%M%S.%f")


def test_a_clock_that_is_set_changes_dates_and_no_order(machine):
    guest = machine(HDMI)
    capture(guest, rate=15.0)
    stream = read(guest)
    frames = [stream.next_instance() for _ in range(5)]
    began = taken(frames[0])
    for nth, (sign, since) in enumerate((("+", HOUR), ("-", 0 * HOUR)), start=1):
        guest.run("sh", "-c", f"date -s @$(($(date +%s) {sign} 3600))")
        while abs(taken(frames[-1]) - began - since) > HOUR / 4:
            frames.append(stream.next_instance())
            # Of the old date or of the new one, and nothing between.
            assert any(abs(taken(frames[-1]) - began - date) < HOUR / 4 for date in (0 * HOUR, HOUR))
        assert guest.count("clock_steps") == nth
    numbers = [number(frame) for frame in frames]
    assert numbers == sorted(set(numbers)), numbers
    guest.stop()
