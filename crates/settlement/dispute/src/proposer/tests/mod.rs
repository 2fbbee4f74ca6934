#![allow(clippy::unwrap_used, clippy::expect_used)]

mod service;
mod start;
mod world;
