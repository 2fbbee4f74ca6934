//! An L1 chain and the sequencer's plan of the L2 chain, both out of the input.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use alloy_consensus::crypto::secp256k1::sign_message;
use alloy_consensus::{Header, SignableTransaction, TxEip1559, TxEip4844};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Log, Signature, TxKind, U256, keccak256};
use arbitrary::{Result, Unstructured};
use opal_derivation::{DerivationStart, L1Block};
use opal_protocol::blob::{Blob, encode_blob};
use opal_protocol::deposit::encode_deposit_log;
use opal_protocol::system_config::CONFIG_UPDATE;
use opal_protocol::upgrades::{UpgradeBundle, UpgradeTransaction};
use opal_protocol::{
    BlockId, DepositTransaction, Genesis, HardforkSchedule, L1BlockRef, L2BlockRef, Receipt,
    RollupConfig, SystemConfig, TxEnvelope, TxType, hardfork,
};

use super::batcher::Batcher;

/// Timestamp of both genesis blocks.
const START: u64 = 1_000;
const PORTAL: Address = Address::repeat_byte(0xdd);
const CONFIG_CONTRACT: Address = Address::repeat_byte(0xcc);
const INBOX: Address = Address::repeat_byte(0xff);

/// What the hosts answer with.
pub(super) struct World {
    pub(super) config: Arc<RollupConfig>,
    pub(super) l1: Vec<L1Block>,
    /// Blobs by their hashes, which are made up; `None` for those that cannot be had.
    pub(super) blobs: HashMap<B256, Option<Box<Blob>>>,
    /// Which attributes execution refuses: one of so many, or none.
    pub(super) refuses: u64,
}

/// A batcher's key.
fn key(byte: u8) -> (B256, Address) {
    static KEYS: OnceLock<[(B256, Address); 3]> = OnceLock::new();
    let keys = KEYS.get_or_init(|| {
        [1, 2, 3].map(|byte| {
            let secret = B256::repeat_byte(byte);
            let hash = B256::repeat_byte(9);
            let signature = sign_message(secret, hash).unwrap();
            (secret, signature.recover_address_from_prehash(&hash).unwrap())
        })
    });
    keys[usize::from(byte) % 3]
}

/// The hash of an L2 block depends on nothing but its number: so a batch that is out of place in
/// one respect only is not dropped for its parent's hash.
pub(super) fn l2_hash(number: u64) -> B256 {
    keccak256(number.to_be_bytes())
}

/// The schedule: forks up to one from genesis, later ones during the run, up to the newest.
fn schedule(input: &mut Unstructured<'_>) -> Result<HardforkSchedule> {
    let forks = &hardfork::TABLE;
    let first = input.int_in_range(0..=forks.len() - 1)?;
    let mut schedule = HardforkSchedule::at_genesis(forks[first].fork);
    let mut time = START;
    let mut later = forks[first + 1..].iter();
    while input.ratio(1, 3)? {
        let Some(row) = later.next() else { break };
        time += u64::from(input.arbitrary::<u8>()?) % 64;
        schedule.set(row.fork, Some(time));
    }
    Ok(schedule)
}

/// A bundle of one transaction for each fork that needs one.
pub(super) fn bundles() -> impl Iterator<Item = UpgradeBundle> {
    hardfork::TABLE.iter().filter_map(|row| {
        let name = row.fork.name();
        let transaction = UpgradeTransaction {
            data: Bytes::from_static(&[1]),
            from: Address::repeat_byte(1),
            gas_limit: 1_000,
            intent: format!("{}{}: fuzz", name[..1].to_uppercase(), &name[1..]),
            to: Some(Address::repeat_byte(2)),
        };
        UpgradeBundle::from_transactions(row.fork, vec![transaction]).ok()
    })
}

fn config(input: &mut Unstructured<'_>) -> Result<RollupConfig> {
    let mut scalar = B256::ZERO;
    (scalar[0], scalar[31]) = (1, 7);
    let upgrades = if input.ratio(7, 8)? { bundles().collect() } else { Default::default() };
    let mut config = RollupConfig {
        genesis: Genesis {
            l1: BlockId::default(),
            l2: BlockId { hash: l2_hash(0), number: 0 },
            l2_time: START,
            system_config: SystemConfig {
                batcher_address: key(0).1,
                gas_limit: 30_000_000,
                scalar,
                ..SystemConfig::default()
            },
        },
        block_time: input.int_in_range(1..=4)?,
        max_sequencer_drift_config: input.int_in_range(1..=40)?,
        seq_window_size: input.int_in_range(2..=12)?,
        channel_timeout_config: input.int_in_range(1..=8)?,
        l1_chain_id: 900,
        l2_chain_id: 901,
        schedule: schedule(input)?,
        batch_inbox_address: INBOX,
        deposit_contract_address: PORTAL,
        l1_system_config_address: CONFIG_CONTRACT,
        upgrades,
        ..RollupConfig::default()
    };
    if input.ratio(1, 8)? {
        config.pectra_blob_schedule_time = Some(START + 40);
    }
    Ok(config)
}

/// Headers do not commit to transactions and receipts: a host that is not asked to check them can
/// make the chain before its contents.
fn headers(input: &mut Unstructured<'_>) -> Result<Vec<Header>> {
    let mut headers = vec![Header { timestamp: START, ..Header::default() }];
    let count = input.int_in_range(1..=24)?;
    let step = input.int_in_range(1..=16)?;
    let mut parent_hash = headers[0].hash_slow();
    for number in 1..=count {
        let mut time = headers[headers.len() - 1].timestamp + step;
        if input.ratio(1, 8)? {
            time += u64::from(input.arbitrary::<u8>()?);
        }
        if input.ratio(1, 128)? {
            // A block of another chain.
            parent_hash = B256::repeat_byte(4);
        }
        let header = Header {
            parent_hash,
            number,
            timestamp: time,
            mix_hash: B256::left_padding_from(&time.to_be_bytes()),
            base_fee_per_gas: Some(7),
            withdrawals_root: Some(B256::ZERO),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(number << 20),
            parent_beacon_block_root: Some(B256::repeat_byte(9)),
            ..Header::default()
        };
        parent_hash = header.hash_slow();
        headers.push(header);
    }
    Ok(headers)
}

/// Logs of the two contracts, mostly well formed.
fn logs(input: &mut Unstructured<'_>) -> Result<Vec<Log>> {
    let mut logs = Vec::new();
    while logs.len() < 4 && input.ratio(1, 5)? {
        let mut log = if input.ratio(1, 3)? {
            let deposit = DepositTransaction {
                from: Address::repeat_byte(input.arbitrary()?),
                to: TxKind::Call(Address::repeat_byte(input.arbitrary()?)),
                mint: input.arbitrary::<u8>()?.into(),
                gas_limit: input.arbitrary::<u32>()?.into(),
                input: Bytes::copy_from_slice(input.bytes(2)?),
                ..DepositTransaction::default()
            };
            encode_deposit_log(PORTAL, &deposit)
        } else {
            let kind = input.int_in_range(0..=8u8)?;
            let word = match (kind, input.int_in_range(0..=7u8)?) {
                (_, 0) => B256::new(input.arbitrary()?),
                (0, n) => key(n).1.into_word(),
                (4, n) => B256::left_padding_from(&(u64::from(n) << 32 | 3).to_be_bytes()),
                (_, n) => B256::with_last_byte(n),
            };
            config_log(kind, word)
        };
        if input.ratio(1, 64)? {
            let end = input.int_in_range(0..=log.data.data.len())?;
            log.data.data = log.data.data.slice(..end);
        }
        logs.push(log);
    }
    Ok(logs)
}

fn config_log(kind: u8, word: B256) -> Log {
    // The fees are two words, the first of no effect.
    let words = if kind == 1 { vec![B256::ZERO, word] } else { vec![word] };
    let mut data = Vec::new();
    data.extend_from_slice(&U256::from(32).to_be_bytes::<32>());
    data.extend_from_slice(&U256::from(32 * words.len()).to_be_bytes::<32>());
    for word in &words {
        data.extend_from_slice(word.as_slice());
    }
    let topics = vec![CONFIG_UPDATE, B256::ZERO, B256::with_last_byte(kind)];
    Log::new_unchecked(CONFIG_CONTRACT, topics, data.into())
}

/// Who sends a transaction to what, and what for.
pub(super) enum Carrier {
    Calldata,
    Blobs,
    /// A set-code transaction, another sender, another recipient.
    Noise(u8),
}

/// A batcher transaction. Deposits count too, if they come from the batcher, and need no
/// signature, which is the slowest part of all.
fn transaction(
    carrier: &Carrier,
    sender: u8,
    data: Bytes,
    blobs: &mut HashMap<B256, Option<Box<Blob>>>,
    missing: bool,
) -> TxEnvelope {
    let (secret, address) = key(sender);
    match carrier {
        Carrier::Calldata => DepositTransaction {
            from: address,
            to: TxKind::Call(INBOX),
            input: data,
            ..DepositTransaction::default()
        }
        .into(),
        Carrier::Blobs => {
            let hashes: Vec<B256> = data
                .chunks(100_000)
                .map(|chunk| {
                    let hash = keccak256(chunk);
                    let blob = encode_blob(chunk).ok().filter(|_| !missing);
                    blobs.insert(hash, blob);
                    hash
                })
                .collect();
            let tx = TxEip4844 {
                to: INBOX,
                blob_versioned_hashes: hashes,
                input: data.slice(..data.len().min(40)),
                ..TxEip4844::default()
            };
            let signature = sign_message(secret, tx.signature_hash()).unwrap();
            TxEnvelope::Eip4844(tx.into_signed(signature))
        }
        Carrier::Noise(kind) => {
            let tx = TxEip1559 {
                to: TxKind::Call(if kind & 1 == 0 { INBOX } else { PORTAL }),
                input: data,
                ..TxEip1559::default()
            };
            let signature = Signature::new(U256::from(5), U256::from(*kind), kind & 2 == 0);
            TxEnvelope::Eip1559(tx.into_signed(signature))
        }
    }
}

impl World {
    pub(super) fn new(input: &mut Unstructured<'_>) -> Result<Self> {
        let mut config = config(input)?;
        let refuses = if input.ratio(1, 4)? { input.int_in_range(2..=9)? } else { 0 };
        let headers = headers(input)?;
        config.genesis.l1 = BlockId { hash: headers[0].hash_slow(), number: 0 };
        let references: Vec<_> =
            headers.iter().map(|h| L1BlockRef::from_header(h.hash_slow(), h)).collect();
        let mut batcher = Batcher::new(&config, &references);
        let mut blobs = HashMap::new();
        let mut l1 = Vec::new();
        for (header, reference) in headers.into_iter().zip(references.iter().copied()) {
            let logs = logs(input)?;
            let mut transactions = Vec::new();
            if header.number > 0 {
                for post in batcher.posts(input, &reference)? {
                    let missing = input.ratio(1, 64)?;
                    let sender = if input.ratio(1, 16)? { input.arbitrary()? } else { 0 };
                    transactions.push(transaction(
                        &post.carrier,
                        sender,
                        post.data,
                        &mut blobs,
                        missing,
                    ));
                }
            }
            let receipt = Receipt {
                tx_type: TxType::Eip1559,
                success: !input.ratio(1, 32)?,
                cumulative_gas_used: 0,
                logs,
                deposit_nonce: None,
                deposit_receipt_version: None,
            };
            l1.push(L1Block {
                reference,
                header,
                receipts: Arc::new(vec![receipt]),
                transactions: Arc::new(transactions),
            });
        }
        Ok(Self { config: Arc::new(config), l1, blobs, refuses })
    }

    pub(super) fn start(&self) -> DerivationStart {
        let system_config = self.config.genesis.system_config;
        let safe_head = L2BlockRef {
            hash: l2_hash(0),
            timestamp: START,
            l1_origin: self.config.genesis.l1,
            ..L2BlockRef::default()
        };
        DerivationStart {
            safe_head,
            safe_system_config: system_config,
            l1: self.l1[0].reference,
            l1_system_config: system_config,
        }
    }
}

/// Transactions of users: one of each type, as they stand in a batch, then bytes that are none.
pub(crate) fn user_transactions() -> &'static [Bytes] {
    static POOL: OnceLock<Vec<Bytes>> = OnceLock::new();
    POOL.get_or_init(|| {
        let signature = Signature::new(U256::from(5), U256::from(6), true);
        let to = TxKind::Call(Address::repeat_byte(8));
        let legacy = alloy_consensus::TxLegacy { chain_id: Some(901), to, ..Default::default() };
        let list =
            alloy_consensus::TxEip2930 { chain_id: 901, to: TxKind::Create, ..Default::default() };
        let fee = TxEip1559 { chain_id: 901, nonce: 3, to, ..TxEip1559::default() };
        let code = alloy_consensus::TxEip7702 { chain_id: 901, ..Default::default() };
        vec![
            TxEnvelope::Legacy(legacy.into_signed(signature)).encoded_2718().into(),
            TxEnvelope::Eip2930(list.into_signed(signature)).encoded_2718().into(),
            TxEnvelope::Eip1559(fee.into_signed(signature)).encoded_2718().into(),
            TxEnvelope::Eip7702(code.into_signed(signature)).encoded_2718().into(),
            Bytes::from_static(&[2, 0xc0]),
            Bytes::from_static(&[0x7e, 0xc0]),
            Bytes::new(),
        ]
    })
}
