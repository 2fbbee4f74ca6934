//! Both sides execute the same chain; the first difference is an error that tells what differs.

use std::collections::BTreeMap;
use std::fmt::Debug;

use alloy_primitives::{Address, B256, U256};
use alloy_trie::root::ordered_trie_root_encoded;
use opal_evm::{BlockExecutor, BlockInput, Parent, State, TxError, TxOutcome};
use opal_protocol::predeploys::{L1_FEE_VAULT, OPERATOR_FEE_VAULT};
use opal_protocol::{Hardfork, TxEnvelope};

use crate::execution::peer::{PeerInput, TxResultOf, block};
use crate::execution::plain::Plain;
use crate::execution::world::{Fork, World};

/// What was executed, so that a test can show that it was not nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Blocks.
    pub blocks: u64,
    /// Transactions by type: included.
    pub included: BTreeMap<u8, u64>,
    /// Included ones that failed.
    pub failed: u64,
    /// Refused by both.
    pub refused: u64,
    /// Logs.
    pub logs: u64,
    /// Contracts created by transactions.
    pub created: u64,
    /// Gas.
    pub gas: u64,
}

fn same<T: PartialEq + Debug>(
    what: impl FnOnce() -> String,
    ours: T,
    theirs: T,
) -> Result<(), String> {
    if ours == theirs {
        return Ok(());
    }
    Err(format!("{}:\n  ours   {ours:?}\n  theirs {theirs:?}", what()))
}

/// Runs a chain of this many blocks.
///
/// # Errors
/// What differs first.
pub fn run(seed: u64, fork: Fork, blocks: u64, counts: &mut Counts) -> Result<(), String> {
    chain(seed, fork, blocks, counts, |_| ())
}

/// A block with what is needed to execute it again.
#[derive(Clone, Debug)]
pub struct Made {
    /// The block before it.
    pub parent: opal_protocol::SealedBlock,
    /// What consensus decides.
    pub input: BlockInput,
    /// Its transactions with their senders.
    pub transactions: Vec<(TxEnvelope, Address)>,
    /// Our state before it.
    pub state: State,
    /// The peer's.
    pub plain: Plain,
    /// Gas that it uses.
    pub gas_used: u64,
}

/// The blocks of a chain on which both sides agree, with its rules.
///
/// # Errors
/// What differs first.
pub fn made(
    seed: u64,
    fork: Fork,
    blocks: u64,
) -> Result<(opal_evm::ChainSpec, Vec<Made>), String> {
    let mut all = Vec::new();
    chain(seed, fork, blocks, &mut Counts::default(), |made| all.push(made))?;
    Ok((World::new(seed, fork).spec, all))
}

fn chain(
    seed: u64,
    fork: Fork,
    blocks: u64,
    counts: &mut Counts,
    mut each: impl FnMut(Made),
) -> Result<(), String> {
    let mut world = World::new(seed, fork);
    let mut head = world.genesis.clone();
    let mut state = world.state.clone();
    let mut plain = std::mem::take(&mut world.plain);
    same(|| "genesis state root".into(), state.root(), plain.root())?;
    for number in 1..=blocks {
        let context = |what: String| format!("{fork:?} seed {seed} block {number}: {what}");
        let before = plain.clone();
        let step = step(&mut world, &head, &state, plain, counts).map_err(context)?;
        each(Made {
            parent: head,
            input: step.input,
            transactions: step.included,
            state,
            plain: before,
            gas_used: step.block.header().gas_used,
        });
        (head, state, plain) = (step.block, step.state, step.plain);
    }
    Ok(())
}

/// A block and what it leads to.
struct Step {
    block: opal_protocol::SealedBlock,
    input: BlockInput,
    included: Vec<(TxEnvelope, Address)>,
    state: State,
    plain: Plain,
}

fn step(
    world: &mut World,
    head: &opal_protocol::SealedBlock,
    state: &State,
    plain: Plain,
    counts: &mut Counts,
) -> Result<Step, String> {
    let attributes = world.attributes(head.header().timestamp + 2);
    let spec = world.spec.clone();
    let input = BlockInput::from_attributes(&spec, head.header(), &attributes).unwrap();
    let known = plain.hashes.clone();
    let hashes = |number: u64| known.get(number as usize).copied();
    let parent = Parent::from(head);
    let mut ours = BlockExecutor::new(&spec, parent, input.clone(), state, &hashes).unwrap();
    let base_fee = ours.base_fee();
    let fork = spec.hardfork(input.timestamp);
    let vaults = [L1_FEE_VAULT, OPERATOR_FEE_VAULT];
    let before = vaults.map(|vault| plain.balance(vault));
    let mut users: Vec<(TxEnvelope, u64)> = Vec::new();
    let mut included = Vec::new();

    let peer_input =
        PeerInput { spec: &spec, parent: (head.header(), head.hash), input: &input, base_fee };
    let mut difference = Ok(());
    let end = block(&peer_input, plain, |peer| {
        for index in 0..=world.transactions() {
            let first = if index == 0 { world.first_deposit() } else { None };
            let (tx, sender) = first
                .unwrap_or_else(|| world.transaction(base_fee, &mut |address| peer.nonce(address)));
            let kind = tx.tx_type() as u8;
            let result = ours.transact(&tx, sender);
            // The peer leaves the blobs of a whole block to the check of the header.
            if let Err(TxError::BlobGas { .. }) = result {
                counts.refused += 1;
                continue;
            }
            let theirs = peer.transact(&tx, sender);
            let outcome = match (result, theirs) {
                (Ok(outcome), Ok(theirs)) => (outcome, theirs),
                (Err(error), Err(_)) if !error.is_fatal() => {
                    counts.refused += 1;
                    continue;
                }
                (ours, theirs) => {
                    difference = Err(format!(
                        "transaction {index} {tx:?} of {sender}:\n  ours   {ours:?}\n  theirs {theirs:?}"
                    ));
                    return;
                }
            };
            let (outcome, theirs) = outcome;
            let mine = result_of(&ours, outcome);
            *counts.included.entry(kind).or_default() += 1;
            counts.failed += u64::from(!mine.success);
            counts.logs += mine.logs.len() as u64;
            if let Some(address) = mine.created {
                counts.created += 1;
                world.created(address);
            }
            if !tx.is_deposit_tx() {
                users.push((tx.clone(), mine.gas_used));
            }
            difference = same(|| format!("transaction {index} {tx:?} of {sender}"), mine, theirs);
            included.push((tx, sender));
            if difference.is_err() {
                return;
            }
        }
    });
    difference?;
    let executed = ours.finish().map_err(|error| error.to_string())?;
    let header = executed.block.header();
    counts.blocks += 1;
    counts.gas += header.gas_used;

    same(|| "gas used".into(), header.gas_used, end.gas_used)?;
    if let Some(blob_gas) = header.blob_gas_used {
        same(|| "blob gas used".into(), blob_gas, end.blob_gas_used)?;
    }
    let root = ordered_trie_root_encoded(&end.receipts);
    same(|| "receipts root".into(), header.receipts_root, root)?;
    same(|| "requests".into(), executed.requests.clone(), end.requests)?;
    let mut plain = end.state;
    if executed.state.root() != plain.root() {
        accounts(&executed.state, &plain)?;
        return Err("state roots differ, the accounts that exist do not: ours has one more".into());
    }

    // What the vaults got is what the receipts say.
    if let (Some(fork), Some(fees)) = (fork, executed.l1_fees) {
        let l1: U256 =
            users.iter().filter_map(|(tx, _)| fees.info(tx)).map(|info| info.l1_fee).sum();
        let operator: U256 = users.iter().map(|(_, gas)| fees.operator_fee(*gas)).sum();
        let after = vaults.map(|vault| plain.balance(vault));
        same(|| "L1 fees".into(), after[0] - before[0], l1)?;
        same(|| "operator fees".into(), after[1] - before[1], operator)?;
        let footprint: u64 = users.iter().filter_map(|(tx, _)| fees.info(tx)?.da_footprint).sum();
        if fork >= Hardfork::Jovian {
            same(|| "DA footprint".into(), header.blob_gas_used, Some(footprint))?;
        }
    }
    plain.hashes.push(executed.block.hash);
    Ok(Step { block: executed.block, input, included, state: executed.state, plain })
}

fn result_of(executor: &BlockExecutor<'_>, outcome: TxOutcome) -> TxResultOf {
    let logs = executor.receipts().last().map(|receipt| receipt.logs.clone());
    TxResultOf {
        success: outcome.success,
        gas_used: outcome.gas_used,
        output: outcome.output,
        created: outcome.created,
        logs: logs.unwrap_or_default(),
    }
}

/// What each side says of the transactions of one block, and its state after it.
#[derive(Debug)]
pub struct Pair {
    /// Ours and theirs, by transaction.
    pub results: Vec<(Result<TxResultOf, TxError>, Result<TxResultOf, String>)>,
    /// Ours.
    pub ours: State,
    /// Theirs.
    pub theirs: Plain,
}

/// Runs one block of these transactions; nothing is compared.
pub fn pair(mut world: World, txs: &[(TxEnvelope, Address)]) -> Pair {
    let head = world.genesis.clone();
    let attributes = world.attributes(2);
    let input = BlockInput::from_attributes(&world.spec, head.header(), &attributes).unwrap();
    let parent = Parent::from(&head);
    let (spec, state) = (&world.spec, &world.state);
    let mut ours = BlockExecutor::new(spec, parent, input.clone(), state, &|_| None).unwrap();
    let base_fee = ours.base_fee();
    let peer_input =
        PeerInput { spec, parent: (head.header(), head.hash), input: &input, base_fee };
    let mut results = Vec::new();
    let end = block(&peer_input, world.plain, |peer| {
        for (tx, sender) in txs {
            let theirs = peer.transact(tx, *sender);
            let outcome = ours.transact(tx, *sender);
            results.push((outcome.map(|outcome| result_of(&ours, outcome)), theirs));
        }
    });
    Pair { results, ours: ours.finish().unwrap().state, theirs: end.state }
}

/// The first account or slot that differs.
fn accounts(ours: &State, theirs: &Plain) -> Result<(), String> {
    for (address, account) in &theirs.accounts {
        let mine = ours.account(address).map_err(|error| error.to_string())?;
        let mine = mine.map(|account| (account.nonce, account.balance, account.code_hash));
        let info = &account.info;
        same(
            || format!("account {address}"),
            mine,
            Some((info.nonce, info.balance, info.code_hash)),
        )?;
        for (slot, value) in &account.storage {
            let mine = ours.storage(address, *slot).map_err(|error| error.to_string())?;
            same(|| format!("slot {slot} of {address}"), mine, *value)?;
        }
        let slots = account.storage.iter().map(|(slot, value)| (B256::from(*slot), *value));
        let root = alloy_trie::root::storage_root_unhashed(slots);
        let mine = ours.storage_root(address).map_err(|error| error.to_string())?;
        same(|| format!("storage of {address}: ours has a slot more"), mine, root)?;
    }
    Ok(())
}
