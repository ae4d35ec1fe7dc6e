//! The profiles and EDIDs that are part of the program. A test holds these lists to the folder `hw-profiles/`.

/// One file: its name, and what is in it.
pub(super) type Embedded = (&'static str, &'static str);

macro_rules! embedded {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../hw-profiles/", $name)))),*]
    };
}

pub(super) const PROFILES: &[Embedded] = embedded![
    "aja-ntv2.toml",
    "elgato-cam-link-4k.toml",
    "epiphan-avio.toml",
    "epiphan-dvi2usb.toml",
    "generic-uvc.toml",
    "generic-v4l2.toml",
    "generic-x86.toml",
    "inogeni.toml",
    "intel-nuc.toml",
    "jetson-orin.toml",
    "magewell-pro-capture.toml",
    "magewell-usb-capture.toml",
    "nxp-imx8mp-verdin.toml",
    "raspberry-pi-cm4.toml",
    "raspberry-pi-cm5.toml",
    "replay.toml",
    "tc358743.toml",
    "vivid.toml",
];

pub(super) const EDIDS: &[Embedded] = embedded!["edid/1080p60.hex"];
