//! What captures log: which capture, and what has happened to its device, its signal and its frames.

use std::fmt::Display;
use std::io;

use crate::event::events;

events! {
    /// To be known. Its number is the Series Number.
    SeriesBegins<'a>: INFO "capture.series_begins" { value capture: &'a str, value number: i32 } "a series begins";
    /// The frame is lost. The error says why; report it if it is none of the configuration.
    NotPublished<'a>: WARN "capture.not_published" metric "framegate_capture_frames_dropped_total"
        { value capture: &'a str, value error: &'a str }
        "a frame cannot be published";
    /// Nothing is connected to this capture: it plays a file, as its `device` says. Name a real device if that is wrong.
    FramesOfFile<'a>: WARN "capture.frames_of_file" { value capture: &'a str }
        "frames are those of a file; nothing is captured";
    /// The box has no resources left: look at its memory and at the number of its threads. Frames go out uncompressed.
    NoCompressors<'a>: ERROR "capture.no_compressors" { value capture: &'a str, display error: &'a io::Error }
        "no threads to compress with: frames go out as they are";
    /// Somebody, or the time synchronisation, has set the clock by a step. Let it be slewed once it is right.
    ClockStepped<'a>: WARN "capture.clock_stepped" metric "framegate_capture_clock_steps_total"
        { value capture: &'a str, value microseconds: i64 }
        "somebody set the clock; frames have the new time from here on";
    /// Frames are lost until one can be opened. The error says why, such as `hub.max_series`.
    NoSeries<'a>: WARN "capture.no_series" metric "framegate_capture_frames_dropped_total"
        { value capture: &'a str, display error: &'a dyn Display }
        "no series can be opened";
    /// How good the clock is, and who says so; instances tell the same. If it is not synchronised, look at chrony.
    Clock<'a>: INFO "capture.clock" { value clock: &'a str } "the clock of this box";
    /// To be known: if this is what the device shows without a signal, write the checksum into its hardware profile.
    StandsStill<'a>: INFO "capture.stands_still" { value capture: &'a str, value sha256: &'a str }
        "the picture stands still";
    /// Nothing to do where frames are not late; else let the service have a higher priority.
    OrdinaryPriority: INFO "capture.ordinary_priority"
        "captures run at ordinary priority: the service may not have another";
    /// A fault of framegate: report it.
    ThreadPanicked: ERROR "capture.thread_panicked" "a capture thread had panicked";
    /// To be known.
    State<'a>: INFO "capture.state" { value capture: &'a str, value state: &'a str, value format: &'a str }
        "the state of the capture";
    /// The text says what to look at: the cable, the modality's output, the device, or the configuration.
    Hindered<'a>: WARN "capture.hindered" { value capture: &'a str, value state: &'a str } (advice: &'a str)
        "{advice}";
    /// The driver, or the device, has stumbled. Nothing to do where it happens seldom; else look at the cable and the
    /// device.
    StreamRestarts<'a>: WARN "capture.stream_restarts" metric "framegate_capture_faults_total"
        { value capture: &'a str, display error: &'a dyn Display }
        "the stream is started again";
    /// The device does not take an EDID: the modality may send a format that the card cannot have. Set it by hand.
    EdidRefused<'a>: WARN "capture.edid_refused" { value capture: &'a str, display error: &'a dyn Display }
        "the modality cannot be told what the card takes";
    /// It answered no more. If that comes again, change its cable, its port, or the device.
    UsbReset<'a>: WARN "capture.usb_reset" { value capture: &'a str } "the USB device is reset";
    /// It answers no more, and has to be unplugged by hand. To have it reset, let the service write to it in sysfs.
    UsbNotReset<'a>: WARN "capture.usb_not_reset" { value capture: &'a str, display error: &'a io::Error }
        "the USB device cannot be reset: may the service write to it in sysfs?";
    /// A fault of framegate: report it.
    CompressorPanicked: ERROR "capture.compressor_panicked" "a thread that compresses had panicked";
    /// The frame is lost. Report it, with the format of the pictures.
    NotCompressed<'a>: WARN "capture.not_compressed" metric "framegate_capture_frames_dropped_total"
        { value capture: &'a str, display error: &'a dyn Display }
        "a frame cannot be compressed";
}
