//! Which V4L2 capture devices there are, from sysfs.
