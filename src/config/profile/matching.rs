//! Which profile is that of a device or a box. A profile lists what it goes by; one entry that fits is
//! enough. Where several profiles fit, the most specific key wins: an exact id says more than a name with
//! wildcards, a name more than a driver, and that more than nothing. Of two entries of one key, the one that
//! spells more characters out wins, and at last a profile of the operator over a built-in one.

use std::fmt;

use serde::Deserialize;

use super::value;
use crate::config::origin::shortened;

/// Most characters of a pattern.
const PATTERN_CHARS: usize = 128;

/// What is known of a capture device. Plain data: who looks at the device fills it in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeviceFacts {
    /// Driver, as `VIDIOC_QUERYCAP` tells it.
    pub driver: String,
    /// Card, from there too.
    pub card: String,
    /// Where it is plugged in (`bus_info`), from there too.
    pub bus: String,
    /// Vendor and product of a USB device.
    pub usb: Option<(u16, u16)>,
    /// Vendor and device of a PCI function.
    pub pci: Option<(u16, u16)>,
}

/// What is known of the box that we run on. Empty where it does not tell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BoxFacts {
    /// DMI `sys_vendor`.
    pub vendor: String,
    /// DMI `product_name`.
    pub product: String,
    /// Device tree `compatible` of the root, most specific first.
    pub compatible: Vec<String>,
}

/// A key that profiles are matched by, least specific first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// Anything fits.
    Any,
    /// The driver's name.
    Driver,
    /// The place where it is plugged in.
    Bus,
    /// The card's name.
    Card,
    /// The PCI id.
    Pci,
    /// The USB id.
    Usb,
    /// Vendor and product in DMI.
    Dmi,
    /// Device tree.
    Compatible,
}

/// Why a profile is the one: which key, and what stands there. Displays as `usb 0fd9:0066`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// The key that fits.
    pub key: Key,
    /// The entry of the profile that fits; empty for [`Key::Any`].
    pub entry: String,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = match self.key {
            Key::Any => return f.write_str("nothing more specific fits"),
            Key::Driver => "driver",
            Key::Bus => "bus",
            Key::Card => "card",
            Key::Pci => "pci",
            Key::Usb => "usb",
            Key::Dmi => "dmi",
            Key::Compatible => "compatible",
        };
        write!(f, "{key} {}", self.entry)
    }
}

/// How well an entry fits; the greatest wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fit {
    /// Higher is more specific, within one key.
    pub(super) weight: usize,
    pub(super) why: Why,
}

impl Fit {
    fn new(key: Key, weight: usize, entry: impl fmt::Display) -> Self {
        Self { weight, why: Why { key, entry: entry.to_string() } }
    }

    /// What to compare.
    pub(super) fn rank(&self) -> (Key, usize) {
        (self.why.key, self.weight)
    }
}

/// A name in which `*` stands for any characters, also none. Case counts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Pattern(String);

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty() || text.len() > PATTERN_CHARS || !text.bytes().all(|b| (b' '..=b'~').contains(&b))
        {
            let text = shortened(&text);
            return Err(format!("{text:?} is no pattern; write 1 to {PATTERN_CHARS} ASCII characters"));
        }
        Ok(Self(text))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Pattern {
    /// Whether the whole text fits. Each piece between two `*` is taken where it first occurs, so the time
    /// is bounded by the product of the lengths.
    pub fn fits(&self, text: &str) -> bool {
        let mut pieces = self.0.split('*');
        let first = pieces.next().unwrap_or_default();
        let Some(mut rest) = text.strip_prefix(first) else { return false };
        let Some(last) = pieces.next_back() else { return rest.is_empty() };
        for piece in pieces {
            let Some(at) = rest.find(piece) else { return false };
            rest = rest.get(at + piece.len()..).unwrap_or_default();
        }
        rest.ends_with(last)
    }

    /// Characters that are spelt out.
    fn weight(&self) -> usize {
        self.0.bytes().filter(|&byte| byte != b'*').count()
    }
}

/// Vendor and product, `vvvv:pppp` in hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct DeviceId {
    /// Vendor.
    pub vendor: u16,
    /// Product, or device of a PCI function.
    pub product: u16,
}

impl TryFrom<String> for DeviceId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let number = |text: &str| {
            let bytes = if text.len() == 4 { value::hex(text)? } else { return None };
            <[u8; 2]>::try_from(bytes).ok().map(u16::from_be_bytes)
        };
        let ids = text.split_once(':').and_then(|(vendor, product)| number(vendor).zip(number(product)));
        let (vendor, product) = ids.ok_or_else(|| {
            let text = shortened(&text);
            format!("{text:?} is no id; write vendor and product as lsusb and lspci -nn do, \"0fd9:0066\"")
        })?;
        Ok(Self { vendor, product })
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:04x}", self.vendor, self.product)
    }
}

/// What capture devices a profile is for: one entry that fits is enough.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CaptureMatch {
    /// Drivers.
    #[serde(deserialize_with = "value::list")]
    pub driver: Vec<Pattern>,
    /// Cards.
    #[serde(deserialize_with = "value::list")]
    pub card: Vec<Pattern>,
    /// Places.
    #[serde(deserialize_with = "value::list")]
    pub bus: Vec<Pattern>,
    /// USB ids.
    #[serde(deserialize_with = "value::list")]
    pub usb: Vec<DeviceId>,
    /// PCI ids.
    #[serde(deserialize_with = "value::list")]
    pub pci: Vec<DeviceId>,
    /// Fits every device that nothing more specific fits.
    pub any: bool,
}

impl CaptureMatch {
    /// The best of the entries that fit.
    pub(super) fn fit(&self, facts: &DeviceFacts) -> Option<Fit> {
        let id = |key, ids: &[DeviceId], found: Option<(u16, u16)>| {
            let same = |id: &&DeviceId| Some((id.vendor, id.product)) == found;
            ids.iter().find(same).map(|id| Fit::new(key, 0, id))
        };
        id(Key::Usb, &self.usb, facts.usb)
            .or_else(|| id(Key::Pci, &self.pci, facts.pci))
            .or_else(|| heaviest(Key::Card, &self.card, &facts.card))
            .or_else(|| heaviest(Key::Bus, &self.bus, &facts.bus))
            .or_else(|| heaviest(Key::Driver, &self.driver, &facts.driver))
            .or_else(|| self.any.then(|| Fit::new(Key::Any, 0, "")))
    }
}

fn heaviest(key: Key, patterns: &[Pattern], text: &str) -> Option<Fit> {
    let fitting = patterns.iter().filter(|pattern| pattern.fits(text));
    fitting.max_by_key(|pattern| pattern.weight()).map(|pattern| Fit::new(key, pattern.weight(), pattern))
}

/// Vendor and product of a box, both of which must fit.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dmi {
    /// `sys_vendor`.
    pub vendor: Pattern,
    /// `product_name`.
    pub product: Pattern,
}

/// What boxes a profile is for: one entry that fits is enough.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BoxMatch {
    /// By DMI. A box that has none (most ARM boards) fits no entry here.
    #[serde(deserialize_with = "value::list")]
    pub dmi: Vec<Dmi>,
    /// By device tree.
    #[serde(deserialize_with = "value::list")]
    pub compatible: Vec<Pattern>,
}

impl BoxMatch {
    /// The best of the entries that fit. In a device tree an earlier `compatible` is more specific, whatever
    /// its length.
    pub(super) fn fit(&self, facts: &BoxFacts) -> Option<Fit> {
        let by_tree =
            facts.compatible.iter().zip((0..=value::ENTRIES).rev()).find_map(|(compatible, weight)| {
                let fit = heaviest(Key::Compatible, &self.compatible, compatible)?;
                Some(Fit { weight, ..fit })
            });
        by_tree.or_else(|| {
            if facts.vendor.is_empty() && facts.product.is_empty() {
                return None;
            }
            let fits = |dmi: &&Dmi| dmi.vendor.fits(&facts.vendor) && dmi.product.fits(&facts.product);
            let weight = |dmi: &Dmi| dmi.vendor.weight() + dmi.product.weight();
            let best = self.dmi.iter().filter(fits).max_by_key(|dmi| weight(dmi))?;
            Some(Fit::new(Key::Dmi, weight(best), format_args!("{} {}", best.vendor, best.product)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        for (text, fits) in [("vivid", true), ("vivid-1", false), ("", false)] {
            assert_eq!(pattern("vivid").fits(text), fits, "{text}");
        }
        for (rule, text, fits) in [
            ("*", "", true),
            ("AV.io*", "AV.io HD: AV.io HD", true),
            ("AV.io*", "Epiphan AV.io", false),
            ("*4K*", "Cam Link 4K: Cam Link 4K", true),
            ("a*b*c", "a--b--c", true),
            ("a*b*c", "a--c--b", false),
            // The first and the last piece must not share characters.
            ("ab*ba", "aba", false),
            ("*ab", "abab", true),
            ("a**b", "ab", true),
        ] {
            assert_eq!(pattern(rule).fits(text), fits, "{rule} {text}");
        }
    }

    #[test]
    fn a_pattern_with_many_stars_takes_bounded_time() {
        let rule = pattern(&"a*".repeat(PATTERN_CHARS / 2));
        assert!(!rule.fits(&format!("{}b", "ab".repeat(30))));
    }

    #[test]
    fn an_id_is_four_digits_twice() {
        let id = |text: &str| DeviceId::try_from(text.to_owned());
        assert_eq!(id("0fd9:0066"), Ok(DeviceId { vendor: 0x0fd9, product: 0x66 }));
        assert_eq!(id("0FD9:0066").unwrap().to_string(), "0fd9:0066");
        for wrong in ["fd9:0066", "0fd9", "0fd9:00666", "+fd9:0066", "0fd9:0066:0", "0fd9:", "ä9:0066"] {
            assert!(id(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_most_specific_key_of_a_profile_is_told() {
        let rules = CaptureMatch {
            driver: vec![pattern("uvcvideo")],
            card: vec![pattern("*Link*"), pattern("Cam Link 4K*")],
            usb: vec![DeviceId { vendor: 0x0fd9, product: 0x66 }],
            ..CaptureMatch::default()
        };
        let mut facts = DeviceFacts {
            driver: "uvcvideo".to_owned(),
            card: "Cam Link 4K: Cam Link 4K".to_owned(),
            usb: Some((0x0fd9, 0x66)),
            ..DeviceFacts::default()
        };
        let why = |facts: &DeviceFacts| rules.fit(facts).map(|fit| fit.why.to_string());
        assert_eq!(why(&facts).as_deref(), Some("usb 0fd9:0066"));
        facts.usb = Some((0x0fd9, 0x67));
        assert_eq!(why(&facts).as_deref(), Some("card Cam Link 4K*"));
        facts.card = "Something".to_owned();
        assert_eq!(why(&facts).as_deref(), Some("driver uvcvideo"));
        facts.driver = "other".to_owned();
        assert_eq!(why(&facts), None);
    }

    #[test]
    fn an_earlier_compatible_is_more_specific() {
        let facts = BoxFacts {
            compatible: vec!["maker,board".to_owned(), "soc,a-very-long-name".to_owned()],
            ..BoxFacts::default()
        };
        let rule = |text| BoxMatch { compatible: vec![pattern(text)], ..BoxMatch::default() };
        let board = rule("maker,board").fit(&facts).unwrap();
        let soc = rule("soc,a-very-long-name").fit(&facts).unwrap();
        assert!(board.rank() > soc.rank());
        let any_dmi = BoxMatch {
            dmi: vec![Dmi { vendor: pattern("*"), product: pattern("*") }],
            ..BoxMatch::default()
        };
        assert_eq!(any_dmi.fit(&facts), None);
    }
}
