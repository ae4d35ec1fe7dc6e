//! Frame buffers that are used again.
//!
//! A fresh buffer of a megabyte costs the kernel a page fault for every 4 KiB, a third of the CPU
//! of receiving a frame. So a frame's buffer comes back here when the last reader has dropped it,
//! most often because the ring let it go, and the next frame is read into it. What is kept free
//! is bounded; the rest goes back to the allocator.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};

/// Buffers smaller than this are cheap to allocate (bytes).
const SMALLEST: usize = 64 << 10;
/// Free buffers that are kept at most.
const MOST: usize = 64;
/// Bytes of free buffers that are kept at most.
const MOST_BYTES: usize = 32 << 20;

static FREE: Mutex<Free> = Mutex::new(Free { buffers: Vec::new(), bytes: 0 });

/// The free buffers, the one used last behind.
struct Free {
    buffers: Vec<BytesMut>,
    bytes: usize,
}

fn free() -> MutexGuard<'static, Free> {
    // Nothing that runs under this lock can panic half way through a change.
    FREE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An empty buffer for at least `capacity` bytes, and not for much more.
pub(crate) fn take(capacity: usize) -> BytesMut {
    let mut buffer = find(capacity);
    buffer.clear();
    buffer
}

/// A buffer of `length` bytes, to be written over: they are zero, or what an earlier frame left there.
/// To make them zero each time would cost as much as a conversion.
pub(crate) fn filled(length: usize) -> BytesMut {
    let mut buffer = find(length);
    buffer.resize(length, 0);
    buffer
}

fn find(capacity: usize) -> BytesMut {
    if capacity >= SMALLEST {
        let mut free = free();
        let fits = |buffer: &BytesMut| (capacity..=capacity.saturating_mul(2)).contains(&buffer.capacity());
        if let Some(index) = free.buffers.iter().rposition(fits) {
            let buffer = free.buffers.swap_remove(index);
            free.bytes -= buffer.capacity();
            return buffer;
        }
    }
    BytesMut::with_capacity(capacity)
}

/// Makes a filled buffer shareable; it comes back when the last share is dropped.
pub(crate) fn freeze(buffer: BytesMut) -> Bytes {
    if buffer.capacity() < SMALLEST { buffer.freeze() } else { Bytes::from_owner(Lent(buffer)) }
}

/// A buffer whose bytes are being shared.
struct Lent(BytesMut);

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.0);
        let capacity = buffer.capacity();
        let mut free = free();
        if free.buffers.len() < MOST && free.bytes + capacity <= MOST_BYTES {
            free.bytes += capacity;
            free.buffers.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_when_its_last_share_is_dropped() {
        // A size that no other test uses: the pool is the process's.
        const SIZE: usize = 777_777;
        let mut buffer = take(SIZE);
        buffer.extend_from_slice(&[7; SIZE]);
        let address = buffer.as_ptr();
        let shared = freeze(buffer);
        let other = shared.slice(10..20);
        drop(shared);
        assert_eq!(&other[..], [7; 10]);
        assert_ne!(take(SIZE).as_ptr(), address, "it is still being read");
        drop(other);
        let again = take(SIZE - 5);
        assert_eq!((again.as_ptr(), again.len()), (address, 0));
    }

    #[test]
    fn a_filled_buffer_has_its_length_whatever_was_in_it() {
        const SIZE: usize = 555_555;
        let mut buffer = take(SIZE);
        buffer.extend_from_slice(&[7; 10]);
        drop(freeze(buffer));
        let again = filled(SIZE);
        assert_eq!((again.len(), &again[..12]), (SIZE, &[7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 0, 0][..]));
        drop(freeze(again));
        assert!(take(SIZE).is_empty());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let buffers: Vec<_> = (0..2 * MOST).map(|_| freeze(BytesMut::with_capacity(SMALLEST))).collect();
        drop(buffers);
        let large = freeze(BytesMut::with_capacity(MOST_BYTES + 1));
        drop(large);
        let free = free();
        assert!(free.buffers.len() <= MOST && free.bytes <= MOST_BYTES);
        assert_eq!(free.bytes, free.buffers.iter().map(BytesMut::capacity).sum::<usize>());
    }
}
