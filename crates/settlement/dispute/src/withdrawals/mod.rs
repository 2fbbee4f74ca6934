//! Deposits and withdrawals, from the side of who makes them.
//!
//! ```text
//!  transfers ── the call that begins ──► L2 ── log ──► message (hash, slot)
//!                                                          │
//!  games ── which count ──┐                                ▼
//!  status ── what is next ┴─◄── bridge ──► l1, l2 ── eth_getProof ──► proof (checked before sending)
//!                               │ report
//!                               ▼
//!                     follow ── waits, steps ──► send ── tried, sent, reverts named (reverts)
//! ```
//! `message`, `proof`, `games`, `status`, `transfers` and `reverts` do no I/O.

mod bridge;
mod error;
mod follow;
mod games;
mod l1;
mod l2;
mod message;
mod proof;
mod report;
mod reverts;
mod send;
mod status;
mod transfers;

pub use bridge::{Deposit, Located, Message, WithdrawalBridge};
pub use error::{BridgeError, Layer};
pub use follow::{Goal, Patience, Reach, Step, deposited, follow, next_status, refusal, step};
pub use games::{Game, GameStatus, NotUsable, Objection, Standing, worth_trying};
pub use l1::{Contracts, Head, L1};
pub use l2::{L2, L2Receipt};
pub use message::{Cargo, LogError, Withdrawal};
pub use proof::{L2State, ProofError, WithdrawalProof, check, output_of};
pub use report::{Action, Next, Rejected, Report, duration};
pub use send::{Sender, decimals, remote_token};
pub use status::{Assessment, Clock, Clocks, Delays, Facts, Proof, Status};
pub use transfers::{
    Asset, Bridges, Call, ForceError, Transfer, approval, deposit, forced, withdrawal,
};

/// Log target of the bridge.
const TARGET: &str = "opal::dispute::bridge";
