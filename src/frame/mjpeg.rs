//! JPEG pictures of a capture device: what they are, and what they lack.
