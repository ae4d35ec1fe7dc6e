//! Buffers shared with the driver, and the frames in them.
//!
//! A frame is read where the driver wrote it, and its buffer goes back when [`Frame`] is dropped. With
//! [`Memory::UserPtr`] a frame whose bytes need no conversion is not even read: its memory is handed on,
//! and the driver gets other memory. Buffers are not exported (`VIDIOC_EXPBUF`): no device of ours would
//! import them.

#![allow(non_upper_case_globals, reason = "constants are named as in the kernel")]

use std::os::fd::AsFd;
use std::time::Duration;

use bytes::Bytes;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use smallvec::SmallVec;
use v4l::sys::*;

use super::device::{Device, refused};
use super::error::CaptureError;
use super::picture::{Picture, StampKind};
pub use super::sys::Memory;
use super::sys::{self, Buffers};
use crate::frame::video::{Field, VideoDescription};

/// A running stream.
#[derive(Debug)]
pub struct Stream {
    buffers: Buffers,
    kind: u32,
    /// A buffer that could not be given back: told by the next wait.
    failed: Option<Errno>,
}

impl Stream {
    /// Sets up `count` buffers and starts.
    ///
    /// # Errors
    /// [`CaptureError::Busy`] when somebody else streams; [`CaptureError::Unsupported`] when the driver does
    /// not take this kind of memory; else what it says.
    pub fn start(
        device: &Device,
        video: &VideoDescription,
        count: u32,
        memory: Memory,
    ) -> Result<Self, CaptureError> {
        let kind = device.kind();
        let buffers = Buffers::new(device.descriptor()?, kind, memory, count, &video.sizes);
        let mut buffers = buffers.map_err(|errno| match errno {
            Errno::EINVAL if memory == Memory::UserPtr => CaptureError::Unsupported("V4L2_MEMORY_USERPTR"),
            errno => refused("VIDIOC_REQBUFS", errno),
        })?;
        for index in 0..buffers.len() {
            buffers.queue(index).map_err(|errno| refused("VIDIOC_QBUF", errno))?;
        }
        sys::stream_on(&buffers, &mut (kind as i32)).map_err(|errno| refused("VIDIOC_STREAMON", errno))?;
        Ok(Self { buffers, kind, failed: None })
    }

    /// The next frame; `None` when there was none for so long.
    ///
    /// # Errors
    /// [`CaptureError::Streaming`] when the stream must be started again, [`CaptureError::Gone`] when the
    /// device is no more.
    pub fn next(&mut self, longest: Duration) -> Result<Option<Frame<'_>>, CaptureError> {
        if let Some(errno) = self.failed.take() {
            return Err(refused("VIDIOC_QBUF", errno));
        }
        let mut polled = [PollFd::new(self.buffers.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(longest).unwrap_or(PollTimeout::MAX);
        match poll(&mut polled, timeout) {
            Ok(0) | Err(Errno::EINTR) => return Ok(None),
            Ok(_) => {}
            Err(errno) => return Err(refused("poll", errno)),
        }
        match self.buffers.dequeue() {
            Ok(dequeued) => Ok(Some(Frame { stream: self, dequeued, taken: false })),
            Err(Errno::EAGAIN) => Ok(None),
            // What a driver says of a queue that it has given up.
            Err(Errno::EINVAL) => Err(CaptureError::Streaming),
            Err(errno) => Err(refused("VIDIOC_DQBUF", errno)),
        }
    }

    /// Buffers that the driver made.
    pub fn buffers(&self) -> usize {
        self.buffers.len()
    }
}

/// A frame in a buffer of the driver. Dropping it gives the buffer back.
#[derive(Debug)]
pub struct Frame<'a> {
    stream: &'a mut Stream,
    dequeued: sys::Dequeued,
    /// Its memory has been given away, and the buffer has other memory.
    taken: bool,
}

impl Picture for Frame<'_> {
    fn planes(&self) -> SmallVec<[&[u8]; 3]> {
        if self.taken {
            return SmallVec::new();
        }
        let filled = |(plane, range): (usize, &std::ops::Range<usize>)| {
            let bytes = self.stream.buffers.plane(self.dequeued.index, plane)?;
            bytes.get(range.clone())
        };
        self.dequeued.planes.iter().enumerate().filter_map(filled).collect()
    }

    fn sequence(&self) -> u32 {
        self.dequeued.sequence
    }

    fn stamp(&self) -> Duration {
        let (seconds, microseconds) = self.dequeued.stamp;
        let part = |value: i64| u64::try_from(value).unwrap_or_default();
        Duration::from_secs(part(seconds)) + Duration::from_micros(part(microseconds))
    }

    /// By the flags of the buffer: `V4L2_BUF_FLAG_TSTAMP_SRC_SOE` is the start of exposure.
    fn stamp_kind(&self) -> StampKind {
        let flags = self.dequeued.flags;
        if flags & V4L2_BUF_FLAG_TIMESTAMP_MASK != V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC {
            StampKind::Unknown
        } else if flags & V4L2_BUF_FLAG_TSTAMP_SRC_MASK == V4L2_BUF_FLAG_TSTAMP_SRC_SOE {
            StampKind::StartOfFrame
        } else {
            StampKind::EndOfFrame
        }
    }

    fn field(&self) -> Field {
        match self.dequeued.field {
            v4l2_field_V4L2_FIELD_TOP => Field::Top,
            v4l2_field_V4L2_FIELD_BOTTOM => Field::Bottom,
            _ => Field::Both,
        }
    }

    /// `V4L2_BUF_FLAG_ERROR`
    fn corrupt(&self) -> bool {
        self.dequeued.flags & V4L2_BUF_FLAG_ERROR != 0
    }

    /// Memory is ours to give away where there is one plane, and [`Memory::UserPtr`].
    fn take(&mut self, length: usize) -> Option<Bytes> {
        if self.taken {
            return None;
        }
        let [range] = self.dequeued.planes.as_slice() else { return None };
        let range = range.start..range.start.checked_add(length).filter(|&end| end <= range.end)?;
        let memory = self.stream.buffers.take(self.dequeued.index)?;
        self.taken = true;
        Some(Bytes::from_owner(memory).slice(range))
    }
}

impl Drop for Frame<'_> {
    fn drop(&mut self) {
        if let Err(errno) = self.stream.buffers.queue(self.dequeued.index) {
            self.stream.failed = Some(errno);
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // The buffers would stop it too; said here because it is what dropping a stream means.
        let _ = sys::stream_off(&self.buffers, &mut (self.kind as i32));
    }
}
