//! Makes instances out of an encoded data set while it is still arriving (cut-through).
//!
//! A source asks [`Assembler::target`] where the next bytes belong and how many may go there,
//! reads them from its socket straight into that buffer, and then takes [`Event`]s from
//! [`Assembler::poll`] until there is none. So pixels are written to memory once: the buffer they
//! are read into is the one that readers share.
//!
//! ```text
//!            Pixel Data begins                             last frame
//!   Head ──┬───────────────────► Native frames ─────────────────────────► Rest
//!          ├───────────────────► Encapsulated frames ────────────────────► Rest
//!          ├───────────────────► Whole (one frame, or one that cannot be split)
//!          └─ no Pixel Data ────► (the head is the object)
//! ```
//!
//! A single-frame object goes on byte for byte. Implicit VR LE, Explicit VR BE and Deflated, which
//! DICOMweb forbids, become Explicit VR LE; little-endian pixels are not touched by that. A
//! multi-frame object becomes one instance a frame ([`super::split`]), each published when its
//! last byte is in.

mod encapsulated;
mod error;
mod inflate;
mod maker;
mod native;
mod opened;
mod syntax;
mod transfer;
mod whole;

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use dicom_dictionary_std::tags;

use self::encapsulated::EncapsulatedFrames;
pub use self::error::AssembleError;
use self::inflate::Inflater;
use self::maker::Maker;
use self::native::NativeFrames;
pub use self::opened::Opened;
use self::opened::{FIRST_GROUP, identity};
use self::syntax::{inflated_syntax, is_deflated, is_encapsulated, is_video, kept_syntax};
pub use self::transfer::{Limits, Transfer};
use self::whole::Whole;
use super::encode::{self, PixelValue};
use super::scan::{Encoding, Found, Key, PixelElement, Scan, Scanner};
use super::split::Splitter;
use super::{Instance, Pieces, PixelForm, Uid};

/// How much is read at a time where the end of the head is not known: what lies beyond is copied.
const HEAD_CHUNK: usize = 16 << 10;

/// What the assembler tells.
#[derive(Debug)]
pub enum Event {
    /// The head is in: this object belongs to that series. Comes once, before any instance.
    Opened(Opened),
    /// An instance is whole.
    Instance(Instance),
}

#[derive(Debug)]
enum State {
    Head,
    /// Pixel Data was found and told; the next step decides how it is read.
    Found(PixelElement),
    Whole(Whole),
    Native(NativeFrames),
    Encapsulated(EncapsulatedFrames),
    /// After the last frame of a split object: padding and signatures, which are void now.
    Rest(usize),
    Done,
}

/// One object on its way in.
#[derive(Debug)]
pub struct Assembler {
    transfer: Transfer,
    limits: Limits,
    /// Bytes of the data set, where they are known beforehand.
    announced: Option<usize>,
    first_number: i32,
    inflater: Option<Inflater>,
    scanner: Scanner,
    /// File Meta Information, then the data set as it arrives.
    head: BytesMut,
    meta_length: usize,
    /// Bytes that came with the head but belong behind it, or that were inflated.
    pending: BytesMut,
    /// Where bytes go that nobody needs.
    sink: BytesMut,
    state: State,
    /// When the instance that is next was begun.
    begun: Instant,
}

impl Assembler {
    /// Starts an object.
    ///
    /// # Errors
    /// When the announced UIDs cannot stand in File Meta Information.
    pub fn new(transfer: Transfer, limits: Limits) -> Result<Self, AssembleError> {
        let kept = kept_syntax(&transfer.transfer_syntax);
        let head = encode::file_meta(
            kept,
            &transfer.sop_class,
            &transfer.sop_instance,
            transfer.source_ae_title.as_deref(),
        )?;
        let inflater = is_deflated(&transfer.transfer_syntax).then(Inflater::new);
        let scanner = Scanner::new(Encoding::of(&transfer.transfer_syntax), limits.head);
        Ok(Self {
            transfer,
            limits,
            announced: None,
            first_number: 1,
            inflater,
            scanner,
            meta_length: head.len(),
            head,
            pending: BytesMut::new(),
            sink: BytesMut::new(),
            state: State::Head,
            begun: Instant::now(),
        })
    }

    /// Instance Number of the first frame of an object that is split; 1 unless set after
    /// [`Event::Opened`].
    pub fn number_from(&mut self, first: i32) {
        self.first_number = first;
    }

    /// How many bytes the data set has, where that is known before its first one: spares a frame of
    /// unknown length its growth.
    pub fn announce(&mut self, bytes: usize) {
        self.announced = Some(bytes);
    }

    /// When the instance that was given last was begun; the next one is begun when that was `built`.
    pub fn next_begun(&mut self, built: Instant) -> Instant {
        std::mem::replace(&mut self.begun, built)
    }

    /// Where the next bytes go, and how many at most (at least one).
    pub fn target(&mut self) -> (&mut BytesMut, usize) {
        match &mut self.inflater {
            Some(inflater) => inflater.target(),
            None => state_target(&mut self.state, &mut self.head, &mut self.pending, &mut self.sink),
        }
    }

    /// Takes the next event, if what arrived makes one. `ended` says that the data set's last byte
    /// is in; then the events up to the last come, and afterwards `None` says that the object was
    /// whole.
    ///
    /// # Errors
    /// When the object must be refused. Instances already given stay valid.
    pub fn poll(&mut self, ended: bool) -> Result<Option<Event>, AssembleError> {
        loop {
            if let Some(event) = self.step()? {
                return Ok(Some(event));
            }
            if self.pending.is_empty()
                && let Some(inflater) = &mut self.inflater
            {
                inflater.inflate_into(&mut self.pending)?;
            }
            if self.pending.is_empty() {
                return if ended { self.end() } else { Ok(None) };
            }
            let mut pending = std::mem::take(&mut self.pending);
            let (target, room) =
                state_target(&mut self.state, &mut self.head, &mut self.pending, &mut self.sink);
            let part = pending.split_to(room.min(pending.len()));
            target.extend_from_slice(&part);
            self.pending = pending;
        }
    }

    /// One step of the diagram above.
    fn step(&mut self) -> Result<Option<Event>, AssembleError> {
        match &mut self.state {
            State::Head => {
                let dataset = self.head.get(self.meta_length..).unwrap_or_default();
                let Scan::PixelData(pixels) = self.scanner.advance(dataset)? else { return Ok(None) };
                // What came with the head goes before what has been inflated since.
                let mut beyond = self.head.split_off(self.meta_length + pixels.value);
                beyond.unsplit(std::mem::take(&mut self.pending));
                self.pending = beyond;
                let opened = self.opened(pixels.start)?;
                self.state = State::Found(pixels);
                Ok(Some(Event::Opened(opened)))
            }
            State::Found(pixels) => {
                let pixels = *pixels;
                self.state = self.begin(pixels)?;
                Ok(None)
            }
            State::Whole(whole) => whole.check().map(|()| None),
            State::Native(frames) => {
                let made = frames.step()?;
                if frames.is_done() {
                    self.state = State::Rest(0);
                }
                Ok(made.map(Event::Instance))
            }
            State::Encapsulated(frames) => {
                let made = frames.step()?;
                if made.is_none() && frames.is_done() {
                    self.state = State::Rest(0);
                }
                Ok(made.map(Event::Instance))
            }
            State::Rest(dropped) => {
                *dropped += self.sink.len();
                self.sink.clear();
                if *dropped > self.limits.head.bytes {
                    return Err(AssembleError::Trailing(self.limits.head.bytes));
                }
                Ok(None)
            }
            State::Done => {
                if self.sink.is_empty() {
                    Ok(None)
                } else {
                    Err(AssembleError::Trailing(0))
                }
            }
        }
    }

    /// The data set's last byte is in and every step has been taken.
    fn end(&mut self) -> Result<Option<Event>, AssembleError> {
        // Without its last block the stream was cut, even if the element that it was in is whole.
        if self.inflater.as_ref().is_some_and(|inflater| !inflater.has_ended()) {
            return Err(AssembleError::Deflate);
        }
        match std::mem::replace(&mut self.state, State::Done) {
            State::Head => {
                let length = self.head.len() - self.meta_length;
                self.scanner.finish(length)?;
                let opened = self.opened(length)?;
                self.state = State::Whole(Whole::without_pixels());
                Ok(Some(Event::Opened(opened)))
            }
            State::Whole(whole) => self.whole(whole).map(|instance| Some(Event::Instance(instance))),
            State::Native(_) | State::Encapsulated(_) | State::Found(_) => Err(AssembleError::Truncated),
            State::Rest(_) | State::Done => Ok(None),
        }
    }

    /// Checks who this is and says so.
    fn opened(&self, dataset_length: usize) -> Result<Opened, AssembleError> {
        let dataset = self.head.get(self.meta_length..).unwrap_or_default();
        if let Some(group) = self.scanner.found().lowest_group().filter(|&group| group < FIRST_GROUP) {
            return Err(AssembleError::Group(group));
        }
        let found = self.scanner.found();
        let identity = identity(found, dataset)?;
        if identity.sop_class != self.transfer.sop_class {
            return Err(AssembleError::Mismatch("SOP Class UID"));
        }
        if identity.sop_instance != self.transfer.sop_instance {
            return Err(AssembleError::Mismatch("SOP Instance UID"));
        }
        Ok(Opened {
            identity,
            instances: self.instances(found, dataset)?,
            head: Bytes::copy_from_slice(dataset.get(..dataset_length).unwrap_or_default()),
            transfer_syntax: inflated_syntax(&self.transfer.transfer_syntax).into(),
        })
    }

    /// How many instances this object becomes: its frames, or one where the transfer syntax has
    /// no frames to cut (video).
    fn instances(&self, found: &Found, dataset: &[u8]) -> Result<u32, AssembleError> {
        if is_video(&self.transfer.transfer_syntax) {
            return Ok(1);
        }
        let frames = match found.text(Key::NumberOfFrames, dataset) {
            None => 1,
            Some(text) => text
                .parse::<u32>()
                .ok()
                .filter(|&n| n > 0)
                .ok_or(AssembleError::Attribute("Number of Frames"))?,
        };
        if frames > self.limits.frames {
            return Err(AssembleError::TooManyFrames(self.limits.frames));
        }
        Ok(frames)
    }

    /// Pixel Data begins: how it is read.
    fn begin(&mut self, pixels: PixelElement) -> Result<State, AssembleError> {
        let dataset = self.head.get(self.meta_length..).unwrap_or_default();
        let frames = self.instances(self.scanner.found(), dataset)?;
        // PS3.5 §A.4: one or the other. An instance in a form that its transfer syntax does not have
        // would be no reader's to decode.
        if pixels.tag == tags::PIXEL_DATA
            && pixels.length.is_none() != is_encapsulated(&self.transfer.transfer_syntax)
        {
            return Err(AssembleError::Fragments(
                "the transfer syntax has the other form, native or encapsulated",
            ));
        }
        if frames == 1 {
            let announced = self.announced.map(|bytes| bytes.saturating_sub(pixels.value));
            return Ok(State::Whole(Whole::new(pixels, self.limits, announced)?));
        }
        let dataset = dataset.get(..pixels.start).unwrap_or_default();
        let source = super::decode(dataset, inflated_syntax(&self.transfer.transfer_syntax))?;
        let identity = identity(self.scanner.found(), dataset)?;
        let maker = |splitter: Splitter| Maker {
            splitter,
            study: identity.study.clone(),
            series: identity.series.clone(),
            transfer_syntax: kept_syntax(&self.transfer.transfer_syntax).into(),
            source_ae_title: self.transfer.source_ae_title.clone(),
            first_number: self.first_number,
        };
        match pixels.length {
            Some(length) => {
                let big_endian = Encoding::of(&self.transfer.transfer_syntax).big_endian;
                let layout = native::Layout::of(&source, frames, length, big_endian, pixels.vr)?;
                let maker = maker(Splitter::new(source)?);
                NativeFrames::new(maker, pixels, layout, frames, self.limits).map(State::Native)
            }
            None => {
                let table = encapsulated::extended_offsets(&source, frames);
                let maker = maker(Splitter::new(source)?);
                let frames = EncapsulatedFrames::new(maker, frames, table, self.limits);
                Ok(State::Encapsulated(frames))
            }
        }
    }

    /// An object that is not split: as it came, or in Explicit VR LE.
    fn whole(&mut self, whole: Whole) -> Result<Instance, AssembleError> {
        let mut head = std::mem::take(&mut self.head);
        let dataset = head.get(self.meta_length..).unwrap_or_default();
        let found = self.scanner.found();
        let identity = identity(found, dataset)?;
        let number = found.text(Key::InstanceNumber, dataset).and_then(|text| text.parse().ok());
        let syntax = self.transfer.transfer_syntax.clone();
        let kept: Uid = kept_syntax(&syntax).into();
        let pixel_element = whole.element();
        let mut dataset_end = self.meta_length + pixel_element.map_or(dataset.len(), |pixels| pixels.start);
        let mut dataset_start = self.meta_length;
        let encoding = Encoding::of(&syntax);
        let rewrite = !encoding.explicit || encoding.big_endian;
        let (form, pixels, tail) = whole.into_parts(encoding, rewrite)?;
        if rewrite {
            let bytes = head.split_off(self.meta_length);
            let bytes = bytes.get(..dataset_end - self.meta_length).unwrap_or_default();
            let mut dataset = super::decode(bytes, &syntax)?;
            encode::drop_group_lengths(&mut dataset);
            let value = match form {
                PixelForm::Native(tag, vr) => PixelValue::Native(tag, vr, pixels.len() as u32),
                PixelForm::Encapsulated => PixelValue::Encapsulated,
                PixelForm::Absent => PixelValue::None,
            };
            let written = encode::head(head, &dataset, value)?;
            (head, dataset_start, dataset_end) = (written.bytes, written.dataset_start, written.dataset_end);
        }
        Ok(Instance::new(Pieces {
            identity,
            number,
            transfer_syntax: kept,
            head: head.freeze(),
            dataset_start,
            dataset_end,
            form,
            pixels,
            tail,
        }))
    }
}

/// Where the bytes of the (inflated) data set go.
fn state_target<'a>(
    state: &'a mut State,
    head: &'a mut BytesMut,
    pending: &'a mut BytesMut,
    sink: &'a mut BytesMut,
) -> (&'a mut BytesMut, usize) {
    match state {
        State::Head => (head, HEAD_CHUNK),
        State::Whole(whole) => whole.target(),
        State::Native(frames) => frames.target(),
        State::Encapsulated(frames) => frames.target(),
        State::Found(_) => (pending, HEAD_CHUNK),
        State::Rest(_) | State::Done => (sink, HEAD_CHUNK),
    }
}

#[cfg(test)]
mod tests;
