//! `opal bridge`.

mod amount;
mod args;
mod output;
mod run;

pub(crate) use args::BridgeArgs;
pub(crate) use run::run;
