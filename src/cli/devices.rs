//! `framegate devices`: which capture devices are there, and what they say.
