//! Hostile peers against the running service: tables of inputs that break a rule or a bound, each
//! with the answer that the standard asks for, and after each the question whether the service
//! still answers everybody else. At the end of a table its memory and descriptors are what they
//! were.
//!
//! `service` runs the binary; `dicom` and `dimse` are a DICOM peer that says anything, `tls` and
//! `http2` an HTTP client that does. The other modules are the tables.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(missing_docs, unreachable_pub)]

mod commands;
mod data_sets;
mod dicom;
mod dimse;
mod frames;
mod http1;
mod http2;
mod pdus;
mod send;
mod service;
mod silence;
mod tls;
mod transport;
