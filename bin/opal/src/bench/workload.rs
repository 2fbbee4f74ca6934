//! What the benches run on: a generated chain, and full blocks of four kinds of transactions.

use alloy_consensus::{BlockBody, Header, SignableTransaction, TxEip1559};
use alloy_eips::eip2718::Encodable2718;
use alloy_eips::{eip2935, eip4788};
use alloy_genesis::{ChainConfig, Genesis, GenesisAccount};
use alloy_primitives::{Address, B64, B256, Bytes, TxKind, U256, hex, keccak256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use clap::ValueEnum;
use opal_execution::StoredBlock;
use opal_execution::state_store::{Importer, StoreError};
use opal_protocol::hardfork::TABLE;
use opal_protocol::{
    Block, DepositTransaction, Hardfork, PayloadAttributes, SealedBlock, TxEnvelope, predeploys,
};

/// Chain id of the generated chain.
pub(super) const CHAIN_ID: u64 = 901;
/// Seconds between blocks.
const BLOCK_TIME: u64 = 2;
/// Gas that each block leaves for the attributes deposit.
const DEPOSIT_GAS: u64 = 1_000_000;
const TOKEN: Address = Address::repeat_byte(0xee);
const STORAGE: Address = Address::repeat_byte(0xdd);
const COMPUTE: Address = Address::repeat_byte(0xcc);
/// An ether, in wei.
const ETHER: U256 = U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]);
/// Slots that one transaction of [`Kind::Storage`] writes.
const SLOTS: u64 = 40;
/// Bytes of code that one transaction of [`Kind::Create`] deploys.
const CREATED_BYTES: u16 = 1_024;

/// Gas of one transaction of [`Kind::Compute`].
const COMPUTE_GAS: u64 = 1_000_000;

/// What the transactions of a block do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// ETH to one of all accounts.
    Transfer,
    /// A token's `transfer` to one of all accounts: two hashed slots and a log.
    Erc20,
    /// 40 slots of one contract, most of them new.
    Storage,
    /// A contract of 1 kB.
    Create,
    /// A million gas of arithmetic and hashes, which changes nothing.
    Compute,
}

impl Kind {
    /// All kinds, in the order of the tables.
    pub(super) const ALL: [Self; 5] =
        [Self::Transfer, Self::Erc20, Self::Storage, Self::Create, Self::Compute];

    /// Name in tables.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Transfer => "ETH transfers",
            Self::Erc20 => "ERC-20 transfers",
            Self::Storage => "storage writes",
            Self::Create => "contract creations",
            Self::Compute => "computation",
        }
    }

    /// Gas limit of one transaction, above what it uses.
    const fn gas_limit(self) -> u64 {
        match self {
            Self::Transfer => 21_000,
            Self::Erc20 => 40_000,
            Self::Storage => 30_000 + SLOTS * 22_500,
            Self::Create => 400_000,
            Self::Compute => COMPUTE_GAS,
        }
    }
}

/// A generated chain's accounts and the transactions among them.
pub(super) struct Workload {
    /// Accounts that the state begins with.
    pub(super) accounts: u64,
    /// Gas limit of a block.
    pub(super) gas_limit: u64,
    senders: Vec<PrivateKeySigner>,
    nonces: Vec<u64>,
    /// Next account to receive, and next slot to write; both go through all of theirs.
    cursor: u64,
}

impl Workload {
    /// A chain of `accounts` accounts, of which enough hold keys to fill a block.
    pub(super) fn new(accounts: u64, gas_limit: u64) -> eyre::Result<Self> {
        let senders = (gas_limit / Kind::Transfer.gas_limit() + 1).min(accounts);
        let senders = (1..=senders)
            .map(|n| PrivateKeySigner::from_bytes(&B256::from(U256::from(n))))
            .collect::<Result<Vec<_>, _>>()?;
        let nonces = vec![0; senders.len()];
        Ok(Self { accounts, gas_limit, senders, nonces, cursor: 0 })
    }

    /// Address of an account that sends.
    pub(super) fn sender(&self, n: u64) -> Address {
        // There is at least one.
        self.senders[(n % self.senders.len() as u64) as usize].address()
    }

    /// An account that only receives. Addresses are hashed, so that paths in the trie spread.
    pub(super) fn account(n: u64) -> Address {
        Address::from_word(keccak256(n.to_be_bytes()))
    }

    /// The accounts that only receive.
    fn others(&self) -> impl Iterator<Item = Address> + Clone {
        (self.senders.len() as u64..self.accounts).map(Self::account)
    }

    /// The chain's genesis: all forks, the accounts, a token that each of them holds. Without
    /// `others`, the accounts that only receive are not in it.
    pub(super) fn genesis(&self, others: bool) -> eyre::Result<Genesis> {
        let rich = GenesisAccount::default().with_balance(ETHER * U256::from(1_000_000));
        let keyed = self.senders.iter().map(PrivateKeySigner::address);
        let others = self.others().take(if others { usize::MAX } else { 0 });
        let holders = keyed.clone().chain(others.clone());
        let balances = holders.map(|holder| (balance_slot(holder), B256::from(ETHER))).collect();

        let mut alloc: std::collections::BTreeMap<_, _> = keyed
            .map(|address| (address, rich.clone()))
            .chain(others.map(|a| (a, GenesisAccount::default().with_balance(ETHER))))
            .collect();
        let code = |code: Vec<u8>| GenesisAccount::default().with_code(Some(code.into()));
        alloc.insert(TOKEN, code(token_code()).with_storage(Some(balances)));
        alloc.insert(STORAGE, code(storage_code()));
        alloc.insert(COMPUTE, code(compute_code()));
        alloc.insert(predeploys::L1_BLOCK, l1_block());
        for (address, bytes) in [
            (eip4788::BEACON_ROOTS_ADDRESS, &eip4788::BEACON_ROOTS_CODE),
            (eip2935::HISTORY_STORAGE_ADDRESS, &eip2935::HISTORY_STORAGE_CODE),
        ] {
            alloc.insert(address, code(bytes.to_vec()).with_nonce(Some(1)));
        }
        Ok(Genesis {
            config: chain_config()?,
            timestamp: 1,
            extra_data: hex!("01000000fa000000060000000000000000").into(),
            gas_limit: self.gas_limit + DEPOSIT_GAS,
            base_fee_per_gas: Some(1_000_000),
            excess_blob_gas: Some(0),
            blob_gas_used: Some(0),
            alloc,
            ..Default::default()
        })
    }

    /// Gives the importer the accounts of a genesis without the others, and the others.
    pub(super) fn fill(
        &self,
        genesis: &Genesis,
        importer: &mut Importer<'_>,
    ) -> Result<(), StoreError> {
        // A plain list of keys: of ten million accounts this is what memory holds.
        let mut accounts: Vec<(B256, Option<&Address>)> =
            self.others().map(|address| (keccak256(address), None)).collect();
        let named = genesis.alloc.keys();
        accounts.extend(named.map(|address| (keccak256(address), Some(address))));
        accounts.sort_unstable();
        for (key, named) in accounts {
            let Some((address, account)) = named.and_then(|a| genesis.alloc.get_key_value(a))
            else {
                importer.account(key, 0, ETHER, Bytes::new())?;
                continue;
            };
            let code = account.code.clone().unwrap_or_default();
            importer.account(key, account.nonce.unwrap_or_default(), account.balance, code)?;
            let storage = account.storage.iter().flatten();
            let mut slots: Vec<_> =
                storage.map(|(slot, value)| (keccak256(slot), *value)).collect();
            if *address == TOKEN {
                let holders = self.others().map(balance_slot);
                slots.extend(holders.map(|slot| (keccak256(slot), B256::from(ETHER))));
            }
            slots.sort_unstable();
            slots.into_iter().try_for_each(|(key, value)| importer.slot(key, value.into()))?;
        }
        Ok(())
    }

    /// The block on genesis after which the state has this root.
    pub(super) fn first_block(genesis: &SealedBlock, root: B256) -> StoredBlock {
        let parent = genesis.header();
        let header = Header {
            number: parent.number + 1,
            parent_hash: genesis.hash,
            timestamp: parent.timestamp + BLOCK_TIME,
            state_root: root,
            ..parent.clone()
        };
        let body = BlockBody { withdrawals: Some(Default::default()), ..Default::default() };
        StoredBlock {
            withdrawals_storage_root: header.withdrawals_root,
            block: SealedBlock::new(Block { header, body }),
            receipts: Vec::new(),
            senders: Vec::new(),
            l1_fee: None,
        }
    }

    /// Signed transactions that fill one block.
    pub(super) fn transactions(&mut self, kind: Kind) -> eyre::Result<Vec<TxEnvelope>> {
        let count = self.gas_limit / kind.gas_limit();
        (0..count).map(|n| self.transaction(kind, n as usize)).collect()
    }

    fn transaction(&mut self, kind: Kind, n: usize) -> eyre::Result<TxEnvelope> {
        let index = n % self.senders.len();
        self.cursor += 1;
        // A step without a factor in common with most counts visits the accounts out of order.
        let keyed = self.senders.len() as u64;
        let others = self.accounts.saturating_sub(keyed).max(1);
        let receiver = Self::account(keyed + self.cursor.wrapping_mul(1_000_003) % others);
        let (to, input, value) = match kind {
            Kind::Transfer => (TxKind::Call(receiver), Bytes::new(), U256::from(1)),
            Kind::Erc20 => (TxKind::Call(TOKEN), transfer_call(receiver), U256::ZERO),
            Kind::Storage => {
                let first = U256::from(self.cursor * SLOTS);
                (TxKind::Call(STORAGE), first.to_be_bytes_vec().into(), U256::ZERO)
            }
            Kind::Create => (TxKind::Create, init_code(), U256::ZERO),
            Kind::Compute => (TxKind::Call(COMPUTE), Bytes::new(), U256::ZERO),
        };
        let (signer, nonce) = (&self.senders[index], &mut self.nonces[index]);
        let tx = TxEip1559 {
            chain_id: CHAIN_ID,
            nonce: *nonce,
            gas_limit: kind.gas_limit(),
            max_fee_per_gas: 1_000_000_000_000,
            max_priority_fee_per_gas: 1_000_000,
            to,
            value,
            access_list: Default::default(),
            input,
        };
        *nonce += 1;
        let signature = signer.sign_hash_sync(&tx.signature_hash())?;
        Ok(TxEnvelope::Eip1559(tx.into_signed(signature)))
    }

    /// Attributes of a block on `parent` that holds the attributes deposit and `forced`.
    pub(super) fn attributes(
        &self,
        parent: &SealedBlock,
        forced: &[TxEnvelope],
        no_tx_pool: bool,
    ) -> PayloadAttributes {
        let header = parent.header();
        let deposit = TxEnvelope::from(DepositTransaction {
            source_hash: B256::from(U256::from(header.number + 1)),
            from: predeploys::L1_INFO_DEPOSITOR,
            to: TxKind::Call(predeploys::L1_BLOCK),
            mint: 0,
            value: U256::ZERO,
            gas_limit: DEPOSIT_GAS,
            is_system_transaction: false,
            input: Bytes::new(),
        });
        let transactions = std::iter::once(&deposit).chain(forced);
        PayloadAttributes {
            timestamp: header.timestamp + BLOCK_TIME,
            suggested_fee_recipient: predeploys::SEQUENCER_FEE_VAULT,
            withdrawals: Some(Vec::new()),
            parent_beacon_block_root: Some(B256::ZERO),
            transactions: Some(transactions.map(|tx| tx.encoded_2718().into()).collect()),
            no_tx_pool,
            gas_limit: Some(self.gas_limit + DEPOSIT_GAS),
            eip1559_params: Some(B64::ZERO),
            min_base_fee: Some(0),
            ..Default::default()
        }
    }
}

/// Call data of `transfer(to, 1)`.
pub(super) fn transfer_call(to: Address) -> Bytes {
    let mut data = hex!("a9059cbb").to_vec();
    data.extend(to.into_word());
    data.extend(U256::from(1).to_be_bytes::<32>());
    data.into()
}

/// The token's address.
pub(super) const fn token() -> Address {
    TOKEN
}

/// Slot of a holder's balance: the key of a Solidity mapping in slot 0.
pub(super) fn balance_slot(holder: Address) -> B256 {
    let mut key = [0u8; 64];
    key[12..32].copy_from_slice(holder.as_slice());
    keccak256(key)
}

/// An OP chain's configuration with every fork up to Karst from the start.
fn chain_config() -> eyre::Result<ChainConfig> {
    let mut config = serde_json::json!({
        "chainId": CHAIN_ID,
        "homesteadBlock": 0, "eip150Block": 0, "eip155Block": 0, "eip158Block": 0,
        "byzantiumBlock": 0, "constantinopleBlock": 0, "petersburgBlock": 0, "istanbulBlock": 0,
        "berlinBlock": 0, "londonBlock": 0, "mergeNetsplitBlock": 0,
        "shanghaiTime": 0, "cancunTime": 0, "pragueTime": 0, "terminalTotalDifficulty": 0,
        "optimism": {
            "eip1559Elasticity": 6, "eip1559Denominator": 50, "eip1559DenominatorCanyon": 250
        },
    });
    for row in TABLE.iter().filter(|row| row.fork <= Hardfork::Karst) {
        if let Some(key) = row.genesis_key {
            config[key] = 0.into();
        }
    }
    Ok(serde_json::from_value(config)?)
}

/// `L1Block` as a contract that accepts its deposit: base fee 10 gwei, both scalars 1, blob base
/// fee 1, no operator fee, no DA footprint.
fn l1_block() -> GenesisAccount {
    let mut scalars = [0; 32];
    scalars[19] = 1;
    scalars[23] = 1;
    let storage = [
        (B256::with_last_byte(1), B256::from(U256::from(10_000_000_000_u64))),
        (B256::with_last_byte(3), B256::from(scalars)),
        (B256::with_last_byte(7), B256::with_last_byte(1)),
    ];
    GenesisAccount::default().with_code(Some(hex!("00").into())).with_storage(Some(storage.into()))
}

/// A token's `transfer`, without a selector: checks and moves balances in a mapping and logs
/// `Transfer`.
fn token_code() -> Vec<u8> {
    let mut code = hex!(
        "335f52" // caller to memory
        "60405f20" // slot of the caller's balance
        "602435" // amount
        "8154" // balance
        "818110" // balance < amount
    )
    .to_vec();
    let revert_jump = code.len() + 1;
    code.extend(hex!(
        "600057" // to the end if so
        "819003" // balance - amount
        "8255" // stored
        "6004355f52" // receiver to memory
        "60405f20" // slot of the receiver's balance
        "80548201" // plus amount
        "9055" // stored
        "5f52" // amount to memory
        "60043533" // receiver, caller
        "7fddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef" // Transfer
        "60205fa3" // log
        "60015f5260205ff3" // true
    ));
    code[revert_jump] = code.len() as u8;
    code.extend(hex!("5b5f5ffd"));
    code
}

/// Writes the block's number to [`SLOTS`] slots, from the one in the call data on.
fn storage_code() -> Vec<u8> {
    let mut code = hex!("5f355f").to_vec(); // first slot, counter
    let loop_start = code.len() as u8;
    code.extend(hex!(
        "5b" // loop
        "43" // block number
        "8282" // first slot, counter
        "01" // slot
        "55" // stored
        "6001018060" // counter + 1, copied
    ));
    code.push(SLOTS as u8);
    code.extend([0x11, 0x60, loop_start, 0x57, 0x00]); // counter < SLOTS: again
    code
}

/// Squares, adds and hashes until little gas is left.
fn compute_code() -> Vec<u8> {
    let mut code = hex!("5f5b").to_vec(); // a number, loop
    for _ in 0..8 {
        code.extend(hex!("800260030180600c1c18")); // squared plus 3, mixed with its own bits
    }
    code.extend(hex!(
        "5f5260205f20" // its hash
        "5a61138810" // gas left above 5,000
        "60015700" // again
    ));
    code
}

/// Init code that deploys [`CREATED_BYTES`] of code that stops at once.
fn init_code() -> Bytes {
    let [high, low] = CREATED_BYTES.to_be_bytes();
    let mut code = vec![0x61, high, low, 0x80, 0x60, 0x0c, 0x5f, 0x39, 0x5f, 0xf3];
    code.resize(0x0c + usize::from(CREATED_BYTES), 0x00);
    code.into()
}
