//! Content negotiation: which representation of a resource a response carries.
//!
//! A user agent says what it can read in `Accept` header fields or, where it cannot set headers (a
//! hyperlink), in the `accept` query parameter (PS3.18 §8.7.5–8.7.8). [`Accept`] reads both, strictly
//! and bounded. One function per kind of resource then lists the representations that are acceptable,
//! best first, and the handler takes the first that it can make:
//!
//! | resource | function | default |
//! |---|---|---|
//! | study, series, instance | [`instances`] | `multipart/related; type="application/dicom"` |
//! | `…/metadata` and search results | [`datasets`] | `application/dicom+json` |
//! | `…/frames/…` and bulkdata | [`bulk_data`] | `multipart/related; type="application/octet-stream"` |
//! | `…/rendered` | [`rendered`] | `image/jpeg` |
//! | the service itself (`OPTIONS`) | [`capabilities`] | `application/vnd.sun.wadl+xml` |
//!
//! A transfer syntax is negotiated together with the media type, so the first and the third list
//! hold [`Alternative`]s: media, transfer syntax wished for, weight. Alternatives of one weight are
//! equally welcome; among them a handler may prefer the one that needs no transcoding.
//!
//! Nothing here does I/O, and no error repeats what a request said.

mod accept;
mod bulk_data;
mod datasets;
mod error;
mod instances;
mod range;
mod render_parameters;
mod rendered;
mod select;
mod transfer_syntax;

pub use accept::{Accept, MAX_ACCEPT_BYTES, MAX_MEDIA_RANGES};
pub use bulk_data::{BulkDataMedia, BulkDataType, Packaging, bulk_data};
pub use datasets::{CapabilitiesMedia, DatasetMedia, capabilities, datasets};
pub use error::MediaError;
pub use instances::{InstanceMedia, instances};
pub use range::Weight;
pub use render_parameters::{
    MAX_VIEWPORT, RenderParameterError, RenderParameters, SourceRegion, Viewport, VoiLutFunction, Window,
};
pub use rendered::{ImageFormat, RenderedForm, RenderedMedia, rendered};
pub use select::{Alternative, Extent};
pub use transfer_syntax::TransferSyntaxWish;
