//! The profiles and EDIDs that are part of the program. A test holds these lists to the folder `hw-profiles/`.

/// One file: its name, and what is in it.
pub(super) type Embedded = (&'static str, &'static str);

macro_rules! embedded {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../hw-profiles/", $name)))),*]
    };
}

pub(super) const PROFILES: &[Embedded] = embedded!["generic-v4l2.toml"];

pub(super) const EDIDS: &[Embedded] = embedded!["edid/1080p60.hex"];
