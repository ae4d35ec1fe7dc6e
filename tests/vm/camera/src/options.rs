//! What the camera is asked to be, on its command line.

/// How pixels travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Packed 4:2:2, two bytes a pixel.
    Yuyv,
    /// One baseline JPEG a frame, 4:2:2.
    Mjpeg,
}

/// Columns and rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) width: u16,
    pub(crate) height: u16,
}

/// The whole command line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// In the order of the descriptors; the first is the default one.
    pub(crate) sizes: Vec<Size>,
    /// In the order of the descriptors; the first is the default one.
    pub(crate) formats: Vec<Format>,
    /// Frames a second.
    pub(crate) fps: u32,
    /// Vendor and product (idVendor, idProduct).
    pub(crate) id: (u16, u16),
    /// iProduct, which becomes the name of the video node.
    pub(crate) name: String,
    /// iSerialNumber.
    pub(crate) serial: String,
    /// Where commands are read, instead of standard input: a named pipe.
    pub(crate) control: Option<String>,
}

/// How it is called.
pub(crate) const USAGE: &str = "usage: framegate-camera [--size WxH,…] [--fps N] [--format yuyv,mjpeg]
       [--id VVVV:PPPP] [--name TEXT] [--serial TEXT] [--control FIFO]
Commands, one a line: plug, unplug, stall, splash, frozen, resume, error N, truncate N, quit.";

impl Options {
    /// Reads the arguments, without the program's name.
    ///
    /// # Errors
    /// The argument that is not understood.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            sizes: ["1920x1080", "1280x720", "640x480"].into_iter().filter_map(size).collect(),
            formats: vec![Format::Yuyv, Format::Mjpeg],
            fps: 30,
            id: (0x1d6b, 0x0102),
            name: "Framegate Test Camera".to_owned(),
            serial: "SN0001".to_owned(),
            control: None,
        };
        while let Some(option) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{option}: there is no value"))?;
            let wrong = || format!("{option} {value}: not understood");
            match option.as_str() {
                "--size" => options.sizes = list(&value, size).ok_or_else(wrong)?,
                "--format" => options.formats = list(&value, format).ok_or_else(wrong)?,
                "--fps" => {
                    options.fps =
                        value.parse().ok().filter(|fps| (1..=240).contains(fps)).ok_or_else(wrong)?;
                }
                "--id" => options.id = id(&value).ok_or_else(wrong)?,
                // Lengths of descriptors are one byte, and characters are two.
                "--name" if value.len() < 64 => options.name = value,
                "--serial" if value.len() < 64 => options.serial = value,
                "--control" => options.control = Some(value),
                _ => return Err(wrong()),
            }
        }
        Ok(options)
    }
}

/// Every part of a comma-separated list; `None` if one is wrong or there are too many.
fn list<T>(value: &str, part: fn(&str) -> Option<T>) -> Option<Vec<T>> {
    let parts: Option<Vec<T>> = value.split(',').map(part).collect();
    parts.filter(|parts| parts.len() <= 16)
}

fn size(text: &str) -> Option<Size> {
    let (width, height) = text.split_once('x')?;
    let size = Size { width: width.parse().ok()?, height: height.parse().ok()? };
    // The number of the frame is 512 pixels wide; 4:2:2 has whole blocks of 16 by 8.
    let fits = (512..=4096).contains(&size.width) && (16..=4096).contains(&size.height);
    (fits && size.width.is_multiple_of(16) && size.height.is_multiple_of(8)).then_some(size)
}

fn format(text: &str) -> Option<Format> {
    match text {
        "yuyv" => Some(Format::Yuyv),
        "mjpeg" => Some(Format::Mjpeg),
        _ => None,
    }
}

fn id(text: &str) -> Option<(u16, u16)> {
    let (vendor, product) = text.split_once(':')?;
    Some((u16::from_str_radix(vendor, 16).ok()?, u16::from_str_radix(product, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn what_is_given_replaces_what_is_usual() {
        let options = parse("--size 640x480 --format mjpeg --fps 60 --id 0fd9:0066 --name Link").unwrap();
        assert_eq!(options.sizes, [Size { width: 640, height: 480 }]);
        assert_eq!(options.formats, [Format::Mjpeg]);
        assert_eq!((options.fps, options.id, options.name.as_str()), (60, (0x0fd9, 0x0066), "Link"));
        assert_eq!(options.serial, parse("").unwrap().serial);
    }

    #[test]
    fn what_cannot_be_is_named() {
        for line in ["--size 320x240", "--size 640x481", "--format h264", "--fps 0", "--id 1", "--speed 3"] {
            assert_eq!(parse(line), Err(format!("{line}: not understood")));
        }
        assert_eq!(parse("--fps"), Err("--fps: there is no value".to_owned()));
    }
}
