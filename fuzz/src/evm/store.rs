//! A file set of trie records in memory.

use std::sync::Mutex;

use alloy_primitives::{B256, Bytes};
use opal_evm::revm::bytecode::Bytecode;
use opal_evm::{Place, Record, StateError, TrieSink, TrieSource};

/// Nodes by number. A node's position is its number, counted from one, in the first segment.
#[derive(Debug, Default)]
pub(super) struct Store(Mutex<Vec<(B256, Vec<u8>)>>);

const SEGMENT: u64 = 1 << 40;

/// Where the record with this number lies.
pub(super) const fn position(number: u64) -> u64 {
    SEGMENT + 1 + number
}

impl TrieSource for Store {
    fn node(&self, _: &B256) -> Result<Option<Bytes>, StateError> {
        Ok(None)
    }

    fn record(&self, position: u64, hash: &B256) -> Result<Record, StateError> {
        let records = self.0.lock().unwrap();
        let number = position.checked_sub(self::position(0)).map(|number| number as usize);
        match number.and_then(|number| records.get(number)) {
            // Every other node must be read anew each time.
            Some((known, bytes)) if known == hash => {
                Ok(Record { bytes: bytes.clone(), keep: position % 2 == 0 })
            }
            _ => Err(StateError::MissingNode(*hash)),
        }
    }

    fn code(&self, _: &B256) -> Result<Option<Bytecode>, StateError> {
        Ok(None)
    }

    fn file_set(&self) -> u64 {
        1
    }
}

impl TrieSink for &Store {
    fn node(&mut self, hash: &B256, record: &[u8]) -> Result<Place, StateError> {
        let mut records = self.0.lock().unwrap();
        records.push((*hash, record.to_vec()));
        Ok(Place { position: position(records.len() as u64 - 1), oldest: 1 })
    }

    fn code(&mut self, _: &B256, _: &Bytecode) -> Result<(), StateError> {
        Ok(())
    }
}
