//! What the keys of `[capture.NAME]` take.

use super::super::kind::Kind;
use super::super::text;
use super::words;

pub(super) const DEVICE: Kind =
    words("\"auto\", a path below /dev, \"usb:VVVV:PPPP\", \"bus:BUS_INFO\" or \"card:NAME\"", text::device);
pub(super) const PROFILE: Kind = words("name of a hardware profile, or \"auto\"", text::name);
pub(super) const INPUT: Kind =
    words("name or number of an input, or \"\" for the usual one", text::driver_name);
pub(super) const SOP_CLASS: Kind =
    Kind::OneText(&["secondary-capture", "vl-photographic", "vl-endoscopic", "ultrasound"]);
pub(super) const MODALITY: Kind =
    words("1 to 16 capital letters, digits, spaces or _ (CS), for instance \"XA\"", text::code);
pub(super) const PIXELS: Kind = Kind::OneText(&["grey", "color"]);
pub(super) const COMPRESSION: Kind = Kind::OneText(&["none", "rle", "jpeg-ls", "jpeg", "as-captured"]);
pub(super) const MATRIX: Kind = Kind::OneText(&["auto", "bt601", "bt709"]);
pub(super) const RANGE: Kind = Kind::OneText(&["auto", "limited", "full"]);
pub(super) const DEINTERLACE: Kind = Kind::OneText(&["weave", "bob"]);
pub(super) const CROP: Kind = words(
    "\"X,Y,WIDTH,HEIGHT\" in pixels, for instance \"320,0,1280,1080\", up to 16384; \"\" for the whole picture",
    |text| text::rectangle_or_none(text).map(drop),
);
pub(super) const MASKS: Kind = Kind::List {
    form: "list of up to 32 \"X,Y,WIDTH,HEIGHT\" in pixels, for instance [\"0,0,640,48\"], up to 16384",
    check: |text| text::rectangle(text).map(drop),
};
pub(super) const RATE: Kind = Kind::Number { min: 0.0, max: 1000.0, unit: "frames per second" };
pub(super) const SERIES: Kind = Kind::OneText(&["continuous", "signal", "operator", "activity"]);
pub(super) const THRESHOLD: Kind = Kind::Number { min: 0.0, max: 1.0, unit: "of the picture" };
pub(super) const BODY_PART: Kind =
    words("up to 16 capital letters, digits, spaces or _ (CS), or \"\" for unknown", text::code_or_none);
pub(super) const LONG: Kind =
    words("up to 64 characters, no backslash (LO), or \"\" for none", text::long_string);
pub(super) const SHORT: Kind =
    words("up to 16 characters, no backslash (SH), or \"\" for none", text::short_string);
pub(super) const SPACING: Kind = words(
    "\"ROW,COLUMN\" in mm, for instance \"0.2,0.2\", each 0.0001 to 1000, or \"\" for unknown",
    |text| text::spacing_or_none(text).map(drop),
);
