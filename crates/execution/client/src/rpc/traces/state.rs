//! Looking into states: ranges of accounts and slots, what blocks changed, and moving the head
//! back.

use std::collections::{BTreeMap, BTreeSet};

use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use opal_evm::{Account, State, StateError};
use serde::Serialize;

use super::replay::{Target, transaction_failed};
use crate::chain::StoredBlock;
use crate::rpc::error::{self, RpcResult};
use crate::rpc::{Registry, Rpc};

/// Most accounts of one `debug_accountRange`, as in geth.
const MAX_ACCOUNTS: usize = 256;
/// Most slots of one `debug_storageRangeAt`, and of one account of `debug_accountRange`.
const MAX_SLOTS: usize = 1_024;

pub(super) fn register(registry: &mut Registry) {
    registry.blocking("debug_setHead", |rpc, params| {
        let number: U64 = params.one()?;
        set_head(rpc, number.to())
    });
    registry.blocking("debug_intermediateRoots", |rpc, params| {
        let hash: B256 = params.one()?;
        intermediate_roots(rpc, &hash)
    });
    registry.blocking("debug_getModifiedAccountsByNumber", |rpc, params| {
        let (start, end): (U64, Option<U64>) = params.two_optional()?;
        let block = |number: U64| {
            let stored = rpc.by_tag(BlockNumberOrTag::Number(number.to()));
            stored.ok_or_else(|| error::server(format!("block {} not found", number.to::<u64>())))
        };
        let end = end.map(block).transpose()?;
        modified_accounts(rpc, &*block(start)?, end.as_deref())
    });
    registry.blocking("debug_getModifiedAccountsByHash", |rpc, params| {
        let (start, end): (B256, Option<B256>) = params.two_optional()?;
        let block = |hash: B256| {
            let stored = rpc.chain.stored(&hash);
            stored.ok_or_else(|| error::server(format!("block {hash} not found")))
        };
        let end = end.map(block).transpose()?;
        modified_accounts(rpc, &*block(start)?, end.as_deref())
    });
    registry.blocking("debug_storageRangeAt", |rpc, params| {
        let mut params = params.sequence();
        let hash: B256 = params.next()?;
        let index: u64 = params.next()?;
        let account: Address = params.next()?;
        let start: Bytes = params.next()?;
        let limit: u64 = params.next()?;
        storage_range(rpc, &hash, index, &account, &start, limit)
    });
    registry.blocking("debug_accountRange", |rpc, params| {
        let mut params = params.sequence();
        let block: BlockId = params.next()?;
        let start: Option<Bytes> = params.optional_next()?;
        let limit: Option<u64> = params.optional_next()?;
        let without_code: Option<bool> = params.optional_next()?;
        let without_storage: Option<bool> = params.optional_next()?;
        let (stored, state) = rpc.state(Some(block))?;
        let limit = limit.and_then(|limit| usize::try_from(limit).ok()).filter(|n| *n != 0);
        let wanted = Wanted {
            start: key(&start.unwrap_or_default())?,
            limit: limit.unwrap_or(MAX_ACCOUNTS).min(MAX_ACCOUNTS),
            code: !without_code.unwrap_or_default(),
            storage: !without_storage.unwrap_or_default(),
        };
        wanted.dump(&stored, &state)
    });
    registry.blocking("debug_dumpBlock", |rpc, params| {
        let block: BlockNumberOrTag = params.one()?;
        let (stored, state) = rpc.state(Some(block.into()))?;
        let wanted = Wanted { start: B256::ZERO, limit: MAX_ACCOUNTS, code: true, storage: true };
        let dump = wanted.dump(&stored, &state)?;
        match dump.next {
            None => Ok(dump),
            Some(_) => Err(error::limit_exceeded(format!(
                "the state has more than {MAX_ACCOUNTS} accounts; use debug_accountRange"
            ))),
        }
    });
}

fn state_error(error: StateError) -> jsonrpsee::types::ErrorObjectOwned {
    error::server(error.to_string())
}

/// Entries in the order of their keys, and the key of the first that is not among them.
type Range<V> = (Vec<(B256, V)>, Option<B256>);

/// Why a walk through a trie ends early.
enum Stop {
    /// It has enough; the next key.
    Enough(B256),
    State(StateError),
}

impl From<StateError> for Stop {
    fn from(error: StateError) -> Self {
        Self::State(error)
    }
}

/// The first `limit` entries of a walk.
fn range<V>(
    limit: usize,
    walk: impl FnOnce(&mut dyn FnMut(B256, V) -> Result<(), Stop>) -> Result<(), Stop>,
) -> RpcResult<Range<V>> {
    let mut entries = Vec::new();
    let walked = walk(&mut |key, value| {
        if entries.len() >= limit {
            return Err(Stop::Enough(key));
        }
        entries.push((key, value));
        Ok(())
    });
    match walked {
        Ok(()) => Ok((entries, None)),
        Err(Stop::Enough(next)) => Ok((entries, Some(next))),
        Err(Stop::State(error)) => Err(state_error(error)),
    }
}

fn accounts(state: &State, start: &B256, limit: usize) -> RpcResult<Range<Account>> {
    range(limit, |visit| state.walk(start, &mut |key, account| visit(key, account.clone())))
}

fn slots(state: &State, account: &Account, start: &B256, limit: usize) -> RpcResult<Range<U256>> {
    range(limit, |visit| state.walk_storage(account, start, visit))
}

/// A start key that may be given without its trailing zeros.
fn key(start: &[u8]) -> RpcResult<B256> {
    if start.len() > 32 {
        return Err(error::invalid_params("start key is longer than 32 bytes"));
    }
    Ok(B256::right_padding_from(start))
}

/// Makes an ancestor of the head the head, not below the finalized block. Whoever drives the node
/// may move it on again.
fn set_head(rpc: &Rpc, number: u64) -> RpcResult<()> {
    let moved = rpc.chain.set_head_to(number, false);
    moved.map(drop).map_err(|error| error::chain(&error))
}

/// The state root after each transaction of a block.
fn intermediate_roots(rpc: &Rpc, hash: &B256) -> RpcResult<Vec<B256>> {
    let stored =
        rpc.chain.stored(hash).ok_or_else(|| error::server(format!("block {hash} not found")))?;
    let target = Target::from(&*stored);
    let mut budget = rpc.budget(None)?;
    rpc.replay(&target, |executor| {
        let mut roots = Vec::with_capacity(target.senders.len());
        for (tx, sender) in target.transactions() {
            budget.check()?;
            executor
                .transact(tx, sender)
                .map_err(|error| transaction_failed(tx.tx_hash(), &error))?;
            roots.push(executor.state_so_far().map_err(state_error)?.root());
        }
        Ok(roots)
    })
}

/// Accounts that differ between the states after `start` and after `end`, or that the block `start`
/// itself changed.
fn modified_accounts(
    rpc: &Rpc,
    start: &StoredBlock,
    end: Option<&StoredBlock>,
) -> RpcResult<Vec<Address>> {
    let end = end.unwrap_or(start);
    let (first, last) = (start.number(), end.number());
    let from =
        if first == last { rpc.state_before(&start.block)?.0.hash } else { start.block.hash };
    if first > last {
        return Err(error::server(format!(
            "start block height ({first}) must be less than end block height ({last})"
        )));
    }
    if last - first > rpc.config.trace.max_blocks {
        return Err(error::limit_exceeded(format!(
            "block range too large: at most {} blocks",
            rpc.config.trace.max_blocks
        )));
    }
    if !rpc.chain.is_ancestor(&from, end.block.hash) {
        return Err(error::server("start block is not an ancestor of the end block"));
    }
    let mut used = BTreeSet::new();
    let mut cursor = end.block.hash;
    let mut budget = rpc.budget(None)?;
    while cursor != from {
        let stored = rpc
            .chain
            .stored(&cursor)
            .ok_or_else(|| error::server(format!("block {cursor} not found")))?;
        let target = Target::from(&*stored);
        let count = target.senders.len();
        rpc.replay_until(&target, count, &mut budget, |executor, _| {
            used.extend(executor.used().map(|(address, _)| address));
            Ok(())
        })?;
        let withdrawals = target.block.block.body.withdrawals.iter().flatten();
        used.extend(withdrawals.map(|withdrawal| withdrawal.address));
        // Called after the last transaction of an L1 block.
        used.insert(alloy_eips::eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS);
        used.insert(alloy_eips::eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS);
        cursor = target.block.header().parent_hash;
    }
    let (_, before) = rpc.state(Some(from.into()))?;
    let (_, after) = rpc.state(Some(end.block.hash.into()))?;
    let mut modified = Vec::new();
    for address in used {
        let Some(new) = summary(&after, &address)? else { continue };
        if summary(&before, &address)? != Some(new) {
            modified.push(address);
        }
    }
    Ok(modified)
}

type Summary = (u64, U256, B256, Option<B256>);

fn summary(state: &State, address: &Address) -> RpcResult<Option<Summary>> {
    let account = state.account(address).map_err(state_error)?;
    Ok(account
        .map(|account| (account.nonce, account.balance, account.code_hash, account.storage_root())))
}

/// `debug_storageRangeAt`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StorageRange {
    /// By hashed key.
    storage: BTreeMap<B256, Slot>,
    next_key: Option<B256>,
}

#[derive(Clone, Debug, Serialize)]
struct Slot {
    /// The slot itself; hashes are not kept together with what they are of.
    key: Option<B256>,
    value: B256,
}

fn storage_range(
    rpc: &Rpc,
    hash: &B256,
    index: u64,
    address: &Address,
    start: &[u8],
    limit: u64,
) -> RpcResult<StorageRange> {
    let stored =
        rpc.chain.stored(hash).ok_or_else(|| error::server(format!("block {hash} not found")))?;
    let target = Target::from(&*stored);
    let index = usize::try_from(index).unwrap_or(usize::MAX);
    if index > target.senders.len() {
        return Err(error::server(format!(
            "transaction index {index} out of range for block {hash}"
        )));
    }
    let mut budget = rpc.budget(None)?;
    let state = rpc.replay_until(&target, index, &mut budget, |executor, _| {
        executor.state_so_far().map_err(state_error)
    })?;
    let account = state
        .account(address)
        .map_err(state_error)?
        .ok_or_else(|| error::server(format!("account {address} doesn't exist")))?;
    let limit = usize::try_from(limit).unwrap_or(MAX_SLOTS).min(MAX_SLOTS);
    let (slots, next_key) = slots(&state, &account, &key(start)?, limit)?;
    let slots = slots.into_iter();
    let storage =
        slots.map(|(key, value)| (key, Slot { key: None, value: value.into() })).collect();
    Ok(StorageRange { storage, next_key })
}

/// A part of a state, as geth dumps it.
#[derive(Clone, Debug, Serialize)]
struct Dump {
    root: String,
    /// By `pre(hashed address)`: addresses are not kept together with their hashes.
    accounts: BTreeMap<String, DumpedAccount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<B256>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DumpedAccount {
    balance: String,
    nonce: u64,
    root: B256,
    code_hash: B256,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<Bytes>,
    /// By hashed slot.
    #[serde(skip_serializing_if = "Option::is_none")]
    storage: Option<BTreeMap<B256, B256>>,
    key: B256,
}

/// What to dump.
struct Wanted {
    start: B256,
    limit: usize,
    code: bool,
    storage: bool,
}

impl Wanted {
    fn dump(&self, stored: &StoredBlock, state: &State) -> RpcResult<Dump> {
        let (found, next) = accounts(state, &self.start, self.limit)?;
        let mut accounts = BTreeMap::new();
        for (key, account) in found {
            accounts.insert(format!("pre({key})"), self.account(key, &account, state)?);
        }
        let root = stored.block.header().state_root;
        Ok(Dump { root: root.to_string(), accounts, next })
    }

    fn account(&self, key: B256, account: &Account, state: &State) -> RpcResult<DumpedAccount> {
        let code = match self.code && account.code_hash != alloy_primitives::KECCAK256_EMPTY {
            true => Some(state.code_at(&key).map_err(state_error)?),
            false => None,
        };
        let storage = match self.storage {
            false => None,
            true => {
                let (slots, next) = slots(state, account, &B256::ZERO, MAX_SLOTS)?;
                if next.is_some() {
                    return Err(error::limit_exceeded(format!(
                        "account {key} has more than {MAX_SLOTS} slots; leave storage out, and use \
                         debug_storageRangeAt"
                    )));
                }
                let slots = slots.into_iter();
                Some(slots.map(|(key, value)| (key, value.into())).collect())
            }
        };
        Ok(DumpedAccount {
            balance: account.balance.to_string(),
            nonce: account.nonce,
            root: account.storage_root().unwrap_or(alloy_consensus::EMPTY_ROOT_HASH),
            code_hash: account.code_hash,
            code,
            storage,
            key,
        })
    }
}
