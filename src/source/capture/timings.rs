//! DV timings: what signal an HDMI, DVI or SDI input carries, and telling the receiver to take it.

use std::fmt;

use nix::errno::Errno;
use v4l::sys::*;

use super::device::{Device, refused};
use super::error::CaptureError;
use super::sys::{self, Plain};
use crate::frame::video::VideoDescription;

/// The timings of one digital video signal (BT.656/1120).
#[derive(Clone, Copy)]
pub struct Timings {
    raw: v4l2_dv_timings,
}

/// Why there are no timings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoTimings {
    /// Nothing is plugged in, or it is switched off: `ENOLINK`.
    #[error("no signal; is the cable plugged in at both ends, and the modality's output on?")]
    NoSignal,
    /// The receiver cannot lock to what is there: `ENOLCK`.
    #[error("the signal is unstable; try another cable, or a shorter one")]
    NoLock,
    /// It is a signal that the card cannot take: `ERANGE`.
    #[error("the signal is out of the card's range; set the modality's output to a mode that it knows")]
    OutOfRange,
    /// The input has no timings that could be asked.
    #[error("the input has no timings")]
    Unsupported,
    /// The device is not to be had.
    #[error(transparent)]
    Device(CaptureError),
}

impl Timings {
    /// Columns (pixels).
    pub fn width(&self) -> u32 {
        sys::bt(&self.raw).width
    }

    /// Lines of the whole picture (pixels).
    pub fn height(&self) -> u32 {
        sys::bt(&self.raw).height
    }

    /// Whether it comes in two fields.
    pub fn interlaced(&self) -> bool {
        sys::bt(&self.raw).interlaced != V4L2_DV_PROGRESSIVE
    }

    /// Hz.
    pub fn pixel_clock(&self) -> u64 {
        sys::bt(&self.raw).pixelclock
    }

    /// Whole pictures a second, from the pixel clock and the blanking; 0 when they make no sense.
    pub fn frame_rate(&self) -> f64 {
        let bt = sys::bt(&self.raw);
        let sum = |parts: [u32; 4]| parts.iter().map(|&part| f64::from(part)).sum::<f64>();
        let columns = sum([bt.width, bt.hfrontporch, bt.hsync, bt.hbackporch]);
        let mut lines = sum([bt.height, bt.vfrontporch, bt.vsync, bt.vbackporch]);
        if self.interlaced() {
            lines += sum([0, bt.il_vfrontporch, bt.il_vsync, bt.il_vbackporch]);
        }
        let rate = bt.pixelclock as f64 / (columns * lines);
        if rate.is_finite() { rate } else { 0.0 }
    }

    /// Whether this is the same mode, whatever small difference the receiver measured.
    pub fn same_mode(&self, other: &Self) -> bool {
        let mode = |timings: &Self| (timings.width(), timings.height(), timings.interlaced());
        mode(self) == mode(other) && (self.frame_rate() - other.frame_rate()).abs() < 0.5
    }
}

impl PartialEq for Timings {
    fn eq(&self, other: &Self) -> bool {
        self.same_mode(other)
    }
}

/// As engineers write it: `1920x1080p60`, `720x576i50` (fields a second where it is interlaced).
impl fmt::Display for Timings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, rate) =
            if self.interlaced() { ('i', self.frame_rate() * 2.0) } else { ('p', self.frame_rate()) };
        write!(f, "{}x{}{kind}{}", self.width(), self.height(), (rate * 100.0).round() / 100.0)
    }
}

impl fmt::Debug for Timings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timings({self})")
    }
}

/// What is at the input now, which is not what the receiver is set to.
///
/// # Errors
/// [`NoTimings`] when there is no signal that could be taken.
pub fn query(device: &Device) -> Result<Timings, NoTimings> {
    let mut raw = v4l2_dv_timings::zero();
    match sys::query_timings(device, &mut raw) {
        Ok(()) => {
            let timings = Timings { raw };
            // Receivers in the middle of locking tell nonsense.
            if timings.width() == 0 || timings.height() == 0 { Err(NoTimings::NoLock) } else { Ok(timings) }
        }
        Err(Errno::ENOLINK) => Err(NoTimings::NoSignal),
        Err(Errno::ENOLCK) => Err(NoTimings::NoLock),
        Err(Errno::ERANGE) => Err(NoTimings::OutOfRange),
        Err(Errno::ENODATA | Errno::ENOTTY) => Err(NoTimings::Unsupported),
        Err(errno) => Err(NoTimings::Device(refused("VIDIOC_QUERY_DV_TIMINGS", errno))),
    }
}

/// Sets the receiver to these timings. Nothing may be streaming.
///
/// # Errors
/// What the driver says.
pub fn set(device: &Device, timings: &Timings) -> Result<(), CaptureError> {
    let mut raw = timings.raw;
    sys::set_timings(device, &mut raw).map_err(|errno| refused("VIDIOC_S_DV_TIMINGS", errno))
}

/// What the receiver is set to, where it has timings.
pub fn current(device: &Device) -> Option<Timings> {
    let mut raw = v4l2_dv_timings::zero();
    sys::get_timings(device, &mut raw).ok().map(|()| Timings { raw })
}

/// A signal and the format of its pictures, such as `1920x1080p60 YUYV`.
pub(super) fn shown(video: &VideoDescription, timings: Option<Timings>) -> String {
    let signal = timings.map_or_else(
        || match video.frame_rate {
            Some(rate) => format!("{}x{}@{}", video.width, video.height, (rate * 100.0).round() / 100.0),
            None => format!("{}x{}", video.width, video.height),
        },
        |timings| timings.to_string(),
    );
    format!("{signal} {}", super::format::fourcc_of(video.format))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timings(width: u32, height: u32, interlaced: bool, clock: u64, blank: (u32, u32)) -> Timings {
        let mut raw = v4l2_dv_timings::zero();
        let mut bt = sys::bt(&raw);
        (bt.width, bt.height, bt.interlaced) = (width, height, u32::from(interlaced));
        (bt.pixelclock, bt.hsync, bt.vsync) = (clock, blank.0, blank.1);
        raw.__bindgen_anon_1.bt = bt;
        Timings { raw }
    }

    #[test]
    fn a_mode_is_shown_as_engineers_write_it() {
        let hd = timings(1920, 1080, false, 148_500_000, (280, 45));
        assert_eq!(hd.to_string(), "1920x1080p60");
        assert_eq!(timings(720, 576, true, 13_500_000, (144, 49)).to_string(), "720x576i50");
        assert_eq!(timings(1920, 1080, false, 148_351_648, (280, 45)).to_string(), "1920x1080p59.94");
    }

    #[test]
    fn a_mode_is_the_same_within_half_a_frame_a_second() {
        let hd = timings(1920, 1080, false, 148_500_000, (280, 45));
        assert_eq!(hd, timings(1920, 1080, false, 148_351_648, (280, 45)));
        assert_ne!(hd, timings(1920, 1080, false, 74_250_000, (280, 45)));
        assert_ne!(hd, timings(1920, 1080, true, 148_500_000, (280, 45)));
    }

    #[test]
    fn nonsense_has_no_rate() {
        assert_eq!(timings(0, 0, false, 1, (0, 0)).frame_rate(), 0.0);
    }
}
