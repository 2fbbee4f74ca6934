//! Blocks executed by the peer: `alloy-op-evm` over `op-revm` for an OP chain, `alloy-evm` over
//! revm for an L1.

use std::borrow::Cow;

use alloy_consensus::transaction::Recovered;
use alloy_consensus::{Header, TxEnvelope as EthTxEnvelope};
use alloy_eips::eip2718::{Decodable2718, Encodable2718, WithEncoded};
use alloy_eips::eip7840::BlobParams;
use alloy_evm::block::{BlockExecutionError, BlockExecutor as _, TxResult};
use alloy_evm::eth::receipt_builder::AlloyReceiptBuilder;
use alloy_evm::eth::spec::EthExecutorSpec;
use alloy_evm::eth::{EthBlockExecutionCtx, EthBlockExecutor, NextEvmEnvAttributes};
use alloy_evm::{EthEvmFactory, Evm as _, EvmEnv, EvmFactory};
use alloy_hardforks::{EthereumHardfork, EthereumHardforks, ForkCondition};
use alloy_op_evm::block::OpAlloyReceiptBuilder;
use alloy_op_evm::{
    OpBlockExecutionCtx, OpBlockExecutor, OpEvmFactory, OpTx, evm_env_for_op_next_block,
};
use alloy_op_hardforks::{OpChainHardforks, OpHardfork};
use alloy_primitives::{Address, B256, Bytes, Log};
use op_alloy_consensus::{OpReceiptEnvelope, OpTxEnvelope};
use opal_evm::{BlockInput, ChainSpec, L1Rules, Rules};
use opal_protocol::{Hardfork, TxEnvelope};
use peer_revm::Database as _;
use peer_revm::context::result::{ExecutionResult, Output};
use peer_revm::database::State;
use peer_revm::database::WrapDatabaseRef;
use peer_revm::database::states::bundle_state::BundleRetention;

use crate::execution::plain::Plain;

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxResultOf {
    /// Whether it succeeded.
    pub success: bool,
    /// Gas used.
    pub gas_used: u64,
    /// Return data, or the reason of a revert.
    pub output: Bytes,
    /// The contract it created.
    pub created: Option<Address>,
    /// Its logs.
    pub logs: Vec<Log>,
}

impl TxResultOf {
    fn new<H>(result: ExecutionResult<H>) -> Self {
        let success = result.is_success();
        let created = match &result {
            ExecutionResult::Success { output: Output::Create(_, address), .. } => *address,
            _ => None,
        };
        Self {
            success,
            gas_used: result.tx_gas_used(),
            output: result.output().cloned().unwrap_or_default(),
            created,
            logs: result.into_logs(),
        }
    }
}

/// A block in the making.
pub trait PeerBlock {
    /// An account's nonce as it is now.
    fn nonce(&mut self, address: Address) -> u64;

    /// Executes a transaction; the error says why it is refused.
    fn transact(&mut self, tx: &TxEnvelope, sender: Address) -> Result<TxResultOf, String>;
}

/// What came of a block.
#[derive(Debug)]
pub struct PeerEnd {
    /// Receipts, encoded as the receipts root takes them.
    pub receipts: Vec<Vec<u8>>,
    /// Gas used.
    pub gas_used: u64,
    /// Blob gas used, or the DA footprint.
    pub blob_gas_used: u64,
    /// Requests, type byte first.
    pub requests: Vec<Bytes>,
    /// The state after the block.
    pub state: Plain,
}

/// What the peer is told of a block.
#[derive(Debug)]
pub struct PeerInput<'a> {
    /// The chain.
    pub spec: &'a ChainSpec,
    /// The block to build on, and its hash.
    pub parent: (&'a Header, B256),
    /// What consensus decides.
    pub input: &'a BlockInput,
    /// Base fee by our rules.
    pub base_fee: u64,
}

impl PeerInput<'_> {
    fn attributes(&self) -> NextEvmEnvAttributes {
        NextEvmEnvAttributes {
            timestamp: self.input.timestamp,
            suggested_fee_recipient: self.input.beneficiary,
            prev_randao: self.input.prev_randao,
            gas_limit: self.input.gas_limit,
            slot_number: None,
        }
    }
}

type Db = State<WrapDatabaseRef<Plain>>;

fn database(plain: Plain) -> Db {
    State::builder().with_database(WrapDatabaseRef(plain)).with_bundle_update().build()
}

fn after(mut db: Db) -> Plain {
    db.merge_transitions(BundleRetention::PlainState);
    let bundle = db.take_bundle();
    let mut plain = db.database.0;
    plain.apply(bundle);
    plain
}

/// Executes a block whose transactions come from `fill`.
pub fn block(
    input: &PeerInput<'_>,
    plain: Plain,
    fill: impl FnOnce(&mut dyn PeerBlock),
) -> PeerEnd {
    match &input.spec.rules {
        Rules::L1(rules) => l1_block(input, rules, plain, fill),
        Rules::L2(_) => l2_block(input, plain, fill),
    }
}

/// The peer's schedule of an OP chain.
pub fn op_forks(spec: &ChainSpec) -> OpChainHardforks {
    let Rules::L2(rules) = &spec.rules else { panic!("not an OP chain") };
    let forks = [
        (OpHardfork::Regolith, Hardfork::Regolith),
        (OpHardfork::Canyon, Hardfork::Canyon),
        (OpHardfork::Ecotone, Hardfork::Ecotone),
        (OpHardfork::Fjord, Hardfork::Fjord),
        (OpHardfork::Granite, Hardfork::Granite),
        (OpHardfork::Holocene, Hardfork::Holocene),
        (OpHardfork::Isthmus, Hardfork::Isthmus),
        (OpHardfork::Jovian, Hardfork::Jovian),
        (OpHardfork::Karst, Hardfork::Karst),
    ];
    let condition = |fork| match rules.schedule.time(fork) {
        Some(time) => ForkCondition::Timestamp(time),
        None => ForkCondition::Never,
    };
    let rows = forks.into_iter().map(|(theirs, ours)| (theirs, condition(ours)));
    OpChainHardforks::new(rows.chain([
        (OpHardfork::Bedrock, ForkCondition::Block(0)),
        (OpHardfork::Interop, ForkCondition::Never),
    ]))
}

/// A deposit's nonce enters the receipts root from Canyon on.
fn for_root(receipt: &OpReceiptEnvelope) -> Vec<u8> {
    let mut receipt = receipt.clone();
    if let OpReceiptEnvelope::Deposit(deposit) = &mut receipt
        && deposit.receipt.deposit_receipt_version.is_none()
    {
        deposit.receipt.deposit_nonce = None;
    }
    receipt.encoded_2718()
}

struct Running<E>(E);

fn l2_block(input: &PeerInput<'_>, plain: Plain, fill: impl FnOnce(&mut dyn PeerBlock)) -> PeerEnd {
    let forks = op_forks(input.spec);
    let env = evm_env_for_op_next_block(
        input.parent.0,
        input.attributes(),
        input.base_fee,
        &forks,
        input.spec.chain_id,
    );
    let context = OpBlockExecutionCtx {
        parent_hash: input.parent.1,
        parent_beacon_block_root: input.input.parent_beacon_block_root,
        extra_data: input.input.extra_data.clone(),
    };
    let mut db = database(plain);
    let evm = OpEvmFactory::<OpTx>::default().create_evm(&mut db, env);
    let mut executor = OpBlockExecutor::new(evm, context, forks, OpAlloyReceiptBuilder::default());
    executor.apply_pre_execution_changes().unwrap();
    let mut running = Running(executor);
    fill(&mut running);
    let (_, result) = running.0.finish().unwrap();
    PeerEnd {
        receipts: result.receipts.iter().map(for_root).collect(),
        gas_used: result.gas_used,
        blob_gas_used: result.blob_gas_used,
        requests: result.requests.to_vec(),
        state: after(db),
    }
}

fn refused(error: BlockExecutionError) -> String {
    assert!(matches!(error, BlockExecutionError::Validation(_)), "{error}");
    error.to_string()
}

macro_rules! peer_block {
    ($executor:ty, $envelope:ty) => {
        impl PeerBlock for Running<$executor> {
            fn nonce(&mut self, address: Address) -> u64 {
                let info = self.0.evm_mut().db_mut().basic(address).unwrap();
                info.map_or(0, |info| info.nonce)
            }

            fn transact(&mut self, tx: &TxEnvelope, sender: Address) -> Result<TxResultOf, String> {
                let encoded = Bytes::from(tx.encoded_2718());
                let envelope =
                    <$envelope>::decode_2718_exact(&encoded).map_err(|error| error.to_string())?;
                let tx = WithEncoded::new(encoded, Recovered::new_unchecked(envelope, sender));
                let output = self.0.execute_transaction_without_commit(tx).map_err(refused)?;
                let result = TxResultOf::new(output.result().result.clone());
                self.0.commit_transaction(output).unwrap();
                Ok(result)
            }
        }
    };
}

type OpEvmOf<'a> =
    <OpEvmFactory<OpTx> as EvmFactory>::Evm<&'a mut Db, peer_revm::inspector::NoOpInspector>;
type EthEvmOf<'a> =
    <EthEvmFactory as EvmFactory>::Evm<&'a mut Db, peer_revm::inspector::NoOpInspector>;
peer_block!(OpBlockExecutor<OpEvmOf<'_>, OpAlloyReceiptBuilder, OpChainHardforks>, OpTxEnvelope);
peer_block!(EthBlockExecutor<'_, EthEvmOf<'_>, L1Forks, AlloyReceiptBuilder>, EthTxEnvelope);

/// An L1's schedule.
#[derive(Clone, Debug)]
struct L1Forks(L1Rules);

impl EthereumHardforks for L1Forks {
    fn ethereum_fork_activation(&self, fork: EthereumHardfork) -> ForkCondition {
        let time = match fork {
            EthereumHardfork::Shanghai => self.0.shanghai_time,
            EthereumHardfork::Cancun => self.0.cancun_time,
            EthereumHardfork::Prague => self.0.prague_time,
            EthereumHardfork::Osaka => self.0.osaka_time,
            fork if fork <= EthereumHardfork::Paris => return ForkCondition::Block(0),
            _ => None,
        };
        time.map_or(ForkCondition::Never, ForkCondition::Timestamp)
    }
}

impl EthExecutorSpec for L1Forks {
    fn deposit_contract_address(&self) -> Option<Address> {
        Some(self.0.deposit_contract)
    }
}

fn l1_block(
    input: &PeerInput<'_>,
    rules: &L1Rules,
    plain: Plain,
    fill: impl FnOnce(&mut dyn PeerBlock),
) -> PeerEnd {
    let forks = L1Forks(rules.clone());
    let blobs: Option<BlobParams> = input.spec.blob_params(input.input.timestamp);
    let env = EvmEnv::for_eth_next_block(
        input.parent.0,
        input.attributes(),
        input.base_fee,
        &forks,
        input.spec.chain_id,
        blobs,
    );
    let context = EthBlockExecutionCtx {
        parent_hash: input.parent.1,
        parent_beacon_block_root: input.input.parent_beacon_block_root,
        ommers: &[],
        withdrawals: input.input.withdrawals.as_deref().map(Cow::Borrowed),
        extra_data: input.input.extra_data.clone(),
        tx_count_hint: None,
        slot_number: None,
    };
    let mut db = database(plain);
    let evm = EthEvmFactory::default().create_evm(&mut db, env);
    let mut executor = EthBlockExecutor::new(evm, context, forks, AlloyReceiptBuilder::default());
    executor.apply_pre_execution_changes().unwrap();
    let mut running = Running(executor);
    fill(&mut running);
    let (_, result) = running.0.finish().unwrap();
    PeerEnd {
        receipts: result.receipts.iter().map(Encodable2718::encoded_2718).collect(),
        gas_used: result.gas_used,
        blob_gas_used: result.blob_gas_used,
        requests: result.requests.to_vec(),
        state: after(db),
    }
}
