//! What can go wrong with the spool. No error names an object otherwise than by its number, nor any value of it.

use std::io;
use std::path::PathBuf;

use nix::errno::Errno;

/// Why a key cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read, or made.
    #[error("the spool's key {file}: {error}")]
    File {
        /// Where the key is.
        file: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// It is not 32 bytes.
    #[error("the spool's key {file} must be a file of exactly 32 random bytes")]
    Length {
        /// Where the key is.
        file: PathBuf,
    },
    /// Others than its owner may read or write it.
    #[error("the spool's key {file} has mode {mode:03o} and is open to others; 400 would be right")]
    Open {
        /// Where the key is.
        file: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A transient key may only lie where a reboot takes it away.
    #[error("{directory} is no tmpfs, so a reboot would not destroy the spool's key there")]
    NotVolatile {
        /// Where the key was to be.
        directory: PathBuf,
    },
    /// The source of random numbers failed.
    #[error("the system gave no random numbers for the spool's key")]
    Random,
}

/// Why a spool cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be made, read or written.
    #[error("the spool's directory {directory}: {error}")]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// Another process, or another spool of this one, has it open.
    #[error("the spool's directory {directory} is in use by another process, or by another relay")]
    InUse {
        /// The directory.
        directory: PathBuf,
    },
    /// Others than its owner may write into it.
    #[error(
        "the spool's directory {directory} has mode {mode:03o} and is open to others; 700 would be right"
    )]
    Open {
        /// The directory.
        directory: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

/// The bound that an object would have gone over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Bound {
    /// [`Bounds::max_bytes`](super::Bounds::max_bytes).
    #[error("it holds as many bytes as allowed")]
    Bytes,
    /// [`Bounds::max_objects`](super::Bounds::max_objects).
    #[error("it holds as many objects as allowed")]
    Objects,
    /// [`Bounds::keep_free`](super::Bounds::keep_free).
    #[error("the file system has no more space than is to be kept free")]
    KeepFree,
    /// The operating system gave no more: the file system, a quota or a limit of the process.
    #[error("the file system is full")]
    FileSystem,
}

/// Why an object was not taken, or not removed. Whatever it is, nothing that was committed is lost by it.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// There is no room. It comes back as objects are delivered.
    #[error("the spool is full: {0}")]
    Full(Bound),
    /// The disk failed, or the directory is gone.
    #[error("the spool's disk: {0}")]
    Disk(#[source] io::Error),
    /// What is to be kept beside the object is longer than [`MAX_META`](super::MAX_META).
    #[error("{length} bytes of meta data, at most {} are taken", super::MAX_META)]
    Meta {
        /// How long it is.
        length: usize,
    },
    /// A write of this object has failed before, so it cannot be committed.
    #[error("an earlier write of this object failed")]
    Failed,
}

impl From<io::Error> for SpoolError {
    fn from(error: io::Error) -> Self {
        let full = [Errno::ENOSPC, Errno::EDQUOT, Errno::EFBIG];
        match error.raw_os_error().map(Errno::from_raw) {
            Some(errno) if full.contains(&errno) => Self::Full(Bound::FileSystem),
            _ => Self::Disk(error),
        }
    }
}

/// Why an object cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not what was written: a bit is flipped, it is cut short, or it is another object. It will never
    /// be readable.
    #[error("the object is damaged")]
    Damaged,
    /// The disk failed. It may do better another time.
    #[error("the spool's disk: {0}")]
    Disk(#[source] io::Error),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Damaged,
            _ => Self::Disk(error),
        }
    }
}
