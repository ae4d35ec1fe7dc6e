//! One opened V4L2 device: what it is, its inputs, and the requests that change it.
//!
//! Opening reserves nothing: several may have the device open, and only one can stream
//! (kernel doc `userspace-api/media/v4l/open.rst`).

use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use v4l::sys::*;

use super::error::CaptureError;
use super::format;
use super::sys::{self, Plain};
use crate::frame::video::VideoFormat;

/// Entries of any list of a driver that are looked at; some have a hundred formats.
const MOST_LISTED: u32 = 256;

/// What a device says that it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Name of the driver, such as `uvcvideo`.
    pub driver: String,
    /// Name of the card, as a person would know it.
    pub card: String,
    /// Where it is plugged in, such as `usb-0000:00:14.0-3`.
    pub bus: String,
    /// Whether its buffers have more than one plane (`V4L2_CAP_VIDEO_CAPTURE_MPLANE`).
    pub multi_planar: bool,
}

/// A socket of the card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Number.
    pub index: u32,
    /// Name, such as `HDMI 0`.
    pub name: String,
    /// What the driver sees there.
    pub signal: SignalHint,
    /// Whether it carries digital video whose timings can be asked (`V4L2_IN_CAP_DV_TIMINGS`).
    pub dv_timings: bool,
}

/// What the status of an input says (`V4L2_IN_ST_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalHint {
    /// Nothing bad. Many drivers never say anything else.
    Good,
    /// No power, or no signal.
    NoSignal,
    /// A signal that the receiver does not lock to.
    NoLock,
}

/// One format that a driver offers.
#[derive(Debug, Clone, PartialEq)]
pub struct Offered {
    /// Its fourcc, such as `YUYV`.
    pub fourcc: String,
    /// The driver's name for it.
    pub description: String,
    /// What it is to us; `None` where we cannot read it.
    pub format: Option<VideoFormat>,
    /// Width and height (pixels) of its sizes, in the driver's order; of a range, the largest.
    pub sizes: Vec<(u32, u32)>,
}

/// An open capture device.
#[derive(Debug)]
pub struct Device {
    file: File,
    path: PathBuf,
    capabilities: Capabilities,
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Device {
    /// Opens the node at `path`.
    ///
    /// # Errors
    /// [`CaptureError::Unsupported`] when it is no capture device that streams; else what the kernel says.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        let file = open(path)?;
        let mut found = v4l2_capability::zero();
        sys::query_capabilities(&file, &mut found).map_err(|errno| refused("VIDIOC_QUERYCAP", errno))?;
        let has = |flag| found.device_caps & flag != 0;
        if !has(V4L2_CAP_VIDEO_CAPTURE) && !has(V4L2_CAP_VIDEO_CAPTURE_MPLANE) {
            return Err(CaptureError::Unsupported("it captures no video"));
        }
        if !has(V4L2_CAP_STREAMING) {
            return Err(CaptureError::Unsupported("it does not stream"));
        }
        let capabilities = Capabilities {
            driver: text(&found.driver),
            card: text(&found.card),
            bus: text(&found.bus_info),
            multi_planar: !has(V4L2_CAP_VIDEO_CAPTURE),
        };
        Ok(Self { file, path: path.to_owned(), capabilities })
    }

    /// The node that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it is.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// The kernel's buffer type.
    pub(super) fn kind(&self) -> u32 {
        if self.capabilities.multi_planar {
            v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE
        } else {
            v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_CAPTURE
        }
    }

    /// Another descriptor of the same opening.
    pub(super) fn descriptor(&self) -> Result<OwnedFd, CaptureError> {
        let duplicate = self.as_fd().try_clone_to_owned();
        duplicate.map_err(|error| refused("dup", Errno::from_raw(error.raw_os_error().unwrap_or_default())))
    }

    /// The inputs with what is seen at them now.
    pub fn inputs(&self) -> Vec<Input> {
        (0..MOST_LISTED).map_while(|index| self.look_at(index)).collect()
    }

    fn look_at(&self, index: u32) -> Option<Input> {
        let mut found = v4l2_input { index, ..v4l2_input::zero() };
        sys::enumerate_input(self, &mut found).ok()?;
        Some(Input {
            index,
            name: text(&found.name),
            signal: hint(found.status),
            dv_timings: found.capabilities & V4L2_IN_CAP_DV_TIMINGS != 0,
        })
    }

    /// The input in use; `None` where the driver knows no inputs (most media-controller bridges).
    pub fn input(&self) -> Option<Input> {
        let mut index = 0;
        sys::get_input(self, &mut index).ok()?;
        self.look_at(u32::try_from(index).ok()?)
    }

    /// Switches to an input.
    ///
    /// # Errors
    /// What the driver says.
    pub fn set_input(&self, index: u32) -> Result<(), CaptureError> {
        let mut index = i32::try_from(index).map_err(|_| CaptureError::Unsupported("no such input"))?;
        sys::set_input(self, &mut index).map_err(|errno| refused("VIDIOC_S_INPUT", errno))
    }

    /// What it offers, in the driver's order, which on some cards is the order of truth.
    pub fn formats(&self) -> Vec<Offered> {
        let kind = self.kind();
        let describe = |index| {
            let mut found = v4l2_fmtdesc { index, type_: kind, ..v4l2_fmtdesc::zero() };
            sys::enumerate_format(self, &mut found).ok()?;
            Some(Offered {
                fourcc: format::fourcc_text(found.pixelformat),
                description: text(&found.description),
                format: format::known(found.pixelformat),
                sizes: self.sizes(found.pixelformat),
            })
        };
        (0..MOST_LISTED).map_while(describe).collect()
    }

    fn sizes(&self, pixel_format: u32) -> Vec<(u32, u32)> {
        let look = |index| {
            let mut found = v4l2_frmsizeenum { index, pixel_format, ..v4l2_frmsizeenum::zero() };
            sys::enumerate_size(self, &mut found).ok().map(|()| sys::size(&found))
        };
        (0..MOST_LISTED).map_while(look).collect()
    }

    /// Nominal frames a second, where the driver tells. Some tell what is not so.
    pub fn frame_rate(&self) -> Option<f64> {
        let mut found = v4l2_streamparm { type_: self.kind(), ..v4l2_streamparm::zero() };
        sys::get_parameters(self, &mut found).ok()?;
        let (numerator, denominator) = sys::time_per_frame(&found);
        (numerator > 0 && denominator > 0).then(|| f64::from(denominator) / f64::from(numerator))
    }

    /// What this input tells the modality that it can take, at most 256 bytes; `None` where the device does not show it.
    pub fn edid(&self, input: u32) -> Option<Vec<u8>> {
        let mut edid = vec![0; 256];
        let blocks = sys::get_edid(self, input, &mut edid).ok()?;
        edid.truncate(blocks * 128);
        Some(edid)
    }

    /// Tells the modality what this input can take: an EDID of 128 or 256 bytes.
    ///
    /// # Errors
    /// [`CaptureError::Unsupported`] where the device keeps its own EDID; else what the driver says.
    pub fn set_edid(&self, input: u32, edid: &[u8]) -> Result<(), CaptureError> {
        let mut edid = edid.to_vec();
        sys::set_edid(self, input, &mut edid).map_err(|errno| refused("VIDIOC_S_EDID", errno))
    }
}

/// Opens a node without waiting for frames.
pub(super) fn open(path: &Path) -> Result<File, CaptureError> {
    let flags = (OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).bits();
    let opened = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path);
    opened.map_err(|error| refused("open", Errno::from_raw(error.raw_os_error().unwrap_or_default())))
}

pub(super) fn refused(request: &'static str, errno: Errno) -> CaptureError {
    CaptureError::of(request, errno)
}

fn hint(status: u32) -> SignalHint {
    if status & (V4L2_IN_ST_NO_POWER | V4L2_IN_ST_NO_SIGNAL) != 0 {
        SignalHint::NoSignal
    } else if status & (V4L2_IN_ST_NO_H_LOCK | V4L2_IN_ST_NO_V_LOCK | V4L2_IN_ST_NO_SYNC) != 0 {
        SignalHint::NoLock
    } else {
        SignalHint::Good
    }
}

/// The text of a driver: up to the first NUL, printable ASCII alone.
fn text(bytes: &[u8]) -> String {
    let shown = bytes.iter().take_while(|&&byte| byte != 0).filter(|&byte| (b' '..=b'~').contains(byte));
    shown.map(|&byte| char::from(byte)).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_cannot_write_control_characters_into_the_log() {
        assert_eq!(text(b"USB Cap\x1b[2Jture \0junk"), "USB Cap[2Jture");
        assert_eq!(text(&[0; 32]), "");
    }

    #[test]
    fn the_status_of_an_input_tells_no_signal_from_no_lock() {
        assert_eq!(hint(0), SignalHint::Good);
        assert_eq!(hint(V4L2_IN_ST_NO_SIGNAL), SignalHint::NoSignal);
        assert_eq!(hint(V4L2_IN_ST_NO_H_LOCK), SignalHint::NoLock);
    }

    #[test]
    fn what_is_no_capture_device_is_refused() {
        let refused = Device::open(Path::new("/dev/null")).unwrap_err();
        assert!(matches!(refused, CaptureError::Unsupported(_)), "{refused:?}");
        assert_eq!(Device::open(Path::new("/dev/no-such-node")).unwrap_err(), CaptureError::Gone);
    }
}
