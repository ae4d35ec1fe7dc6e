//! Configuration: layers of TOML become one validated [`Settings`], and every value remembers
//! where it came from.
pub mod settings;
pub use settings::Settings;
