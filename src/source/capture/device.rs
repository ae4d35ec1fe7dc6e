//! One opened V4L2 device: what it is, its inputs, and the requests that change it.
