//! What can go wrong with a device, told by what to do about it.

use nix::errno::Errno;

/// Why a device does not do what is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CaptureError {
    /// It is not there, or no more: `ENODEV`, `ENXIO`, `ENOENT`.
    #[error("the device is gone; is it plugged in?")]
    Gone,
    /// Another process streams from it: `EBUSY`.
    #[error("the device is busy; is another process capturing from it?")]
    Busy,
    /// We may not open it: `EACCES`, `EPERM`.
    #[error("the device may not be opened; is the service in the group that owns it (video)?")]
    Denied,
    /// The stream has failed and must be started again: `EIO`.
    #[error("the driver has given up the stream")]
    Streaming,
    /// It cannot do this.
    #[error("the device cannot do this: {0}")]
    Unsupported(&'static str),
    /// What it tells makes no sense.
    #[error("the driver contradicts itself: {0}")]
    Inconsistent(&'static str),
    /// It refuses a request that should work.
    #[error("the driver refuses {request}: {errno}")]
    Refused {
        /// The request, as the kernel's documents name it.
        request: &'static str,
        /// Why.
        errno: Errno,
    },
}

/// What may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heal {
    /// Stop the stream and start it again.
    Restart,
    /// Close the device, look for it, and open it again.
    Reopen,
}

impl CaptureError {
    /// The error that this refusal of a request is.
    pub(super) fn of(request: &'static str, errno: Errno) -> Self {
        match errno {
            Errno::ENODEV | Errno::ENXIO | Errno::ENOENT => Self::Gone,
            Errno::EBUSY => Self::Busy,
            Errno::EACCES | Errno::EPERM => Self::Denied,
            Errno::EIO => Self::Streaming,
            Errno::ENOTTY => Self::Unsupported(request),
            errno => Self::Refused { request, errno },
        }
    }

    /// What may help.
    pub fn heal(self) -> Heal {
        match self {
            Self::Streaming | Self::Refused { .. } => Heal::Restart,
            _ => Heal::Reopen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unplugged_card_is_looked_for_and_a_failed_stream_is_restarted() {
        assert_eq!(CaptureError::of("VIDIOC_DQBUF", Errno::ENODEV).heal(), Heal::Reopen);
        assert_eq!(CaptureError::of("VIDIOC_DQBUF", Errno::EIO).heal(), Heal::Restart);
        assert_eq!(CaptureError::of("VIDIOC_QBUF", Errno::EINVAL).heal(), Heal::Restart);
        assert_eq!(CaptureError::of("VIDIOC_STREAMON", Errno::EBUSY).heal(), Heal::Reopen);
    }
}
