//! listeners, TLS and limits
