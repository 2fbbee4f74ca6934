#![allow(clippy::unwrap_used, clippy::expect_used)]

mod contracts;
mod service;
mod start;
mod world;
