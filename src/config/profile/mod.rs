//! Hardware profiles: what is known of a box or a capture device, so that nobody has to find it out on site.
