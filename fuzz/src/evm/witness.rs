//! A block on a state of which nothing is there but a witness.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use arbitrary::{Result, Unstructured};
use opal_evm::{
    BlockError, BlockExecutor, BlockInput, ChainSpec, ExecutedBlock, ExecutionWitness, Parent,
    Preimages, State, StateError, execute_block, execution_witness,
};
use opal_protocol::{Block, DepositTransaction, SealedBlock, TxEnvelope};

use super::blocks::genesis_file;
use crate::memory::within;

/// What executing a few deposits may take.
const MEMORY: usize = 256 << 20;

struct World {
    spec: ChainSpec,
    parent: SealedBlock,
    block: SealedBlock,
    senders: Vec<Address>,
    witness: ExecutionWitness,
}

fn deposit(to: TxKind, value: u64, input: Bytes, gas_limit: u64) -> TxEnvelope {
    DepositTransaction {
        source_hash: keccak256(&input),
        from: Address::with_last_byte(0xaa),
        to,
        mint: 5,
        value: U256::from(value),
        gas_limit,
        is_system_transaction: false,
        input,
    }
    .into()
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let file = serde_json::from_value(genesis_file()).unwrap();
        let spec = ChainSpec::from_genesis(&file).unwrap();
        let (parent, state) = opal_evm::genesis(&spec, &file).unwrap();
        let store = TxKind::Call(Address::with_last_byte(0xbb));
        let slot = |n| B256::with_last_byte(n).to_vec().into();
        let transactions = [
            deposit(store, 9, slot(1), 100_000),
            deposit(store, 0, slot(3), 100_000),
            deposit(store, 7, slot(4), 100_000),
            deposit(TxKind::Create, 0, Bytes::from_static(&[0x60, 1, 0x5f, 0xf3]), 100_000),
            deposit(TxKind::Call(Address::repeat_byte(7)), 3, Bytes::new(), 30_000),
        ];
        let senders = vec![Address::with_last_byte(0xaa); transactions.len()];
        let header = parent.header();
        let input = BlockInput {
            timestamp: header.timestamp + 2,
            beneficiary: Address::with_last_byte(0x11),
            prev_randao: B256::repeat_byte(1),
            gas_limit: header.gas_limit,
            extra_data: header.extra_data.clone(),
            parent_beacon_block_root: Some(B256::repeat_byte(2)),
            withdrawals: Some(Vec::new()),
        };
        let hashes = |_: u64| Some(parent.hash);
        let mut executor =
            BlockExecutor::new(&spec, (&parent).into(), input, &state, &hashes).unwrap();
        for (tx, sender) in transactions.iter().zip(&senders) {
            executor.transact(tx, *sender).unwrap();
        }
        let block = executor.finish().unwrap().block;
        let (_, witness) =
            execution_witness(&spec, (&parent).into(), &block.block, &senders, &state, &hashes)
                .unwrap();
        World { spec, block, senders, witness, parent: parent.clone() }
    })
}

/// Executing on a witness that lacks something, or holds what somebody made up, gives an error or
/// the very block; whatever was made up, no panic.
pub fn witness(data: &[u8]) {
    let _ = run(&mut Unstructured::new(data));
}

fn run(input: &mut Unstructured<'_>) -> Result<()> {
    let world = world();
    let mut preimages: BTreeMap<B256, Bytes> = BTreeMap::new();
    for bytes in world.witness.nodes.iter().chain(&world.witness.codes) {
        preimages.insert(keccak256(bytes), bytes.clone());
    }
    match input.int_in_range(0..=3)? {
        0 => {
            // What is left out is missed, or was not needed.
            for _ in 0..input.int_in_range(0..=3)? {
                let at = input.int_in_range(0..=preimages.len() - 1)?;
                let hash = *preimages.keys().nth(at).unwrap_or(&B256::ZERO);
                if input.arbitrary()? {
                    preimages.remove(&hash);
                } else if let Some(bytes) = preimages.get_mut(&hash) {
                    *bytes = changed(input, bytes)?;
                }
            }
            let root = world.parent.header().state_root;
            match execute(world, &world.block.block, root, preimages.into_values()) {
                Ok(executed) => assert_eq!(executed.block.hash, world.block.hash),
                Err(BlockError::State(StateError::MissingNode(_) | StateError::MissingCode(_))) => {
                }
                Err(error) => panic!("{error}"),
            }
        }
        _ => {
            let root = replace(input, &mut preimages, world.parent.header().state_root)?;
            let block = match input.arbitrary()? {
                true => (*world.block.block).clone(),
                false => other_block(input, &world.block.block)?,
            };
            if let Ok(executed) = execute(world, &block, root, preimages.into_values()) {
                assert_eq!(executed.block.hash, block.header.hash_slow());
            }
        }
    }
    Ok(())
}

fn execute(
    world: &World,
    block: &Block,
    root: B256,
    preimages: impl Iterator<Item = Bytes>,
) -> std::result::Result<ExecutedBlock, BlockError> {
    let mut header = world.parent.header().clone();
    header.state_root = root;
    let hash = block.header.parent_hash;
    let hashes = |number: u64| (number == 0).then_some(hash);
    let state = State::from_root(root, Arc::new(Preimages::new(preimages)));
    let senders: Vec<_> = match block.body.transactions.len() == world.senders.len() {
        true => world.senders.clone(),
        false => block.body.transactions.iter().filter_map(|tx| tx.recover().ok()).collect(),
    };
    let parent = Parent { hash, header: &header };
    within(MEMORY, "a block on a witness", || {
        execute_block(&world.spec, parent, block, &senders, &state, &hashes)
    })
}

fn changed(input: &mut Unstructured<'_>, bytes: &[u8]) -> Result<Bytes> {
    let mut bytes = bytes.to_vec();
    for _ in 0..input.int_in_range(1..=3)? {
        match input.int_in_range(0..=7)? {
            0 => bytes.truncate(input.int_in_range(0..=bytes.len())?),
            1 => bytes.push(input.arbitrary()?),
            _ if bytes.is_empty() => {}
            _ => {
                let at = input.int_in_range(0..=bytes.len() - 1)?;
                bytes[at] = input.arbitrary()?;
            }
        }
    }
    Ok(bytes.into())
}

/// Changes preimages, and what refers to them by their hashes, up to the root, which is returned.
fn replace(
    input: &mut Unstructured<'_>,
    preimages: &mut BTreeMap<B256, Bytes>,
    mut root: B256,
) -> Result<B256> {
    for _ in 0..input.int_in_range(1..=3)? {
        let at = input.int_in_range(0..=preimages.len() - 1)?;
        let Some((hash, bytes)) = preimages.iter().nth(at) else { continue };
        let mut todo = vec![(*hash, changed(input, bytes)?)];
        // Each change is of a node above the one before; a witness is a few levels deep.
        for _ in 0..200 {
            let Some((old, bytes)) = todo.pop() else { break };
            preimages.remove(&old);
            let new = keccak256(&bytes);
            preimages.insert(new, bytes);
            if old == root {
                root = new;
            }
            for (hash, bytes) in preimages.iter() {
                if let Some(at) = bytes.windows(32).position(|window| window == old.as_slice()) {
                    let mut bytes = bytes.to_vec();
                    bytes[at..at + 32].copy_from_slice(new.as_slice());
                    todo.push((*hash, bytes.into()));
                }
            }
        }
    }
    Ok(root)
}

fn other_block(input: &mut Unstructured<'_>, block: &Block) -> Result<Block> {
    let mut block = block.clone();
    let header = &mut block.header;
    match input.int_in_range(0..=7)? {
        0 => header.gas_limit = input.arbitrary()?,
        1 => header.timestamp = input.arbitrary()?,
        2 => header.extra_data = input.arbitrary::<[u8; 17]>()?.into(),
        3 => header.beneficiary = Address::with_last_byte(input.arbitrary()?),
        4 => header.parent_beacon_block_root = None,
        _ => {}
    }
    for tx in &mut block.body.transactions {
        if input.ratio(1, 4)? {
            let to = match input.int_in_range(0..=3u8)? {
                0 => TxKind::Create,
                1 => TxKind::Call(Address::with_last_byte(input.int_in_range(0..=20)?)),
                _ => TxKind::Call(Address::with_last_byte(0xbb)),
            };
            let length = usize::from(input.arbitrary::<u8>()?).min(input.len());
            let data = Bytes::copy_from_slice(input.bytes(length)?);
            *tx = deposit(to, input.arbitrary()?, data, input.arbitrary::<u32>()?.into());
        }
    }
    Ok(block)
}

pub(super) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let noise = |n: u8| keccak256([n]).repeat(4);
    let mut seeds = vec![("witness", vec![0, 0])];
    for n in 0..16 {
        seeds.push(("witness", noise(n)));
        seeds.push(("trie", noise(n).repeat(4)));
        seeds.push(("trie_nodes", noise(n).repeat(2)));
    }
    seeds
}
