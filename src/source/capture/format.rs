//! Fourccs and the format that is agreed with a driver.
