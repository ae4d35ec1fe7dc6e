//! One opened device: what signal is at it, and having the driver take that.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::device::{Device, Input};
use super::error::CaptureError;
use super::format;
use super::log_events;
use super::pictures::PicturesError;
use super::plan;
use super::stream::{Memory, Stream};
use super::timings::{self, NoTimings, Timings};
use super::usb;
use super::watch::{self, Watch};
use crate::config::profile::{CaptureProfile, Profiles, TimingsSource};
use crate::config::settings::CaptureSettings;
use crate::frame::video::VideoDescription;

/// Why a session ends.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error(transparent)]
    Device(#[from] CaptureError),
    #[error("{0}")]
    Configuration(String),
    #[error(transparent)]
    Pictures(#[from] PicturesError),
}

/// An opened device, and what is known of its kind.
pub(super) struct Session<'a> {
    /// `[capture.NAME]`.
    name: &'a str,
    pub(super) device: &'a Device,
    pub(super) profile: &'a CaptureProfile,
    watch: Option<Watch>,
}

impl<'a> Session<'a> {
    /// Chooses the input, tells the modality what the card takes, and begins to watch the signal.
    ///
    /// # Errors
    /// When there is no such input, or the driver refuses.
    pub(super) fn begin(
        name: &'a str,
        device: &'a Device,
        profile: &'a CaptureProfile,
        profiles: &Profiles,
        settings: &CaptureSettings,
    ) -> Result<Self, Fault> {
        let input = choose_input(device, &settings.input)?;
        let number = input.map_or(0, |input| input.index);
        if let Some(edid) = profile.edid.as_deref().and_then(|name| profiles.edid(name))
            && let Err(error) = device.set_edid(number, edid)
        {
            log_events::EdidRefused { capture: name, error: &error }.tell();
        }
        let tells = profile.timings != TimingsSource::None;
        let watch = if tells { Some(Watch::start(device.path(), number)?) } else { None };
        Ok(Self { name, device, profile, watch })
    }

    /// Whether the device can tell of its signal.
    pub(super) fn is_watched(&self) -> bool {
        self.watch.is_some()
    }

    /// How often the signal has changed so far.
    pub(super) fn changes(&self) -> u64 {
        self.watch.as_ref().map_or(0, Watch::changes)
    }

    /// The signal that is there; `None` where the input has no timings.
    ///
    /// # Errors
    /// Why there is none that the card takes.
    pub(super) fn signal(&self) -> Result<Option<Timings>, NoTimings> {
        if self.watch.is_none() {
            return Ok(None);
        }
        let signal = watch::look(self.device)?;
        let beyond = signal.zip(self.profile.limits.as_ref()).is_some_and(|(timings, limits)| {
            timings.width() > limits.max_width
                || timings.height() > limits.max_height
                || timings.pixel_clock() > limits.max_pixel_clock_hz.into()
        });
        if beyond { Err(NoTimings::OutOfRange) } else { Ok(signal) }
    }

    /// Whether the signal stays as it is for as long as the profile wants; `pause` waits, and may return
    /// early.
    pub(super) fn settles(
        &self,
        signal: Option<Timings>,
        seen: u64,
        pause: impl Fn(Duration) -> bool,
    ) -> bool {
        let since = Instant::now();
        while let Some(left) = self.profile.settle.checked_sub(since.elapsed()).filter(|left| !left.is_zero())
        {
            if !pause(left) || self.changes() != seen {
                return false;
            }
        }
        self.profile.settle.is_zero() || self.signal().ok() == Some(signal)
    }

    /// Has the receiver take the signal. One that it refuses is one that it cannot take, whatever it found.
    ///
    /// # Errors
    /// What the driver says.
    pub(super) fn take(&self, timings: Option<Timings>) -> Result<(), NoTimings> {
        let Some(timings) = timings.filter(|timings| timings::current(self.device).as_ref() != Some(timings))
        else {
            return Ok(());
        };
        timings::set(self.device, &timings).map_err(|error| match error {
            CaptureError::Refused { errno: Errno::EINVAL | Errno::ERANGE, .. } => NoTimings::OutOfRange,
            error => NoTimings::Device(error),
        })
    }

    /// Agrees on a format for the signal.
    ///
    /// # Errors
    /// When there is none in common, or the device would scale and must not.
    pub(super) fn agree(
        &self,
        settings: &CaptureSettings,
        timings: Option<Timings>,
    ) -> Result<VideoDescription, CaptureError> {
        let device = self.device;
        let formats = plan::formats(settings, self.profile);
        let native = || {
            let offered = device.formats();
            let wanted = |format| offered.iter().find(|offered| offered.format == Some(format));
            let first = formats.iter().find_map(|one| wanted(one.format));
            first.and_then(|offered| offered.sizes.first().copied())
        };
        let size = match &timings {
            Some(timings) => Some((timings.width(), timings.height())),
            None if self.profile.native_size => native(),
            None => None,
        };
        let rate = timings.as_ref().map(Timings::frame_rate).or_else(|| device.frame_rate());
        let video = format::agree(device, &formats, size, rate)?;
        let scaled = size.is_some_and(|size| size != (video.width, video.height));
        if scaled && self.profile.scaling_forbidden {
            return Err(CaptureError::Inconsistent("it would scale the picture"));
        }
        Ok(video)
    }

    /// Starts the stream, in the driver's memory where it takes no other.
    ///
    /// # Errors
    /// What the driver says.
    pub(super) fn start(&self, video: &VideoDescription) -> Result<Stream, CaptureError> {
        let buffers = self.profile.buffers;
        match Stream::start(self.device, video, buffers, plan::memory(self.profile)) {
            Err(CaptureError::Unsupported(_)) => Stream::start(self.device, video, buffers, Memory::Mmap),
            started => started,
        }
    }

    /// Resets a USB device that answers no more, as the profile says.
    pub(super) fn reset(&self) {
        match usb::reset(Path::new(usb::CLASS), self.device.path(), self.profile.usb_reset) {
            Ok(true) => log_events::UsbReset { capture: self.name }.tell(),
            Ok(false) => {}
            Err(error) => {
                log_events::UsbNotReset { capture: self.name, error: &error }.tell();
            }
        }
    }
}

fn choose_input(device: &Device, wanted: &str) -> Result<Option<Input>, Fault> {
    if wanted.is_empty() {
        return Ok(device.input());
    }
    let inputs = device.inputs();
    let names = || inputs.iter().map(|input| input.name.as_str()).collect::<Vec<_>>().join(", ");
    let found = inputs.iter().find(|input| input.name == wanted || input.index.to_string() == wanted);
    let input = found.ok_or_else(|| {
        Fault::Configuration(format!(
            "there is no input {wanted:?}; capture.*.input may be one of {}",
            names()
        ))
    })?;
    device.set_input(input.index)?;
    Ok(Some(input.clone()))
}
