//! DICOM as bytes: command sets and data sets that need not be right.

use std::collections::BTreeMap;

pub const VERIFICATION: &str = "1.2.840.10008.1.1";
pub const XA: &str = "1.2.840.10008.5.1.4.1.1.12.1";
pub const IMPLICIT: &str = "1.2.840.10008.1.2";
pub const EXPLICIT: &str = "1.2.840.10008.1.2.1";
pub const BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";
pub const DEFLATED: &str = "1.2.840.10008.1.2.1.99";
pub const JPEG: &str = "1.2.840.10008.1.2.4.50";
pub const JPEG_2000: &str = "1.2.840.10008.1.2.4.90";
pub const RLE: &str = "1.2.840.10008.1.2.5";
pub const MPEG_4: &str = "1.2.840.10008.1.2.4.102";

pub const STUDY: &str = "1.2.826.0.1.3680043.10.99.1";
/// The last four digits of these two are a case's number: see [`numbered`].
pub const SERIES: &str = "1.2.826.0.1.3680043.10.99.2000";
pub const INSTANCE: &str = "1.2.826.0.1.3680043.10.99.3000";

pub const UNDEFINED: u32 = u32::MAX;
pub const ITEM: (u16, u16) = (0xFFFE, 0xE000);
pub const ITEM_END: (u16, u16) = (0xFFFE, 0xE00D);
pub const SEQUENCE_END: (u16, u16) = (0xFFFE, 0xE0DD);
pub const REFERENCED_IMAGES: (u16, u16) = (0x0008, 0x1140);
pub const PIXEL_DATA: (u16, u16) = (0x7FE0, 0x0010);

/// A text value, padded to even length as its VR is.
pub fn text(value: &str, padding: u8) -> Vec<u8> {
    let mut bytes = value.as_bytes().to_vec();
    if bytes.len() % 2 == 1 {
        bytes.push(padding);
    }
    bytes
}

/// An element header of Implicit VR Little Endian, or an item's of any encoding.
pub fn bare(tag: (u16, u16), length: u32) -> Vec<u8> {
    [&tag.0.to_le_bytes()[..], &tag.1.to_le_bytes(), &length.to_le_bytes()].concat()
}

/// An element of Implicit VR Little Endian.
pub fn implicit(tag: (u16, u16), value: &[u8]) -> Vec<u8> {
    [&bare(tag, value.len() as u32), value].concat()
}

/// The header of an element of Explicit VR Little Endian with a 32-bit length.
pub fn long(tag: (u16, u16), vr: &str, length: u32) -> Vec<u8> {
    [&tag.0.to_le_bytes()[..], &tag.1.to_le_bytes(), vr.as_bytes(), &[0, 0], &length.to_le_bytes()].concat()
}

/// An element of Explicit VR Little Endian.
pub fn explicit(tag: (u16, u16), vr: &str, value: &[u8]) -> Vec<u8> {
    if matches!(vr, "OB" | "OW" | "OF" | "OD" | "OL" | "OV" | "SQ" | "UN" | "UT" | "UC" | "UR" | "UV" | "SV")
    {
        return [&long(tag, vr, value.len() as u32), value].concat();
    }
    let length = (value.len() as u16).to_le_bytes();
    [&tag.0.to_le_bytes()[..], &tag.1.to_le_bytes(), vr.as_bytes(), &length, value].concat()
}

/// The UID, or the UIDs in these bytes, of the series and instance of a case: what one leaves in the
/// ring shall not make a duplicate of the next.
pub fn numbered(bytes: &[u8], number: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (uid, base) in [(SERIES, 2000), (INSTANCE, 3000)] {
        let digits = (base + number).to_string();
        let places: Vec<usize> = bytes
            .windows(uid.len())
            .enumerate()
            .filter(|(_, at)| *at == uid.as_bytes())
            .map(|(at, _)| at)
            .collect();
        for at in places {
            bytes[at + uid.len() - 4..at + uid.len()].copy_from_slice(digits.as_bytes());
        }
    }
    bytes
}

/// A command set, written element by element so that each can be wrong.
#[derive(Clone)]
pub struct CommandSet {
    elements: BTreeMap<(u16, u16), Vec<u8>>,
    /// What Command Group Length says beyond the truth.
    pub lie: i64,
}

impl CommandSet {
    pub fn new(field: u16, data_set_type: u16) -> Self {
        let mut set = Self { elements: BTreeMap::new(), lie: 0 };
        set.us(0x0100, field).us(0x0110, 7).us(0x0800, data_set_type);
        set
    }

    /// C-ECHO-RQ.
    pub fn echo() -> Self {
        let mut set = Self::new(0x0030, 0x0101);
        set.ui(0x0002, VERIFICATION);
        set
    }

    /// C-STORE-RQ.
    pub fn store(class: &str, instance: &str) -> Self {
        let mut set = Self::new(0x0001, 0x0000);
        set.ui(0x0002, class).us(0x0700, 0).ui(0x1000, instance);
        set
    }

    pub fn us(&mut self, element: u16, value: u16) -> &mut Self {
        self.put(element, &value.to_le_bytes())
    }

    pub fn ui(&mut self, element: u16, value: &str) -> &mut Self {
        self.put(element, &text(value, 0))
    }

    pub fn put(&mut self, element: u16, value: &[u8]) -> &mut Self {
        self.elements.insert((0, element), value.to_vec());
        self
    }

    pub fn without(&mut self, element: u16) -> &mut Self {
        self.elements.remove(&(0, element));
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let body: Vec<u8> = self.elements.iter().flat_map(|(tag, value)| implicit(*tag, value)).collect();
        let length = (body.len() as i64 + self.lie) as u32;
        [implicit((0, 0), &length.to_le_bytes()), body].concat()
    }
}

/// A data set in Explicit VR Little Endian: an X-ray angiogram of 8 × 8 pixels of 8 bits.
#[derive(Clone)]
pub struct Object {
    elements: BTreeMap<(u16, u16), Vec<u8>>,
    /// Pixel Data, header included, and what follows.
    pub pixels: Vec<u8>,
}

impl Object {
    pub fn new() -> Self {
        let mut object = Self { elements: BTreeMap::new(), pixels: Vec::new() };
        object
            .ui((0x0008, 0x0016), XA)
            .ui((0x0008, 0x0018), INSTANCE)
            .set((0x0008, 0x0060), "CS", b"XA")
            .set((0x0010, 0x0010), "PN", b"Hostile^Peer")
            .ui((0x0020, 0x000D), STUDY)
            .ui((0x0020, 0x000E), SERIES)
            .set((0x0020, 0x0013), "IS", b"1 ")
            .us((0x0028, 0x0002), 1)
            .set((0x0028, 0x0004), "CS", b"MONOCHROME2 ")
            .us((0x0028, 0x0010), 8)
            .us((0x0028, 0x0011), 8)
            .us((0x0028, 0x0100), 8)
            .us((0x0028, 0x0101), 8)
            .us((0x0028, 0x0102), 7)
            .us((0x0028, 0x0103), 0)
            .native(64);
        object
    }

    /// With Number of Frames.
    pub fn frames(count: &str) -> Self {
        let mut object = Self::new();
        object.set((0x0018, 0x1063), "DS", b"66").set((0x0028, 0x0008), "IS", &text(count, b' '));
        object
    }

    pub fn set(&mut self, tag: (u16, u16), vr: &str, value: &[u8]) -> &mut Self {
        self.raw(tag, explicit(tag, vr, value))
    }

    pub fn us(&mut self, tag: (u16, u16), value: u16) -> &mut Self {
        self.set(tag, "US", &value.to_le_bytes())
    }

    pub fn ui(&mut self, tag: (u16, u16), value: &str) -> &mut Self {
        self.set(tag, "UI", &text(value, 0))
    }

    /// Any bytes in the place of an element.
    pub fn raw(&mut self, tag: (u16, u16), bytes: Vec<u8>) -> &mut Self {
        self.elements.insert(tag, bytes);
        self
    }

    pub fn without(&mut self, tag: (u16, u16)) -> &mut Self {
        self.elements.remove(&tag);
        self
    }

    /// Native Pixel Data of so many bytes.
    pub fn native(&mut self, length: usize) -> &mut Self {
        self.pixels = explicit(PIXEL_DATA, "OB", &vec![0x55; length]);
        self
    }

    /// Encapsulated Pixel Data of these items, the offset table being the first, and its delimiter.
    pub fn items(&mut self, items: &[&[u8]]) -> &mut Self {
        self.pixels = long(PIXEL_DATA, "OB", UNDEFINED);
        for item in items {
            self.pixels.extend(implicit(ITEM, item));
        }
        self.pixels.extend(bare(SEQUENCE_END, 0));
        self
    }

    /// Everything before Pixel Data.
    pub fn head(&self) -> Vec<u8> {
        self.elements.values().flatten().copied().collect()
    }

    /// Where its elements end: cut there, it is a shorter data set, not a broken one.
    pub fn borders(&self) -> Vec<usize> {
        let ends = self.elements.values().scan(0, |at, element| {
            *at += element.len();
            Some(*at)
        });
        ends.collect()
    }

    pub fn bytes(&self) -> Vec<u8> {
        [self.head(), self.pixels.clone()].concat()
    }

    /// The same in Implicit VR Little Endian; only of elements that [`Object::set`] wrote.
    pub fn implicit(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (tag, element) in &self.elements {
            let long = matches!(&element[4..6], b"OB" | b"OW" | b"SQ" | b"UN" | b"UT");
            bytes.extend(implicit(*tag, &element[if long { 12 } else { 8 }..]));
        }
        bytes.extend(implicit(PIXEL_DATA, &self.pixels[12..]));
        bytes
    }
}
