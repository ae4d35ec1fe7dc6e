//! Ranking what a resource offers by what a request accepts (PS3.18 §8.7.8, RFC 9110 §12.5.1).

use std::cmp::Reverse;

use super::range::{MediaRange, Weight};
use super::{Accept, MediaError, TransferSyntaxWish};

/// How many images or instances a response holds, which decides whether it can be single part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// One: an instance, one frame, one bulkdata URI.
    One,
    /// Any number: a study, a series, a list of frames.
    Many,
}

/// One acceptable representation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternative<M> {
    /// The media type and packaging.
    pub media: M,
    /// The transfer syntax asked for with it.
    pub transfer_syntax: TransferSyntaxWish,
    /// How welcome it is. Comparable within one list as long as the request has no `accept` query
    /// parameter, whose alternatives stand before all others.
    pub weight: Weight,
}

/// A representation that a resource has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offer<M> {
    pub media: M,
    /// `type/subtype` of the whole response.
    pub essence: &'static str,
    /// `type/subtype` of its parts when it is multipart.
    pub part_type: Option<&'static str>,
    /// What a range means that does not name the representation (`*/*`) and no transfer syntax.
    pub unnamed: &'static [TransferSyntaxWish],
}

/// How closely a range describes an offer; later is closer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Specificity {
    /// `*/*`
    Any,
    /// `type/*`
    Type,
    /// A multipart type that leaves the type of its parts open.
    OpenMultipart,
    /// All of it.
    Full,
}

/// The offers that `accept` admits, best first.
///
/// The order is: query parameter before header; then weight; then a range that names the
/// representation before a wildcard; then the order of the request; then that of `offers`.
/// `makes` says whether a representation exists in the transfer syntax wished for.
///
/// # Errors
/// [`MediaError::NotAcceptable`] with `served` when nothing is left.
pub(super) fn select<M: Copy + PartialEq>(
    accept: &Accept,
    offers: &[Offer<M>],
    makes: impl Fn(M, &TransferSyntaxWish) -> bool,
    served: &'static [&'static str],
) -> Result<Vec<Alternative<M>>, MediaError> {
    let mut chosen: Vec<Alternative<M>> = Vec::new();
    let ranked = [&accept.query, &accept.header].into_iter().flat_map(|ranges| rank(ranges, offers));
    for choice in ranked {
        let known =
            chosen.iter().any(|c| c.media == choice.media && c.transfer_syntax == choice.transfer_syntax);
        if !known && makes(choice.media, &choice.transfer_syntax) {
            chosen.push(choice);
        }
    }
    if chosen.is_empty() { Err(MediaError::NotAcceptable(served)) } else { Ok(chosen) }
}

/// The offers that one list admits, best first.
pub(super) fn rank<M: Copy>(ranges: &[MediaRange], offers: &[Offer<M>]) -> Vec<Alternative<M>> {
    let mut ranked = Vec::new();
    for offer in offers {
        let matching = || {
            let with_place = ranges.iter().enumerate();
            with_place.filter_map(|(place, range)| Some((place, range, specificity(range, offer)?)))
        };
        // The closest range overrules the others, so that a `q=0` can exclude from a wildcard. One that
        // names a transfer syntax speaks of that alone and overrules nothing.
        let of_all_syntaxes = |range: &MediaRange| range.transfer_syntax == TransferSyntaxWish::Absent;
        let closest = matching().filter(|(_, range, _)| of_all_syntaxes(range)).map(|(.., s)| s).max();
        for (place, range, specificity) in matching() {
            let overruled = of_all_syntaxes(range) && Some(specificity) != closest;
            if overruled || range.weight.thousandths() == 0 {
                continue;
            }
            let named = specificity == Specificity::Full || !of_all_syntaxes(range);
            let wishes = if named { std::slice::from_ref(&range.transfer_syntax) } else { offer.unnamed };
            for wish in wishes {
                let alternative =
                    Alternative { media: offer.media, transfer_syntax: wish.clone(), weight: range.weight };
                ranked.push((Reverse(range.weight), Reverse(specificity), place, alternative));
            }
        }
    }
    ranked.sort_by_key(|&(weight, specificity, place, _)| (weight, specificity, place));
    ranked.into_iter().map(|(.., alternative)| alternative).collect()
}

/// How closely `range` describes `offer`, or `None` where it does not.
fn specificity<M>(range: &MediaRange, offer: &Offer<M>) -> Option<Specificity> {
    if range.essence == "*/*" {
        return Some(Specificity::Any);
    }
    if let Some(kind) = range.essence.strip_suffix("/*") {
        let offered = offer.essence.split_once('/').map(|(kind, _)| kind);
        return (offered == Some(kind)).then_some(Specificity::Type);
    }
    if range.essence != offer.essence {
        return None;
    }
    match (range.part_type.as_deref(), offer.part_type) {
        (None, Some(_)) => Some(Specificity::OpenMultipart),
        (asked, offered) => (asked == offered).then_some(Specificity::Full),
    }
}
