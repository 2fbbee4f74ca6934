//! Block execution and Merkle-Patricia state.
//!
//! One executor serves both layers: an Ethereum L1 from Paris to Osaka and an OP chain from
//! Bedrock to Karst. Building a block and re-executing one run the same code:
//!
//! ```text
//!  Parent + BlockInput ──► BlockExecutor::new ──► transact* ──► finish ──► ExecutedBlock
//!        (attributes            pre-block           one per      post-block      header,
//!         or a block)          system calls       transaction   calls, roots   receipts, State
//! ```
//!
//! [`State`] is a persistent trie: a snapshot is a pointer, a change copies the touched path, and
//! nodes that are not in memory are fetched from a [`TrieSource`], by position or by hash. The same executor thus
//! runs on a node's own state and, statelessly, on a map of preimages.
//!
//! ```
//! use opal_evm::{ChainSpec, genesis};
//!
//! let json = r#"{"config":{"chainId":900,"shanghaiTime":0},"gasLimit":"0x1c9c380",
//!                "difficulty":"0x0","alloc":{"0x01":{"balance":"0x1"}}}"#;
//! # let json = json.replace("\"0x01\"", "\"0x0000000000000000000000000000000000000001\"");
//! let file: alloy_genesis::Genesis = serde_json::from_str(&json).unwrap();
//! let spec = ChainSpec::from_genesis(&file).unwrap();
//! let (block, state) = genesis(&spec, &file).unwrap();
//! assert_eq!(block.header().state_root, state.root());
//! ```
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod call;
pub mod error;
pub mod executor;
pub mod genesis;
mod handler;
pub mod header;
pub mod input;
pub mod inspect;
mod keccak;
pub mod l1_fee;
mod precompiles;
mod probe;
mod reads;
mod requests;
#[cfg(test)]
mod rules_tests;
pub mod spec;
pub mod state;
pub mod trie;
mod tx_env;
pub mod verify;
#[cfg(feature = "std")]
pub mod witness;

pub use call::{
    AccountOverride, CallBlock, CallError, CallRequest, OverriddenState, StateOverrides,
};
pub use error::{BlockError, TxError};
pub use executor::{
    BlockExecutor, BlockHashes, CREATE2_DEPLOYER_CODE, ExecutedBlock, Simulation, TxOutcome,
};
pub use genesis::{GenesisError, genesis};
pub use handler::OpalContext as EvmContext;
pub use header::{next_base_fee, next_excess_blob_gas};
pub use input::{BlockInput, InputError, Parent};
pub use inspect::{Inspected, StateBefore};
pub use l1_fee::{L1FeeInfo, L1FeeParams};
pub use precompiles::precompile_addresses;
pub use probe::{Stop, TRANSFER_LOG_ADDRESS};
pub use revm;
pub use revm::context::result::{ExecutionResult, HaltReason, InvalidTransaction, Output};
pub use spec::{ChainSpec, L1Rules, L2Rules, Rules, SpecError};
pub use state::{Account, AccountProof, State, StateError, StorageProof};
pub use trie::source::{NoSource, Place, Preimages, Record, TrieSink, TrieSource};
pub use tx_env::tx_env;
pub use verify::{HeaderField, execute_block, execute_block_ahead};
#[cfg(feature = "std")]
pub use witness::{ExecutionWitness, execution_witness};
