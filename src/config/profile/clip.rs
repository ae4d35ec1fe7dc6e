//! A clip: a file of frames that is played as if a capture card delivered them, and the TOML file beside it
//! that says what they are.
//!
//! ```toml
//! file = "angio.raw"          # frame after frame, without anything between; relative to this file
//! format = "YUYV"
//! width = 1920
//! height = 1080
//! rate = 60.0
//! lose = [100, 101]           # frame numbers since the start, from 0
//! ```

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::capture::{any_matrix, any_range};
use super::load::{self, ProfileError};
use super::value;
use crate::config::settings::{MatrixChoice, RangeChoice};

/// Frames a second, from and to.
const RATES: (f64, f64) = (0.001, 1000.0);
/// Most JPEG pictures of a clip.
const MOST_PICTURES: usize = 4096;

/// What the frames of a clip are, and what is to go wrong with them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clip {
    /// The frames, one directly after the other; as loaded, an absolute path or one from where we run.
    #[serde(deserialize_with = "file")]
    pub file: PathBuf,
    /// V4L2 fourcc.
    #[serde(deserialize_with = "value::fourcc")]
    pub format: String,
    /// Columns (pixels).
    #[serde(deserialize_with = "value::whole::<1, 8192, _>")]
    pub width: u32,
    /// Lines of the whole picture, both fields together (pixels).
    #[serde(deserialize_with = "value::whole::<1, 8192, _>")]
    pub height: u32,
    /// Bytes from line to line of the first plane; `None` for those of a line.
    #[serde(default, deserialize_with = "stride")]
    pub stride: Option<u32>,
    /// How the fields lie.
    #[serde(default)]
    pub fields: ClipFields,
    /// Colour equations; `auto` for what is usual for the size.
    #[serde(default = "any_matrix", deserialize_with = "value::matrix")]
    pub matrix: MatrixChoice,
    /// Code values; `auto` for what is usual for the format.
    #[serde(default = "any_range", deserialize_with = "value::range")]
    pub range: RangeChoice,
    /// Whole pictures a second.
    #[serde(deserialize_with = "rate")]
    pub rate: f64,
    /// Bytes of each JPEG picture in the file, in their order: of `MJPG`, and of nothing else.
    #[serde(default, deserialize_with = "lengths")]
    pub lengths: Vec<u32>,
    /// Buffers that the card counts and does not deliver, by number since the start, from 0.
    #[serde(default, deserialize_with = "value::list")]
    pub lose: Vec<u64>,
    /// Buffers that it says are not to be trusted.
    #[serde(default, deserialize_with = "value::list")]
    pub corrupt: Vec<u64>,
    /// Buffers that hold half of what they should.
    #[serde(default, deserialize_with = "value::list")]
    pub truncate: Vec<u64>,
}

/// How the fields lie, by the names of `v4l2_field`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClipFields {
    /// There are none.
    #[default]
    Progressive,
    /// Line by line, in the order that is usual for the size.
    Interlaced,
    /// Line by line, the top field first.
    InterlacedTb,
    /// Line by line, the bottom field first.
    InterlacedBt,
    /// One after the other in one buffer, the top field first.
    SeqTb,
    /// One after the other in one buffer, the bottom field first.
    SeqBt,
    /// One a buffer, the top field first.
    Alternate,
}

impl Clip {
    /// Reads the TOML file.
    ///
    /// # Errors
    /// When it cannot be read, or anything in it is not as it should be.
    pub fn load(path: &Path) -> Result<Self, ProfileError> {
        let mut clip: Self = load::one(path)?;
        clip.file = path.parent().unwrap_or(Path::new("")).join(&clip.file);
        Ok(clip)
    }
}

fn file<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
    value::line(from).map(PathBuf::from)
}

fn stride<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    value::whole::<1, 65_536, D>(from).map(Some)
}

fn rate<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    let (least, most) = RATES;
    let rate = f64::deserialize(from)?;
    if (least..=most).contains(&rate) {
        Ok(rate)
    } else {
        Err(D::Error::custom(format!("{rate} is out of range; write {least} to {most} frames a second")))
    }
}

fn lengths<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u32>, D::Error> {
    let lengths: Vec<u32> = Vec::deserialize(from)?;
    if (1..=MOST_PICTURES).contains(&lengths.len()) && !lengths.contains(&0) {
        Ok(lengths)
    } else {
        let what = format!("write 1 to {MOST_PICTURES} lengths in bytes, none of them 0");
        Err(D::Error::custom(what))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const WHOLE: &str = "file = 'a.raw'\nformat = 'YUYV'\nwidth = 64\nheight = 48\nrate = 29.97\n";

    fn loaded(text: &str) -> Result<Clip, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip.toml");
        fs::write(&path, text).unwrap();
        let place = format!("{}/", folder.path().display());
        Clip::load(&path).map_err(|error| error.to_string().replace(&place, "")).map(|mut clip| {
            clip.file = clip.file.strip_prefix(folder.path()).unwrap().to_owned();
            clip
        })
    }

    #[test]
    fn a_clip_is_taken_as_it_is_written() {
        let all = "stride = 160\nfields = 'interlaced-bt'\nmatrix = 'bt601'\nrange = 'full'\nlose = [1, 2]\n\
                   corrupt = [7]\ntruncate = [99]\n";
        let clip = loaded(&format!("{WHOLE}{all}")).unwrap();
        let expected = Clip {
            file: "a.raw".into(),
            format: "YUYV".into(),
            width: 64,
            height: 48,
            stride: Some(160),
            fields: ClipFields::InterlacedBt,
            matrix: MatrixChoice::Bt601,
            range: RangeChoice::Full,
            rate: 29.97,
            lengths: Vec::new(),
            lose: vec![1, 2],
            corrupt: vec![7],
            truncate: vec![99],
        };
        assert_eq!(clip, expected);
        assert_eq!(loaded(WHOLE).unwrap().fields, ClipFields::Progressive);
    }

    #[test]
    fn a_fault_is_told_with_its_place_and_what_to_write() {
        for (from, to, told) in [
            ("rate = 29.97", "rate = 0.0", "clip.toml:5:8: 0 is out of range; write 0.001 to 1000"),
            ("width = 64", "width = 9000", "clip.toml:3:9: 9000 is out of range; write 1 to 8192"),
            ("'YUYV'", "'Y'", "clip.toml:2:10: \"Y\" is no fourcc"),
            ("file = 'a.raw'\n", "", "missing field `file`"),
            ("'a.raw'", "''", "clip.toml:1:8: is empty"),
            ("height", "hight", "clip.toml:4:1: unknown field `hight`"),
            ("rate", "lengths = []\nrate", "clip.toml:5:11: write 1 to 4096 lengths"),
            ("rate", "fields = 'both'\nrate", "clip.toml:5:10: unknown variant `both`"),
            ("rate", "lose = [-1]\nrate", "clip.toml:5:9: invalid value"),
            ("rate = 29.97", "rate = 'fast'", "clip.toml:5:8: invalid type"),
        ] {
            let error = loaded(&WHOLE.replacen(from, to, 1)).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
        let many: Vec<String> = (0..65).map(|number| number.to_string()).collect();
        let error = loaded(&format!("{WHOLE}lose = [{}]", many.join(", "))).unwrap_err();
        assert!(error.contains("write at most 64"), "{error}");
        let nowhere = Clip::load(Path::new("/nowhere/clip.toml")).unwrap_err().to_string();
        assert!(nowhere.starts_with("/nowhere/clip.toml: cannot be read"), "{nowhere}");
    }
}
