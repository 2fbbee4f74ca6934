//! `opal bridge`.

mod amount;
mod args;
mod key;
mod output;
mod run;

pub(crate) use args::BridgeArgs;
pub(crate) use run::run;
