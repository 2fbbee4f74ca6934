//! The deployment on L1 as data: an ordered list of steps, and what must hold afterwards.
//!
//! ```text
//!  intent ──plan──► steps ──┬─ in_process: EVM at genesis ─► alloc of the embedded L1
//!                   checks ─┴─ transactions: an RPC provider ─► an external L1
//! ```
//! All contracts are created through the deterministic deployment proxy, so that every address is
//! known before the first step, no step depends on a nonce, and a deployment that broke off can be
//! taken up again: a step whose `done` check already holds is skipped.
//!
//! The block in which the SystemConfig is initialized is where L2 begins. The contract keeps its
//! number, so that the chain alone tells it. What follows knows the L2's genesis: the anchor of the
//! dispute games is its output root. The portal opens after that block: no deposit is older than
//! L2.

mod calls;
mod checks;
mod creations;

use alloy_primitives::{Address, B256, Bytes, U256, address, b256};
use alloy_sol_types::{SolCall, SolValue};
use opal_protocol::Hardfork;

use crate::abi::ResourceConfig;
use crate::addresses::Addresses;
use crate::artifacts::{ArtifactError, Contract};
use crate::intent::{FeeScalars, Intent};
use creations::create_all;

/// The deterministic deployment proxy: calldata is a salt and init code.
pub const CREATE2_PROXY: Address = address!("4e59b44847b379578588920cA78FbF26c0B4956C");

/// EIP-1967's implementation slot.
pub const IMPLEMENTATION_SLOT: B256 =
    b256!("360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc");
/// EIP-1967's admin slot.
pub const ADMIN_SLOT: B256 =
    b256!("b53127684a568b3173ae13b9f8a6016e243e63b6e8ee1178d6a717850b5d6103");

/// The SystemConfig's name of the feature of a lockbox: the text, padded to a word.
const FEATURE_ETH_LOCKBOX: B256 =
    b256!("4554485f4c4f434b424f58000000000000000000000000000000000000000000");

/// What `_initialized` is in an implementation whose constructor has locked it.
const LOCKED: u8 = u8::MAX;

/// Type of the permissioned dispute game.
pub const PERMISSIONED_GAME: u32 = 1;

/// The market of deposits: what one L1 block may buy of L2's gas, and at which price.
const RESOURCE_CONFIG: ResourceConfig = ResourceConfig {
    maxResourceLimit: 20_000_000,
    elasticityMultiplier: 10,
    baseFeeMaxChangeDenominator: 8,
    minimumBaseFee: 1_000_000_000,
    systemTxMaxGas: 1_000_000,
    maximumBaseFee: u128::MAX,
};

/// A way to read the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// The code of an account.
    Code(Address),
    /// A storage slot, as 32 bytes.
    Storage(Address, B256),
    /// One byte of a storage slot, and how many bytes are to the right of it.
    StorageByte(Address, B256, usize),
    /// What a call returns.
    Call(Address, Bytes),
}

/// Something that must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What is looked at, for people: "SystemConfig.gasLimit".
    pub what: String,
    /// How to read it.
    pub query: Query,
    /// What it must be.
    pub expected: Bytes,
}

/// One transaction of the deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What it does, for people.
    pub name: String,
    /// Whom it calls.
    pub to: Address,
    /// Calldata.
    pub data: Bytes,
    /// Holds when the step has been done.
    pub done: Check,
    /// Steps of one wave don't depend on each other, only on the waves before: they may share a block.
    pub wave: u8,
}

/// A deployment: what to do, and how to see that it is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Where everything will be.
    pub addresses: Addresses,
    /// The steps up to the one whose block L2 begins with. They don't depend on the anchor.
    pub until_start: Vec<Step>,
    /// The steps after it, in order.
    pub after_start: Vec<Step>,
    /// What must hold after the last one.
    pub checks: Vec<Check>,
}

impl Plan {
    /// All steps, in order.
    pub fn steps(&self) -> impl Iterator<Item = &Step> + Clone {
        self.until_start.iter().chain(&self.after_start)
    }
}

/// Where everything of a deployment will be. `deployer` is the account that sends the steps.
///
/// # Errors
/// If an embedded artifact is damaged.
pub fn addresses(intent: &Intent, deployer: Address) -> Result<Addresses, ArtifactError> {
    Ok(create_all(intent, deployer)?.addresses)
}

/// Plans the deployment. `deployer` is the account that sends the steps: it owns the contracts
/// until the last steps hand them to the intent's owners. `anchor` is the output root of L2's
/// genesis.
///
/// # Errors
/// If an embedded artifact is damaged.
pub fn plan(intent: &Intent, deployer: Address, anchor: B256) -> Result<Plan, ArtifactError> {
    let created = create_all(intent, deployer)?;
    let addresses = created.addresses;
    let mut checks: Vec<Check> = created.steps.iter().map(|step| step.done.clone()).collect();
    let [superchain, system_config] = calls::until_start(intent, &addresses, deployer);
    let until_start = in_waves(0, [created.steps, vec![superchain], vec![system_config]]);
    let waves = [
        calls::settings(intent, &addresses),
        calls::initializations(&addresses, deployer, anchor, intent.roles.l1_proxy_admin_owner),
        calls::lockbox(intent, &addresses),
        calls::games(intent, &addresses),
        calls::handovers(intent, &addresses),
    ];
    let after_start = in_waves(3, waves);
    checks.extend(checks::proxies(&addresses)?);
    checks.extend(checks::owners_and_settings(intent, &addresses));
    checks.extend(checks::wiring(intent, &addresses, anchor));
    Ok(Plan { addresses, until_start, after_start, checks })
}

/// Numbers waves of steps, from `first` on.
fn in_waves<const N: usize>(first: u8, waves: [Vec<Step>; N]) -> Vec<Step> {
    let numbered = (first..).zip(waves);
    numbered
        .flat_map(|(wave, steps)| steps.into_iter().map(move |step| Step { wave, ..step }))
        .collect()
}

/// `overhead` and `scalar` of the SystemConfig after deployment.
pub(crate) fn fee_parameters(intent: &Intent) -> (U256, U256) {
    if intent.fork < Hardfork::Ecotone {
        return bedrock_fees(&intent.fees);
    }
    let scalars = opal_protocol::system_config::FeeScalars {
        base_fee_scalar: intent.fees.base_fee,
        blob_base_fee_scalar: intent.fees.blob_base_fee,
    };
    (U256::ZERO, scalars.encode().into())
}

fn bedrock_fees(fees: &FeeScalars) -> (U256, U256) {
    (U256::from(fees.bedrock_overhead), U256::from(fees.bedrock_scalar))
}

/// The byte of a storage slot that has so many others to the right of it.
pub(crate) fn byte_of(word: U256, offset: usize) -> Bytes {
    Bytes::copy_from_slice(&[word.byte(offset)])
}

/// The version that a contract's initializer sets, where the contract stands behind a proxy on L1.
/// Those of the OP Stack count up with each that had to run again on live chains.
const fn init_version(contract: Contract) -> u8 {
    match contract {
        Contract::SuperchainConfig
        | Contract::SystemConfig
        | Contract::OptimismPortal
        | Contract::L1CrossDomainMessenger
        | Contract::L1StandardBridge
        | Contract::L1ERC721Bridge => 3,
        _ => 1,
    }
}

fn returns(
    what: impl Into<String>,
    to: Address,
    call: impl SolCall,
    expected: impl SolValue,
) -> Check {
    let query = Query::Call(to, call.abi_encode().into());
    Check { what: what.into(), query, expected: expected.abi_encode().into() }
}

fn slot_is(what: impl Into<String>, at: Address, slot: B256, expected: Address) -> Check {
    let expected = Bytes::copy_from_slice(expected.into_word().as_slice());
    Check { what: what.into(), query: Query::Storage(at, slot), expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_feature_is_its_name() {
        let name = b"ETH_LOCKBOX";
        assert!(FEATURE_ETH_LOCKBOX.starts_with(name));
        assert!(FEATURE_ETH_LOCKBOX[name.len()..].iter().all(|byte| *byte == 0));
    }
}
