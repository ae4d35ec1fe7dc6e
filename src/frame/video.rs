//! What a capture device delivers, before it is DICOM pixels: the format of its bytes, how they lie in
//! memory, and which fields of a picture they hold. The names are those of V4L2 (kernel doc
//! `userspace-api/media/v4l/pixfmt.rst`); nothing here calls the kernel.

/// How the bytes of a picture are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum VideoFormat {
    /// `GREY`: 8-bit luma.
    Grey,
    /// `Y10 `: luma in the low 10 bits of little-endian 16-bit words.
    Y10,
    /// `Y12 `: luma in the low 12 bits of little-endian 16-bit words.
    Y12,
    /// `Y16 `: little-endian 16-bit luma.
    Y16,
    /// `YUYV`: packed 4:2:2, Y0 Cb Y1 Cr.
    Yuyv,
    /// `UYVY`: packed 4:2:2, Cb Y0 Cr Y1.
    Uyvy,
    /// `NV12` or `NM12`: luma plane, then Cb Cr pairs for every second column and row.
    Nv12,
    /// `NV16` or `NM16`: luma plane, then Cb Cr pairs for every second column.
    Nv16,
    /// `RGB3`: R, G, B in memory.
    Rgb24,
    /// `BGR3`: B, G, R in memory.
    Bgr24,
    /// `XR24`: B, G, R and a byte without meaning in memory (`V4L2_PIX_FMT_XBGR32`).
    Xbgr32,
    /// `BX24`: a byte without meaning, then R, G, B in memory (`V4L2_PIX_FMT_XRGB32`).
    Xrgb32,
    /// `MJPG`: one JPEG picture a frame, often without Huffman tables.
    Mjpeg,
}

/// The equations that colour differences were made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matrix {
    /// ITU-R BT.601: standard definition, and JPEG.
    Bt601,
    /// ITU-R BT.709: high definition.
    Bt709,
}

/// What of the code values is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// 16 to 235 (luma) and 16 to 240 (colour difference) of 8 bits.
    Limited,
    /// All code values.
    Full,
}

/// Which lines of the picture a buffer holds (`v4l2_field`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fields {
    /// A progressive picture.
    Progressive,
    /// Both fields, line by line as they lie on the screen; the flag says whether the top one is older.
    Interlaced {
        /// Whether the top field (lines 0, 2, …) was exposed first.
        top_first: bool,
    },
    /// Both fields one after the other in one buffer.
    Sequential {
        /// Whether the top field stands first and was exposed first.
        top_first: bool,
    },
    /// One field a buffer, in turn (`V4L2_FIELD_ALTERNATE`); each buffer says which.
    Alternate,
}

/// The field that one buffer of [`Fields::Alternate`] holds; of all others, [`Field::Both`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The whole picture.
    Both,
    /// Lines 0, 2, ….
    Top,
    /// Lines 1, 3, ….
    Bottom,
}

/// The pictures of one negotiated capture format.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoDescription {
    /// Format of the bytes.
    pub format: VideoFormat,
    /// Columns (pixels).
    pub width: u32,
    /// Lines of the whole picture, both fields together (pixels).
    pub height: u32,
    /// Bytes from one line to the next, by plane. Formats whose planes lie in one buffer (NV12, NV16)
    /// have one entry, which holds for both; Mjpeg has none that means anything.
    pub strides: Vec<u32>,
    /// Bytes that a buffer of each plane must have (`sizeimage`).
    pub sizes: Vec<u32>,
    /// Colour equations, as the driver tells them or by the usual default for the size.
    pub matrix: Matrix,
    /// Code values, as the driver tells them or by the usual default of the format.
    pub range: Range,
    /// How the fields lie.
    pub fields: Fields,
    /// Nominal frames a second; `None` when nobody says.
    pub frame_rate: Option<f64>,
}
