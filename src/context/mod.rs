//! who and what is being imaged
