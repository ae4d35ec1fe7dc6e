//! The events of a device, on a descriptor of their own.
//!
//! Events belong to an opening of the device, not to the device (kernel doc
//! `vidioc-subscribe-event.rst`), so a second descriptor gets them while the first one streams, and
//! neither wakes for what the other waits for.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use v4l::sys::*;

use super::device::{open, refused};
use super::error::CaptureError;
use super::sys::{self, Plain};

/// What a device tells unasked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceEvent {
    /// The signal has come, gone or changed its mode: look at the timings (`V4L2_EVENT_SOURCE_CHANGE`).
    SourceChange,
    /// Something else that was not asked for.
    Other,
}

/// A descriptor that events come from.
#[derive(Debug)]
pub struct Events {
    file: File,
}

impl Events {
    /// Asks for the events of an input; `None` when the driver has none, as uvcvideo has not.
    ///
    /// # Errors
    /// When the device cannot be opened.
    pub fn subscribe(path: &Path, input: u32) -> Result<Option<Self>, CaptureError> {
        let file = open(path)?;
        let mut wanted = v4l2_event_subscription {
            type_: V4L2_EVENT_SOURCE_CHANGE,
            id: input,
            ..v4l2_event_subscription::zero()
        };
        match sys::subscribe_event(&file, &mut wanted) {
            Ok(()) => Ok(Some(Self { file })),
            Err(Errno::ENODEV) => Err(CaptureError::Gone),
            Err(_) => Ok(None),
        }
    }

    /// The next event; `None` when there was none for so long.
    ///
    /// # Errors
    /// [`CaptureError::Gone`] when the device is.
    pub fn wait(&self, longest: Duration) -> Result<Option<DeviceEvent>, CaptureError> {
        let mut polled = [PollFd::new(self.file.as_fd(), PollFlags::POLLPRI)];
        let timeout = PollTimeout::try_from(longest).unwrap_or(PollTimeout::MAX);
        match poll(&mut polled, timeout) {
            Ok(0) | Err(Errno::EINTR) => return Ok(None),
            Ok(_) => {}
            Err(errno) => return Err(refused("poll", errno)),
        }
        let mut event = v4l2_event::zero();
        match sys::dequeue_event(&self.file, &mut event) {
            Ok(()) if event.type_ == V4L2_EVENT_SOURCE_CHANGE && sys::source_changes(&event) != 0 => {
                Ok(Some(DeviceEvent::SourceChange))
            }
            Ok(()) => Ok(Some(DeviceEvent::Other)),
            // poll reports an error for as long as nothing streams on this descriptor; without an event
            // that means nothing, and a device that is gone says so itself.
            Err(Errno::ENOENT | Errno::EAGAIN) => Ok(None),
            Err(errno) => Err(refused("VIDIOC_DQEVENT", errno)),
        }
    }
}
