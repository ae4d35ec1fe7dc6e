//! live series and their rings
