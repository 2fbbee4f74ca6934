//! The pool across restarts: a file with its transactions in the form that geth's
//! `transactions.rlp` has, one RLP item after the other. A legacy transaction is a list; any other
//! is a string around its EIP-2718 encoding, with the sidecar if it has blobs. Conditional
//! transactions are left out, since the format has no place for conditions.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use alloy_consensus::Typed2718;
use alloy_primitives::Bytes;
use alloy_rlp::{Encodable, Header};

use super::queues::Account;
use super::{PoolError, PooledTransaction, TxPool};

/// Transactions that are checked at once while reading.
const BATCH: usize = 1_024;
/// Bytes for each blob in the file: the blob and up to 128 proofs.
const BLOB_BYTES: usize = 144 << 10;

/// The file that one pool is written to.
#[derive(Clone, Debug)]
pub struct Journal {
    path: PathBuf,
}

/// What was read back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Transactions in the file.
    pub read: usize,
    /// Those that the pool took; the others were included or became impossible meanwhile.
    pub kept: usize,
    /// Where the file stops making sense, if it does: what follows is lost.
    pub damaged_at: Option<usize>,
}

impl Journal {
    /// The file's usual name in a data directory.
    pub const FILE: &'static str = "transactions.rlp";

    /// A journal at a path, whose folder exists.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes all transactions of the pool, at once or not at all. Returns how many.
    ///
    /// # Errors
    /// When the disk refuses; the file is as it was, then.
    pub fn save(&self, pool: &TxPool) -> io::Result<usize> {
        let transactions = in_order(pool);
        let mut bytes = Vec::new();
        let mut count = 0;
        for tx in transactions.iter().filter(|tx| tx.condition().is_none()) {
            let encoding = tx.network_encoding();
            if tx.tx().is_legacy() {
                bytes.extend_from_slice(&encoding);
            } else {
                encoding.encode(&mut bytes);
            }
            count += 1;
        }
        opal_service::files::write_whole(&self.path, &bytes)?;
        Ok(count)
    }

    /// Reads the file, if there is one, and adds what the pool's rules still allow. A damaged file
    /// is moved aside, to the same name with `.damaged` at the end, after all that can be read was
    /// read.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn load(&self, pool: &TxPool) -> io::Result<Restored> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Restored::default()),
            Err(error) => return Err(error),
        };
        // No pool with these limits wrote more.
        let config = pool.config();
        let limit = config.max_bytes.saturating_add(config.max_blobs.saturating_mul(BLOB_BYTES));
        let mut bytes = Vec::new();
        file.take(limit as u64).read_to_end(&mut bytes)?;
        let restored = restore(pool, bytes.into());
        if let Some(offset) = restored.damaged_at {
            let mut aside = self.path.clone().into_os_string();
            aside.push(".damaged");
            std::fs::rename(&self.path, &aside)?;
            tracing::warn!(
                target: "opal::execution",
                offset,
                kept = restored.kept,
                aside = %Path::new(&aside).display(),
                "the pool's journal is damaged; what follows the offset is lost"
            );
        }
        Ok(restored)
    }
}

/// All transactions, each sender's by nonce and the senders by age, so that reading them back in
/// this order leaves no gaps on the way and keeps the order of equal tips.
fn in_order(pool: &TxPool) -> Vec<Arc<PooledTransaction>> {
    let inner = pool.read();
    let oldest = |account: &Account| account.transactions.values().map(|e| e.sequence).min();
    let mut accounts: Vec<_> = inner.queues.accounts().values().collect();
    accounts.sort_by_cached_key(|account| oldest(account));
    let entries = accounts.into_iter().flat_map(|account| account.transactions.values());
    entries.map(|entry| entry.tx.clone()).collect()
}

fn restore(pool: &TxPool, bytes: Bytes) -> Restored {
    let mut restored = Restored::default();
    let mut offset = 0;
    loop {
        let mut batch = Vec::new();
        while batch.len() < BATCH && offset < bytes.len() {
            let Some((tx, end)) = next_item(&bytes, offset) else {
                restored.damaged_at = Some(offset);
                break;
            };
            batch.push(tx);
            offset = end;
        }
        if batch.is_empty() {
            return restored;
        }
        restored.read += batch.len();
        for result in pool.add_raw_batch(&batch) {
            match result {
                Ok(_) => restored.kept += 1,
                Err(PoolError::Decode(error)) => {
                    tracing::warn!(
                        target: "opal::execution",
                        %error,
                        "an item of the pool's journal is no transaction"
                    );
                }
                Err(error) => {
                    tracing::debug!(
                        target: "opal::execution",
                        %error,
                        "a transaction of the pool's journal is no longer valid"
                    );
                }
            }
        }
        if restored.damaged_at.is_some() {
            return restored;
        }
    }
}

/// The transaction at an offset, and where the next one begins; `None` when there is none.
fn next_item(bytes: &Bytes, offset: usize) -> Option<(Bytes, usize)> {
    let mut rest = bytes.get(offset..)?;
    let whole = rest.len();
    let header = Header::decode(&mut rest).ok()?;
    let start = offset + (whole - rest.len());
    let end = start.checked_add(header.payload_length).filter(|end| *end <= bytes.len())?;
    // A byte below 0x80 is its own item, and no transaction; its header has no length.
    if end == offset || (!header.list && header.payload_length < 2) {
        return None;
    }
    let tx = if header.list { bytes.slice(offset..end) } else { bytes.slice(start..end) };
    Some((tx, end))
}
