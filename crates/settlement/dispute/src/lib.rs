//! The settlement layer's services.
//!
//! - [`proposer`]: puts output roots of L2 on L1 as dispute games, resolves these games and claims
//!   their bonds.
//! - [`withdrawals`]: deposits and withdrawals, from the side of who makes them.

mod games;
mod l1;
pub mod proposer;
mod revert;
pub mod withdrawals;

pub use proposer::{Proposer, ProposerArgs, ProposerConfig, ProposerError, ProposerStats};
