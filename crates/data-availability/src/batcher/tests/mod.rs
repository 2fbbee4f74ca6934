//! Tests of the batcher: its rules without a runtime, and the whole service against in-process
//! endpoints.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod round_trip;
mod rules;
mod service;
mod support;
