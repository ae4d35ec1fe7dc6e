//! The requests of V4L2 that no crate wraps: the only unsafe code of the crate.
//!
//! The structures and request codes are those of the kernel's `videodev2.h`, by way of the crate `v4l`.
//! Three things need care, and each stands here once: a request is only ever made with the structure
//! that its code belongs to ([`requests!`]); a pointer in a structure points to memory that lives for as
//! long as the kernel may use it; and memory that the driver writes is read only while the driver does
//! not have it ([`Buffers`]).
#![allow(unsafe_code, reason = "requests to the kernel, and memory that is shared with a driver")]

use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};
use v4l::sys::*;
use v4l::v4l2::vidioc;

/// Planes of one buffer at most (`VIDEO_MAX_PLANES`).
pub(super) const MOST_PLANES: usize = 8;
/// Buffers of one stream at most (`VIDEO_MAX_FRAME`).
pub(super) const MOST_BUFFERS: usize = 32;

/// Makes a request with the structure that belongs to its code.
///
/// # Safety
/// `T` must be the structure of `code`, and what its pointers point to must be valid for the request.
unsafe fn request<T>(fd: BorrowedFd<'_>, code: vidioc::_IOC_TYPE, argument: &mut T) -> Result<(), Errno> {
    loop {
        let pointer: *mut T = argument;
        // SAFETY: the caller vouches for the structure; the descriptor is open while it is borrowed.
        match unsafe { v4l::v4l2::ioctl(fd.as_raw_fd(), code, pointer.cast::<c_void>()) } {
            Ok(()) => return Ok(()),
            Err(error) => match error.raw_os_error().map_or(Errno::EIO, Errno::from_raw) {
                Errno::EINTR => {}
                errno => return Err(errno),
            },
        }
    }
}

/// Structures without pointers, for which all bits zero is a value.
pub(super) trait Plain: Sized {
    /// All bits zero.
    fn zero() -> Self;
}

macro_rules! plain {
    ($($structure:ty),* $(,)?) => {$(
        impl Plain for $structure {
            fn zero() -> Self {
                // SAFETY: integers, and unions and arrays of integers: every bit pattern is a value.
                unsafe { std::mem::zeroed() }
            }
        }
    )*};
}

plain!(
    v4l2_capability,
    v4l2_input,
    v4l2_fmtdesc,
    v4l2_frmsizeenum,
    v4l2_format,
    v4l2_streamparm,
    v4l2_dv_timings,
    v4l2_requestbuffers,
    v4l2_event_subscription,
    v4l2_event,
);

macro_rules! requests {
    ($($(#[$doc:meta])* $name:ident: $code:ident($structure:ty);)*) => {$(
        $(#[$doc])*
        pub(super) fn $name(fd: impl AsFd, argument: &mut $structure) -> Result<(), Errno> {
            // SAFETY: `videodev2.h` declares this code with this structure, which holds no pointer.
            unsafe { request(fd.as_fd(), vidioc::$code, argument) }
        }
    )*};
}

requests! {
    /// `VIDIOC_QUERYCAP`
    query_capabilities: VIDIOC_QUERYCAP(v4l2_capability);
    /// `VIDIOC_ENUMINPUT`
    enumerate_input: VIDIOC_ENUMINPUT(v4l2_input);
    /// `VIDIOC_G_INPUT`
    get_input: VIDIOC_G_INPUT(i32);
    /// `VIDIOC_S_INPUT`
    set_input: VIDIOC_S_INPUT(i32);
    /// `VIDIOC_ENUM_FMT`
    enumerate_format: VIDIOC_ENUM_FMT(v4l2_fmtdesc);
    /// `VIDIOC_ENUM_FRAMESIZES`
    enumerate_size: VIDIOC_ENUM_FRAMESIZES(v4l2_frmsizeenum);
    /// `VIDIOC_G_FMT`
    get_format: VIDIOC_G_FMT(v4l2_format);
    /// `VIDIOC_S_FMT`
    set_format: VIDIOC_S_FMT(v4l2_format);
    /// `VIDIOC_G_PARM`
    get_parameters: VIDIOC_G_PARM(v4l2_streamparm);
    /// `VIDIOC_G_DV_TIMINGS`
    get_timings: VIDIOC_G_DV_TIMINGS(v4l2_dv_timings);
    /// `VIDIOC_S_DV_TIMINGS`
    set_timings: VIDIOC_S_DV_TIMINGS(v4l2_dv_timings);
    /// `VIDIOC_QUERY_DV_TIMINGS`
    query_timings: VIDIOC_QUERY_DV_TIMINGS(v4l2_dv_timings);
    /// `VIDIOC_REQBUFS`
    request_buffers: VIDIOC_REQBUFS(v4l2_requestbuffers);
    /// `VIDIOC_STREAMON`
    stream_on: VIDIOC_STREAMON(i32);
    /// `VIDIOC_STREAMOFF`
    stream_off: VIDIOC_STREAMOFF(i32);
    /// `VIDIOC_SUBSCRIBE_EVENT`
    subscribe_event: VIDIOC_SUBSCRIBE_EVENT(v4l2_event_subscription);
    /// `VIDIOC_DQEVENT`
    dequeue_event: VIDIOC_DQEVENT(v4l2_event);
}

/// `VIDIOC_S_EDID`: what the input tells the modality that it can take; 128 bytes a block.
pub(super) fn set_edid(fd: impl AsFd, pad: u32, edid: &mut [u8]) -> Result<(), Errno> {
    let blocks = u32::try_from(edid.len() / 128).map_err(|_| Errno::E2BIG)?;
    let edid = edid.as_mut_ptr();
    let mut argument = v4l2_edid { pad, start_block: 0, blocks, reserved: [0; 5], edid };
    // SAFETY: the structure of this code; the pointer is to `blocks` × 128 bytes that outlive the request.
    unsafe { request(fd.as_fd(), vidioc::VIDIOC_S_EDID, &mut argument) }
}

/// `VIDIOC_G_EDID`: the same, read; as many blocks as there are, and no more than fit. Gives how many.
pub(super) fn get_edid(fd: impl AsFd, pad: u32, edid: &mut [u8]) -> Result<usize, Errno> {
    let room = edid.len() / 128;
    let blocks = u32::try_from(room).map_err(|_| Errno::E2BIG)?;
    let edid = edid.as_mut_ptr();
    let mut argument = v4l2_edid { pad, start_block: 0, blocks, reserved: [0; 5], edid };
    // SAFETY: the structure of this code; the pointer is to `blocks` × 128 bytes that outlive the request, and the
    // kernel writes no more blocks than it is given room for.
    unsafe { request(fd.as_fd(), vidioc::VIDIOC_G_EDID, &mut argument) }?;
    Ok(usize::try_from(argument.blocks).unwrap_or(0).min(room))
}

/// Width and height of a discrete size; of a range, the largest.
pub(super) fn size(found: &v4l2_frmsizeenum) -> (u32, u32) {
    // SAFETY: both members are integers, and `type_` says which the kernel wrote.
    unsafe {
        if found.type_ == v4l2_frmsizetypes_V4L2_FRMSIZE_TYPE_DISCRETE {
            let size = found.__bindgen_anon_1.discrete;
            (size.width, size.height)
        } else {
            let size = found.__bindgen_anon_1.stepwise;
            (size.max_width, size.max_height)
        }
    }
}

/// The frame interval of capture parameters (s): numerator, denominator.
pub(super) fn time_per_frame(found: &v4l2_streamparm) -> (u32, u32) {
    // SAFETY: integers; the union is that of a capture device for both capture types.
    let capture = unsafe { found.parm.capture };
    let fraction = capture.timeperframe;
    (fraction.numerator, fraction.denominator)
}

/// The timings of a digital video signal.
pub(super) fn bt(timings: &v4l2_dv_timings) -> v4l2_bt_timings {
    // SAFETY: integers; there is no other kind of timings than `V4L2_DV_BT_656_1120`.
    unsafe { timings.__bindgen_anon_1.bt }
}

/// What has changed, of an event of the kind source change.
pub(super) fn source_changes(event: &v4l2_event) -> u32 {
    // SAFETY: an integer that any event has room for.
    unsafe { event.u.src_change.changes }
}

/// A format, single- or multi-planar, in one shape.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RawFormat {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) fourcc: u32,
    pub(super) field: u32,
    pub(super) colorspace: u32,
    pub(super) encoding: u32,
    pub(super) quantization: u32,
    /// Bytes from line to line, and bytes of a buffer, by plane.
    pub(super) planes: Vec<(u32, u32)>,
}

impl RawFormat {
    /// The kernel's structure for a device of this buffer type.
    pub(super) fn encode(&self, kind: u32) -> v4l2_format {
        let mut format = v4l2_format::zero();
        format.type_ = kind;
        if kind == v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE {
            // SAFETY: all bits zero is a value of it.
            let mut pix: v4l2_pix_format_mplane = unsafe { std::mem::zeroed() };
            (pix.width, pix.height, pix.pixelformat, pix.field) =
                (self.width, self.height, self.fourcc, self.field);
            format.fmt.pix_mp = pix;
        } else {
            // SAFETY: as above.
            let mut pix: v4l2_pix_format = unsafe { std::mem::zeroed() };
            (pix.width, pix.height, pix.pixelformat, pix.field) =
                (self.width, self.height, self.fourcc, self.field);
            format.fmt.pix = pix;
        }
        format
    }

    /// What the kernel wrote.
    pub(super) fn decode(format: &v4l2_format) -> Self {
        if format.type_ == v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE {
            // SAFETY: integers; the buffer type says that it is this member.
            let pix = unsafe { format.fmt.pix_mp };
            let planes = pix.plane_fmt;
            let count = usize::from(pix.num_planes).min(planes.len());
            Self {
                width: pix.width,
                height: pix.height,
                fourcc: pix.pixelformat,
                field: pix.field,
                colorspace: pix.colorspace,
                // SAFETY: one byte, whichever name it has.
                encoding: u32::from(unsafe { pix.__bindgen_anon_1.ycbcr_enc }),
                quantization: u32::from(pix.quantization),
                planes: planes
                    .iter()
                    .take(count)
                    .map(|plane| (plane.bytesperline, plane.sizeimage))
                    .collect(),
            }
        } else {
            // SAFETY: as above.
            let pix = unsafe { format.fmt.pix };
            Self {
                width: pix.width,
                height: pix.height,
                fourcc: pix.pixelformat,
                field: pix.field,
                colorspace: pix.colorspace,
                // SAFETY: one integer, whichever name it has.
                encoding: unsafe { pix.__bindgen_anon_1.ycbcr_enc },
                quantization: pix.quantization,
                planes: vec![(pix.bytesperline, pix.sizeimage)],
            }
        }
    }
}

/// Pages that this process has mapped: a driver's buffer, or memory of ours that a driver writes to.
#[derive(Debug)]
pub(super) struct Pages {
    start: NonNull<c_void>,
    length: usize,
}

// SAFETY: pages belong to the process and not to a thread; who may touch them when is [`Buffers`]' care.
unsafe impl Send for Pages {}
// SAFETY: shared, they are only read.
unsafe impl Sync for Pages {}

impl Pages {
    /// The buffer of the driver at this offset of the device.
    fn of_device(fd: BorrowedFd<'_>, length: usize, offset: u32) -> Result<Self, Errno> {
        let size = NonZeroUsize::new(length).ok_or(Errno::EINVAL)?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping, which overlaps nothing that Rust knows of.
        let start = unsafe { mmap(None, size, protection, MapFlags::MAP_SHARED, fd, i64::from(offset)) }?;
        Ok(Self { start, length })
    }

    /// Fresh memory, zeroed, at the beginning of a page (some drivers take no other).
    fn fresh(length: usize) -> Result<Self, Errno> {
        let size = NonZeroUsize::new(length).ok_or(Errno::EINVAL)?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping, which overlaps nothing that Rust knows of.
        let start = unsafe { mmap_anonymous(None, size, protection, MapFlags::MAP_PRIVATE) }?;
        Ok(Self { start, length })
    }

    /// The bytes. The driver must not have the buffer.
    fn bytes(&self) -> &[u8] {
        // SAFETY: mapped and initialised for `length` bytes, for as long as `self` is there; that nobody
        // writes meanwhile is the condition above, which `Buffers` and `Taken` keep.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast::<u8>(), self.length) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the mapping that `self` was made with; no slice outlives it. It fails for no mapping that
        // exists, and there would be nothing to do about it.
        let _ = unsafe { munmap(self.start, self.length) };
    }
}

/// Where the bytes of frames lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// In buffers of the driver (`V4L2_MEMORY_MMAP`).
    Mmap,
    /// In memory of ours, which can be handed on with the frame in it (`V4L2_MEMORY_USERPTR`).
    UserPtr,
}

/// What the kernel says of a dequeued buffer.
#[derive(Debug, Clone)]
pub(super) struct Dequeued {
    pub(super) index: usize,
    pub(super) flags: u32,
    pub(super) field: u32,
    pub(super) sequence: u32,
    /// Seconds and microseconds.
    pub(super) stamp: (i64, i64),
    /// Where the picture lies in each plane (bytes).
    pub(super) planes: Vec<Range<usize>>,
}

/// The buffers of one stream. A buffer's bytes can be read only while it is not queued.
#[derive(Debug)]
pub(super) struct Buffers {
    fd: OwnedFd,
    kind: u32,
    memory: Memory,
    /// Planes of each buffer, and whether the driver has it.
    buffers: Vec<(Vec<Pages>, bool)>,
    /// Memory that came back from those who read it.
    spare: Spare,
}

type Spare = Arc<Mutex<Vec<Pages>>>;

impl Buffers {
    /// Has the driver set up `count` buffers; it may make more or fewer. `sizes` are the planes' (bytes).
    pub(super) fn new(
        fd: OwnedFd,
        kind: u32,
        memory: Memory,
        count: u32,
        sizes: &[u32],
    ) -> Result<Self, Errno> {
        let mut asked = v4l2_requestbuffers::zero();
        (asked.count, asked.type_, asked.memory) = (count, kind, memory.code());
        request_buffers(&fd, &mut asked)?;
        let mut all = Self { fd, kind, memory, buffers: Vec::new(), spare: Spare::default() };
        for index in 0..asked.count.min(MOST_BUFFERS as u32) {
            let planes = match memory {
                Memory::Mmap => all.map(index)?,
                Memory::UserPtr => {
                    sizes.iter().map(|&size| Pages::fresh(size as usize)).collect::<Result<_, _>>()?
                }
            };
            all.buffers.push((planes, false));
        }
        if all.buffers.is_empty() { Err(Errno::ENOMEM) } else { Ok(all) }
    }

    pub(super) fn len(&self) -> usize {
        self.buffers.len()
    }

    fn multi_planar(&self) -> bool {
        self.kind == v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE
    }

    /// An empty argument; `planes` must live as long as it is used.
    fn argument(&self, index: u32, planes: &mut [v4l2_plane; MOST_PLANES]) -> v4l2_buffer {
        // SAFETY: integers, and unions that hold a pointer, for which null is a value.
        let mut buffer: v4l2_buffer = unsafe { std::mem::zeroed() };
        (buffer.index, buffer.type_, buffer.memory) = (index, self.kind, self.memory.code());
        if self.multi_planar() {
            buffer.m.planes = planes.as_mut_ptr();
            buffer.length = planes.len() as u32;
        }
        buffer
    }

    fn map(&self, index: u32) -> Result<Vec<Pages>, Errno> {
        let mut planes = no_planes();
        let mut buffer = self.argument(index, &mut planes);
        // SAFETY: the structure of this code; `planes` outlives the request.
        unsafe { request(self.fd.as_fd(), vidioc::VIDIOC_QUERYBUF, &mut buffer) }?;
        if self.multi_planar() {
            let count = (buffer.length as usize).min(MOST_PLANES);
            // SAFETY: an integer; the kernel wrote the offset, since the memory is of the kind mmap.
            let places = planes.iter().take(count).map(|p| (p.length as usize, unsafe { p.m.mem_offset }));
            places.map(|(length, offset)| Pages::of_device(self.fd.as_fd(), length, offset)).collect()
        } else {
            // SAFETY: as above.
            let offset = unsafe { buffer.m.offset };
            Ok(vec![Pages::of_device(self.fd.as_fd(), buffer.length as usize, offset)?])
        }
    }

    /// `VIDIOC_QBUF`: gives a buffer to the driver. Nothing can be borrowed from it: `self` is not shared.
    pub(super) fn queue(&mut self, index: usize) -> Result<(), Errno> {
        let mut planes = no_planes();
        let mut buffer = self.argument(u32::try_from(index).map_err(|_| Errno::EINVAL)?, &mut planes);
        let (pages, queued) = self.buffers.get_mut(index).ok_or(Errno::EINVAL)?;
        if *queued {
            return Err(Errno::EINVAL);
        }
        if self.memory == Memory::UserPtr {
            for (plane, pages) in planes.iter_mut().zip(pages.iter()) {
                plane.m.userptr = pages.start.as_ptr() as u64;
                plane.length = pages.length as u32;
            }
            if buffer.type_ != v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE {
                let first = pages.first().ok_or(Errno::EINVAL)?;
                buffer.m.userptr = first.start.as_ptr() as u64;
                buffer.length = first.length as u32;
            } else {
                buffer.length = pages.len() as u32;
            }
        }
        // SAFETY: the structure of this code; `planes` outlives the request. The pages that the driver
        // gets stay mapped until it has given them back: `Drop` stops the stream before it unmaps.
        unsafe { request(self.fd.as_fd(), vidioc::VIDIOC_QBUF, &mut buffer) }?;
        *queued = true;
        Ok(())
    }

    /// `VIDIOC_DQBUF`: takes a filled buffer back; `EAGAIN` when there is none.
    pub(super) fn dequeue(&mut self) -> Result<Dequeued, Errno> {
        let mut planes = no_planes();
        let mut buffer = self.argument(0, &mut planes);
        // SAFETY: the structure of this code; `planes` outlives the request.
        unsafe { request(self.fd.as_fd(), vidioc::VIDIOC_DQBUF, &mut buffer) }?;
        let index = buffer.index as usize;
        let multi_planar = self.multi_planar();
        let (pages, queued) = self.buffers.get_mut(index).ok_or(Errno::EIO)?;
        *queued = false;
        let whole = v4l2_plane { bytesused: buffer.bytesused, data_offset: 0, ..planes[0] };
        let told = if multi_planar { &planes[..] } else { std::slice::from_ref(&whole) };
        let within = |plane: &v4l2_plane, pages: &Pages| {
            // bytesused counts the bytes before the offset too.
            let end = (plane.bytesused as usize).min(pages.length);
            (plane.data_offset as usize).min(end)..end
        };
        Ok(Dequeued {
            index,
            flags: buffer.flags,
            field: buffer.field,
            sequence: buffer.sequence,
            stamp: (buffer.timestamp.tv_sec, buffer.timestamp.tv_usec),
            planes: told.iter().zip(pages.iter()).map(|(plane, pages)| within(plane, pages)).collect(),
        })
    }

    /// A plane of a buffer that the driver does not have.
    pub(super) fn plane(&self, index: usize, plane: usize) -> Option<&[u8]> {
        let (pages, queued) = self.buffers.get(index)?;
        if *queued { None } else { pages.get(plane).map(Pages::bytes) }
    }

    /// The memory of a single-plane buffer that the driver does not have, to be kept by others; the buffer
    /// gets other memory. `None` for buffers of the driver.
    pub(super) fn take(&mut self, index: usize) -> Option<Taken> {
        let (pages, queued) = self.buffers.get_mut(index)?;
        let [page] = pages.as_mut_slice() else { return None };
        if self.memory != Memory::UserPtr || *queued {
            return None;
        }
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let other = spare.or_else(|| Pages::fresh(page.length).ok())?;
        Some(Taken { pages: Some(std::mem::replace(page, other)), spare: self.spare.clone() })
    }
}

impl AsFd for Buffers {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        // The driver gives all buffers back before their memory goes. A device that is gone has none.
        let _ = stream_off(&self.fd, &mut (self.kind as i32));
        self.buffers.clear();
        let mut none = v4l2_requestbuffers::zero();
        (none.type_, none.memory) = (self.kind, self.memory.code());
        let _ = request_buffers(&self.fd, &mut none);
    }
}

fn no_planes() -> [v4l2_plane; MOST_PLANES] {
    // SAFETY: integers, and a union of integers.
    unsafe { std::mem::zeroed() }
}

impl Memory {
    fn code(self) -> u32 {
        match self {
            Self::Mmap => v4l2_memory_V4L2_MEMORY_MMAP,
            Self::UserPtr => v4l2_memory_V4L2_MEMORY_USERPTR,
        }
    }
}

/// Memory with a frame in it that the driver has given up for good. It is used again once dropped.
#[derive(Debug)]
pub(super) struct Taken {
    pages: Option<Pages>,
    spare: Spare,
}

impl AsRef<[u8]> for Taken {
    fn as_ref(&self) -> &[u8] {
        self.pages.as_ref().map_or(&[], Pages::bytes)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < MOST_BUFFERS {
            spare.extend(self.pages.take());
        }
    }
}
