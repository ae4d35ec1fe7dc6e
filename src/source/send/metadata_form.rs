//! The other form of a body: metadata in the first part, then bulk data, each part under the name
//! that the metadata gave it (PS3.18 §10.5.1.3, §8.6).
//!
//! Pixels that come when everything ahead of them is here, with their length in the part's head,
//! go straight on, frame by frame. Others are held until they can; what is held is bounded.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};

use super::described::{Described, Encoded, Recipe};
use super::failure::Failure;
use super::media::PartType;
use super::object::{Object, Outlet};
use crate::config::settings::SendSettings;
use crate::instance::EXPLICIT_VR_LITTLE_ENDIAN;
use crate::instance::json::read::{self, ReadLimits};

/// Media type of the first part.
pub(super) const METADATA: &str = "application/dicom+json";

/// Most data sets of one request.
const MOST_DATA_SETS: usize = 10_000;

/// The part of this form that is arriving.
#[derive(Debug)]
enum Part {
    Metadata(BytesMut),
    /// Bulk data for the data set of this index, to be held.
    Held {
        index: usize,
        uri: String,
        pixels: Option<Encoded>,
        bytes: BytesMut,
    },
    /// Pixels on their way on, and what stands behind them.
    Pixels {
        index: usize,
        object: Box<Object>,
        behind: Vec<u8>,
    },
}

/// The metadata of a request and what has come of its bulk data.
#[derive(Debug, Default)]
pub(super) struct Form {
    has_metadata: bool,
    described: Vec<Described>,
    /// The data set that waits for a URI.
    wanted: HashMap<String, usize>,
    held_pixels: usize,
    held_others: usize,
    part: Option<Part>,
}

impl Form {
    /// A part begins.
    pub(super) async fn begin(
        &mut self,
        location: Option<&str>,
        part_type: &PartType,
        length: Option<usize>,
        outlet: &mut Outlet,
    ) -> Result<(), Failure> {
        if !self.has_metadata {
            if part_type.essence != METADATA {
                return Err(Failure::MediaType);
            }
            self.has_metadata = true;
            self.part = Some(Part::Metadata(BytesMut::new()));
            return Ok(());
        }
        let uri = location.unwrap_or_default();
        let (uri, index) = self.wanted.remove_entry(uri).ok_or(Failure::UnknownPart)?;
        let Some(described) = self.described.get(index).filter(|described| !described.is_done) else {
            return Ok(());
        };
        let is_pixels = described.pixels.as_ref().is_some_and(|pixels| pixels.uri == uri);
        let pixels = if is_pixels {
            let encoded = part_type.of_pixels().and_then(Encoded::of);
            match encoded {
                Some(encoded) => Some(encoded),
                None => {
                    self.refuse(index, Failure::TransferSyntax, outlet);
                    return Ok(());
                }
            }
        } else {
            None
        };
        self.part = match (&pixels, length.and_then(|length| u32::try_from(length).ok())) {
            (Some(encoded), Some(length)) if described.has_head() => {
                let begun = open(described, Some((encoded, length)), outlet).await;
                match begun {
                    Ok((object, behind)) => Some(Part::Pixels { index, object: Box::new(object), behind }),
                    Err(failure) => {
                        self.refuse(index, failure, outlet);
                        None
                    }
                }
            }
            _ => Some(Part::Held { index, uri, pixels, bytes: BytesMut::new() }),
        };
        Ok(())
    }

    /// Bytes of the part.
    pub(super) async fn feed(&mut self, data: &[u8], outlet: &mut Outlet) -> Result<(), Failure> {
        let (index, failure) = match &mut self.part {
            None => return Ok(()),
            Some(Part::Metadata(bytes)) => {
                let most = outlet.settings.head_bytes;
                if bytes.len() + data.len() > most {
                    self.part = None;
                    return Err(Failure::Metadata(most));
                }
                bytes.extend_from_slice(data);
                return Ok(());
            }
            Some(Part::Held { index, pixels, bytes, .. }) => {
                let (held, most) = match pixels {
                    Some(_) => (self.held_pixels, outlet.settings.frame_bytes),
                    None => (self.held_others, outlet.settings.head_bytes),
                };
                if held + bytes.len() + data.len() <= most {
                    bytes.extend_from_slice(data);
                    return Ok(());
                }
                (*index, Failure::Held(most))
            }
            Some(Part::Pixels { index, object, .. }) => match object.feed(data, outlet).await {
                Ok(()) => return Ok(()),
                Err(failure) => (*index, failure),
            },
        };
        self.part = None;
        self.refuse(index, failure, outlet);
        Ok(())
    }

    /// The part has ended.
    pub(super) async fn end(&mut self, outlet: &mut Outlet) -> Result<(), Failure> {
        match self.part.take() {
            None => Ok(()),
            Some(Part::Metadata(text)) => self.read(text.freeze(), outlet).await,
            Some(Part::Held { index, uri, pixels, bytes }) => {
                let Some(described) = self.described.get_mut(index) else { return Ok(()) };
                if let Some(encoded) = pixels {
                    self.held_pixels += bytes.len();
                    described.held = Some((encoded, bytes.freeze()));
                } else {
                    self.held_others += bytes.len();
                    described.others.insert(uri, Some(bytes.freeze()));
                }
                if described.is_complete() {
                    self.publish(index, outlet).await;
                }
                Ok(())
            }
            Some(Part::Pixels { index, mut object, behind }) => {
                let ended = match object.feed(&behind, outlet).await {
                    Ok(()) => object.end(outlet).await,
                    Err(failure) => Err(failure),
                };
                self.settle(index, ended, outlet);
                Ok(())
            }
        }
    }

    /// No part follows: what waits still, waits in vain.
    pub(super) fn finish(&mut self, outlet: &mut Outlet) {
        if let Some(Part::Metadata(_)) = self.part.take() {
            outlet.refuse(None, &Failure::CutOff);
        }
        for index in 0..self.described.len() {
            self.refuse(index, Failure::Incomplete, outlet);
        }
    }

    /// The metadata is here.
    async fn read(&mut self, text: Bytes, outlet: &mut Outlet) -> Result<(), Failure> {
        let limits = limits(&outlet.settings);
        let read = move || {
            let texts = read::data_sets(&text, MOST_DATA_SETS)?;
            Ok(texts.into_iter().map(|text| Described::new(text, limits)).collect::<Vec<_>>())
        };
        let all: Vec<Result<Described, Failure>> = elsewhere(read).await?;
        for described in all {
            match described {
                Ok(described) => self.described.push(described),
                Err(failure) => outlet.refuse(None, &failure),
            }
        }
        for index in 0..self.described.len() {
            let Some(described) = self.described.get(index) else { continue };
            let uris: Vec<String> = described.uris().cloned().collect();
            let mut twice = false;
            for uri in uris {
                // The data set that named it first keeps it.
                twice |= self.wanted.contains_key(&uri);
                self.wanted.entry(uri).or_insert(index);
            }
            if twice {
                self.refuse(index, Failure::SameUri, outlet);
            } else if self.described.get(index).is_some_and(Described::is_complete) {
                self.publish(index, outlet).await;
            }
        }
        Ok(())
    }

    /// Publishes a data set that is complete.
    async fn publish(&mut self, index: usize, outlet: &mut Outlet) {
        let Some(described) = self.described.get(index) else { return };
        let held = described.held.clone();
        let ended = publish(described, held, outlet).await;
        self.settle(index, ended, outlet);
    }

    fn settle(&mut self, index: usize, ended: Result<bool, Failure>, outlet: &mut Outlet) {
        match ended {
            Ok(split) => {
                if let Some(described) = self.described.get(index) {
                    outlet.take(described.of.clone(), split);
                }
                self.close(index);
            }
            Err(failure) => self.refuse(index, failure, outlet),
        }
    }

    fn refuse(&mut self, index: usize, failure: Failure, outlet: &mut Outlet) {
        if let Some(described) = self.described.get(index).filter(|described| !described.is_done) {
            outlet.refuse(Some(described.of.clone()), &failure);
        }
        self.close(index);
    }

    fn close(&mut self, index: usize) {
        if let Some(described) = self.described.get_mut(index) {
            let (pixels, others) = described.close();
            self.held_pixels = self.held_pixels.saturating_sub(pixels);
            self.held_others = self.held_others.saturating_sub(others);
        }
    }
}

fn limits(settings: &SendSettings) -> ReadLimits {
    ReadLimits { elements: settings.elements, nesting: settings.nesting }
}

/// Runs what takes its time where it keeps nobody waiting.
async fn elsewhere<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    // A panic in there is a fault of ours, but of this object alone.
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(Failure::Internal))
}

/// Begins the object of a data set whose pixels are that long, up to their first byte. Gives what
/// stands behind them, too.
async fn open(
    described: &Described,
    pixels: Option<(&Encoded, u32)>,
    outlet: &mut Outlet,
) -> Result<(Object, Vec<u8>), Failure> {
    let recipe = described.recipe(pixels, limits(&outlet.settings));
    begin(described, recipe, pixels, outlet).await
}

async fn begin(
    described: &Described,
    recipe: Recipe,
    pixels: Option<(&Encoded, u32)>,
    outlet: &mut Outlet,
) -> Result<(Object, Vec<u8>), Failure> {
    let head = elsewhere(move || recipe.write()).await?;
    let transfer_syntax = pixels
        .map_or_else(|| EXPLICIT_VR_LITTLE_ENDIAN.into(), |(encoded, _)| encoded.transfer_syntax.clone());
    let length = pixels.map_or(0, |(_, length)| length as usize);
    let most = head.bytes.len() + length + 32;
    let mut object = Object::begin(&described.of, transfer_syntax, None, Some(most), &outlet.settings)?;
    let (before, behind) = pixels.map(|(encoded, length)| encoded.around(length)).unwrap_or_default();
    object.feed(&head.bytes, outlet).await?;
    object.feed(&before, outlet).await?;
    if let Some(inline) = head.inline {
        object.feed(&inline, outlet).await?;
        if !inline.len().is_multiple_of(2) {
            object.feed(&[0], outlet).await?;
        }
    }
    Ok((object, behind))
}

async fn publish(
    described: &Described,
    held: Option<(Encoded, Bytes)>,
    outlet: &mut Outlet,
) -> Result<bool, Failure> {
    let Some((encoded, pixels)) = held else {
        let (object, _) = open(described, None, outlet).await?;
        return object.end(outlet).await;
    };
    let length = u32::try_from(pixels.len()).map_err(|_| Failure::Held(outlet.settings.frame_bytes))?;
    let (mut object, behind) = open(described, Some((&encoded, length)), outlet).await?;
    object.feed(&pixels, outlet).await?;
    object.feed(&behind, outlet).await?;
    object.end(outlet).await
}
