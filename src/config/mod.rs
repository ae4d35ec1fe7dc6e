//! Configuration: layers of TOML become one validated [`Settings`], and every value remembers
//! where it came from.
//!
//! ```text
//! built-in ← FILE ← framegate.d/*.toml, by file name ← FRAMEGATE_<SECTION>__<KEY>
//! ```
//!
//! A later layer replaces single keys of an earlier one; a list is replaced whole. Sections such as
//! `[destination.NAME]`, of which there may be many, come from files only. A value passes
//! three gates. Each layer is first held, key by key, against the table of keys (`keys`): unknown
//! keys, wrong types and values out of range are reported with file, line and column, all of them
//! at once, and nothing is coerced. Then the layers, typed as `fragment::Fragment`s, are merged.
//! Last, what only shows when keys are seen together is checked while the merged fragment becomes
//! [`Settings`] (`validate`). The annotated [`EXAMPLE`] documents every key for the reader.

mod built_in;
mod environment;
mod file;
mod fragment;
mod keys;
mod kind;
mod layer;
mod load;
mod origin;
mod print;
pub mod profile;
mod reload;
pub mod settings;
mod text;
mod validate;

pub use environment::{check_text, process_environment};
pub use load::{EffectiveValue, Loaded, load, load_with};
pub use origin::{ConfigErrors, Origin, Problem};
pub use print::print;
pub use reload::{Changes, changes, merge_reloadable};
pub use settings::Settings;

/// The annotated example file: every key with its default, commented out. Prose lines begin with
/// `# `, keys with `#` alone.
pub const EXAMPLE: &str = include_str!("framegate.toml");
