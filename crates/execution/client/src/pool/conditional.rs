//! Conditions under which a transaction may be included (`eth_sendRawTransactionConditional`).
//!
//! They are checked when the transaction is sent and again, outside the protocol, by the builder
//! of the block. Names, cost and texts are op-geth's.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, U64, U256};
use opal_evm::{State, StateError};
use serde::{Deserialize, Serialize};

use super::PoolError;

/// What must hold for a transaction to be included. Bounds are inclusive; what is absent is not
/// asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TransactionConditional {
    /// Storage of accounts.
    #[serde(default)]
    pub known_accounts: BTreeMap<Address, KnownAccount>,
    /// Lowest block number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_number_min: Option<U256>,
    /// Highest block number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_number_max: Option<U256>,
    /// Lowest block timestamp, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_min: Option<U64>,
    /// Highest block timestamp, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_max: Option<U64>,
}

/// What is known of one account: its whole storage by the root, or some of its slots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum KnownAccount {
    /// Root of its storage trie.
    StorageRoot(B256),
    /// Slots and their values.
    StorageSlots(BTreeMap<B256, B256>),
}

/// Why a condition does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unmet {
    /// A later block may meet it.
    Early(&'static str),
    /// No later block on this state will.
    Broken(String),
}

impl TransactionConditional {
    /// The highest [cost](Self::cost) that is taken.
    pub const MAX_COST: usize = 1_000;

    /// What checking it costs: one for each storage root, slot and pair of bounds.
    pub fn cost(&self) -> usize {
        let accounts = self.known_accounts.values().map(|account| match account {
            KnownAccount::StorageRoot(_) => 1,
            KnownAccount::StorageSlots(slots) => slots.len(),
        });
        let numbers = self.block_number_min.is_some() || self.block_number_max.is_some();
        let times = self.timestamp_min.is_some() || self.timestamp_max.is_some();
        accounts.sum::<usize>() + usize::from(numbers) + usize::from(times)
    }

    /// Refuses what costs too much or can never hold. Accounts of which nothing is asked, and
    /// which therefore cost nothing, are dropped, so that the cost bounds the memory.
    pub(super) fn admit(&mut self) -> Result<(), PoolError> {
        self.known_accounts.retain(
            |_, account| !matches!(account, KnownAccount::StorageSlots(slots) if slots.is_empty()),
        );
        let cost = self.cost();
        if cost > Self::MAX_COST {
            return Err(PoolError::ConditionCost { cost, max: Self::MAX_COST });
        }
        let contradiction = if above(self.block_number_min, self.block_number_max) {
            "block number minimum constraint must be less than the maximum"
        } else if above(self.timestamp_min, self.timestamp_max) {
            "timestamp minimum constraint must be less than the maximum"
        } else {
            return Ok(());
        };
        Err(PoolError::Condition(format!("failed conditional validation: {contradiction}")))
    }

    /// Checks the bounds against a block.
    pub(crate) fn check_block(&self, number: u64, timestamp: u64) -> Result<(), Unmet> {
        let (number, timestamp) = (Some(U256::from(number)), Some(U64::from(timestamp)));
        if above(self.block_number_min, number) {
            return Err(Unmet::Early("failed block number minimum constraint"));
        }
        if above(number, self.block_number_max) {
            return Err(Unmet::Broken("failed block number maximum constraint".into()));
        }
        if above(self.timestamp_min, timestamp) {
            return Err(Unmet::Early("failed timestamp minimum constraint"));
        }
        if above(timestamp, self.timestamp_max) {
            return Err(Unmet::Broken("failed timestamp maximum constraint".into()));
        }
        Ok(())
    }

    /// Checks the storage of accounts; `slot` gives values, `root` storage roots. The outer error
    /// is that of reading.
    pub(crate) fn check_storage<E>(
        &self,
        mut slot: impl FnMut(Address, U256) -> Result<U256, E>,
        mut root: impl FnMut(Address) -> Result<B256, E>,
    ) -> Result<Result<(), Unmet>, E> {
        for (address, account) in &self.known_accounts {
            match account {
                KnownAccount::StorageRoot(want) => {
                    let got = root(*address)?;
                    if got != *want {
                        return Ok(Err(Unmet::Broken(format!(
                            "failed account storage root constraint. Got {got}, Expected {want}"
                        ))));
                    }
                }
                KnownAccount::StorageSlots(slots) => {
                    for (key, want) in slots {
                        let got = B256::from(slot(*address, (*key).into())?);
                        if got != *want {
                            return Ok(Err(Unmet::Broken(format!(
                                "failed account storage slot key {key} constraint. Got {got}, \
                                 Expected {want}"
                            ))));
                        }
                    }
                }
            }
        }
        Ok(Ok(()))
    }

    /// Checks the storage of accounts against a whole state.
    pub(super) fn check_state(&self, state: &State) -> Result<Result<(), Unmet>, StateError> {
        self.check_storage(
            |address, slot| state.storage(&address, slot),
            |address| state.storage_root(&address),
        )
    }

    /// Bytes of memory, an upper estimate.
    pub(super) fn memory(&self) -> usize {
        256 * (1 + self.cost())
    }
}

impl Unmet {
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Early(text) => text,
            Self::Broken(text) => text,
        }
    }
}

/// Whether both bounds are there and `low` is above `high`.
fn above<T: PartialOrd>(low: Option<T>, high: Option<T>) -> bool {
    matches!((low, high), (Some(low), Some(high)) if low > high)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(json: &str) -> TransactionConditional {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn conditions_cost_what_must_be_looked_up() {
        let root = B256::repeat_byte(1);
        let json = format!(
            r#"{{"knownAccounts": {{
                "0x0000000000000000000000000000000000000001": "{root}",
                "0x0000000000000000000000000000000000000002": {{"{root}": "{root}"}},
                "0x0000000000000000000000000000000000000003": {{}}
            }}, "blockNumberMin": "0x1", "blockNumberMax": "0x2", "timestampMax": "0x10"}}"#
        );
        let mut condition = parse(&json);
        assert_eq!(condition.cost(), 4);
        condition.admit().unwrap();
        assert_eq!(condition.known_accounts.len(), 2);
        let again: TransactionConditional =
            serde_json::from_value(serde_json::to_value(&condition).unwrap()).unwrap();
        assert_eq!(again, condition);
        assert_eq!(parse("{}").cost(), 0);

        let slots = (0..=1_000u64).map(|n| (B256::from(U256::from(n)), root)).collect();
        condition.known_accounts.insert(Address::ZERO, KnownAccount::StorageSlots(slots));
        let error = condition.admit().unwrap_err();
        assert_eq!(error.to_string(), "conditional cost, 1005, exceeded max: 1000");
        let error = parse(r#"{"timestampMin": "0x2", "timestampMax": "0x1"}"#).admit().unwrap_err();
        assert_eq!(
            error.to_string(),
            "failed conditional validation: timestamp minimum constraint must be less than the \
             maximum"
        );
    }

    #[test]
    fn bounds_are_inclusive() {
        let condition = parse(
            r#"{"blockNumberMin": "0x2", "blockNumberMax": "0x4", "timestampMin": "0xa",
                "timestampMax": "0xc"}"#,
        );
        for (number, time) in [(2, 10), (4, 12), (3, 11)] {
            condition.check_block(number, time).unwrap();
        }
        let early =
            |number, time| matches!(condition.check_block(number, time), Err(Unmet::Early(_)));
        let broken =
            |number, time| matches!(condition.check_block(number, time), Err(Unmet::Broken(_)));
        assert!(early(1, 11) && early(3, 9) && broken(5, 11) && broken(3, 13));
    }
}
