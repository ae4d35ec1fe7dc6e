//! The head of an instance made from a frame of video.
