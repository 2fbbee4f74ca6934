//! Genesis of the embedded L1: a post-merge chain with every fork active from its first block, the
//! system contracts, funded accounts, and the rollup's contracts in place.

use std::collections::BTreeMap;

use alloy_eips::eip7840::BlobParams;
use alloy_eips::{eip2935, eip4788, eip7002, eip7251};
use alloy_genesis::{ChainConfig, Genesis, GenesisAccount};
use alloy_primitives::{Address, Bytes, U256, bytes};

use crate::in_process::{DEPLOYER, GenesisEvm, InProcessError};
use crate::intent::{Intent, L1Fork};
use crate::steps::{CREATE2_PROXY, Plan};

/// Base fee of genesis, in wei.
pub(crate) const INITIAL_BASE_FEE: u128 = 1_000_000_000;

/// Code of the deterministic deployment proxy: creates the contract of the init code that follows
/// 32 bytes of salt.
pub(crate) const CREATE2_PROXY_CODE: Bytes = bytes!(
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf3"
);

/// Builds the genesis, with the rollup's contracts deployed as `plan` says. The ether that L2 begins
/// with lies at the portal, or in its lockbox, as if it had been deposited.
///
/// # Errors
/// If a step of the deployment fails.
pub fn l1_genesis(intent: &Intent, plan: &Plan, timestamp: u64) -> Result<Genesis, InProcessError> {
    let mut alloc = system_contracts();
    alloc.insert(CREATE2_PROXY, contract(CREATE2_PROXY_CODE));
    fund(&mut alloc, &intent.embedded_l1.balances);

    let chain_id = intent.embedded_l1_chain_id();
    let mut evm = GenesisEvm::new(chain_id, timestamp, &alloc);
    evm.deploy(plan, DEPLOYER)?;
    let mut alloc = evm.into_alloc();
    let holder = match intent.eth_lockbox {
        true => plan.addresses.eth_lockbox_proxy,
        false => plan.addresses.optimism_portal_proxy,
    };
    let deposited = intent.l2_balances.values().fold(U256::ZERO, |a, b| a.saturating_add(*b));
    fund(&mut alloc, &BTreeMap::from([(holder, deposited)]));

    Ok(Genesis {
        config: config(chain_id, intent.embedded_l1.fork),
        timestamp,
        extra_data: Bytes::from_static(b"opal"),
        gas_limit: intent.embedded_l1.gas_limit,
        alloc,
        base_fee_per_gas: Some(INITIAL_BASE_FEE),
        excess_blob_gas: Some(0),
        blob_gas_used: Some(0),
        number: Some(0),
        ..Genesis::default()
    })
}

/// Forks and the blob schedule.
fn config(chain_id: u64, fork: L1Fork) -> ChainConfig {
    let mut blob_schedule = BTreeMap::from([
        ("cancun".to_owned(), BlobParams::cancun()),
        ("prague".to_owned(), BlobParams::prague()),
    ]);
    let osaka_time = (fork == L1Fork::Osaka).then_some(0);
    if osaka_time.is_some() {
        blob_schedule.insert("osaka".to_owned(), BlobParams::osaka());
    }
    ChainConfig {
        shanghai_time: Some(0),
        cancun_time: Some(0),
        prague_time: Some(0),
        osaka_time,
        blob_schedule,
        ..merged_config(chain_id)
    }
}

/// All forks that activate by block number, and the merge, at genesis.
pub(crate) fn merged_config(chain_id: u64) -> ChainConfig {
    ChainConfig {
        chain_id,
        homestead_block: Some(0),
        eip150_block: Some(0),
        eip155_block: Some(0),
        eip158_block: Some(0),
        byzantium_block: Some(0),
        constantinople_block: Some(0),
        petersburg_block: Some(0),
        istanbul_block: Some(0),
        muir_glacier_block: Some(0),
        berlin_block: Some(0),
        london_block: Some(0),
        arrow_glacier_block: Some(0),
        gray_glacier_block: Some(0),
        merge_netsplit_block: Some(0),
        terminal_total_difficulty: Some(U256::ZERO),
        terminal_total_difficulty_passed: true,
        ..ChainConfig::default()
    }
}

/// The contracts that blocks since Cancun and Prague call: beacon roots, block hashes, withdrawal
/// and consolidation requests.
fn system_contracts() -> BTreeMap<Address, GenesisAccount> {
    BTreeMap::from([
        (eip4788::BEACON_ROOTS_ADDRESS, contract(eip4788::BEACON_ROOTS_CODE.clone())),
        (eip2935::HISTORY_STORAGE_ADDRESS, contract(eip2935::HISTORY_STORAGE_CODE.clone())),
        (
            eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
            contract(eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_CODE.clone()),
        ),
        (
            eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
            contract(eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_CODE.clone()),
        ),
    ])
}

/// A contract as if a transaction had created it: its nonce is 1.
pub(crate) fn contract(code: Bytes) -> GenesisAccount {
    GenesisAccount { nonce: Some(1), code: Some(code), ..GenesisAccount::default() }
}

/// Adds balances, on top of what the accounts have.
pub(crate) fn fund(
    alloc: &mut BTreeMap<Address, GenesisAccount>,
    balances: &BTreeMap<Address, U256>,
) {
    for (address, balance) in balances {
        let account = alloc.entry(*address).or_default();
        account.balance = account.balance.saturating_add(*balance);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::accounts::{DevAccounts, TEST_MNEMONIC};
    use crate::intent::EmbeddedL1;
    use crate::steps;
    use alloy_primitives::B256;
    use opal_evm::ChainSpec;
    use opal_evm::revm::primitives::hardfork::SpecId;

    #[test]
    fn the_fork_decides_rules_and_blob_schedule() {
        let base = Intent::devnet(&DevAccounts::from_mnemonic(TEST_MNEMONIC).unwrap());
        for (fork, spec_id, blobs) in [
            (L1Fork::Prague, SpecId::PRAGUE, vec!["cancun", "prague"]),
            (L1Fork::Osaka, SpecId::OSAKA, vec!["cancun", "osaka", "prague"]),
        ] {
            let embedded_l1 = EmbeddedL1 { fork, ..base.embedded_l1.clone() };
            let intent = Intent { embedded_l1, ..base.clone() };
            let plan = steps::plan(&intent, DEPLOYER, B256::ZERO).unwrap();
            let genesis = l1_genesis(&intent, &plan, 5).unwrap();
            let spec = ChainSpec::from_genesis(&genesis).unwrap();
            assert!(!spec.is_l2());
            assert_eq!((spec.chain_id, spec.evm_spec(5)), (900, spec_id));
            assert!(genesis.config.blob_schedule.keys().eq(blobs.iter()));

            let (block, state) = opal_evm::genesis(&spec, &genesis).unwrap();
            let header = block.header();
            assert_eq!((header.number, header.timestamp, header.gas_limit), (0, 5, 60_000_000));
            assert_eq!(header.base_fee_per_gas, Some(1_000_000_000));
            assert!(header.requests_hash.is_some() && header.withdrawals_root.is_some());
            for (address, account) in system_contracts() {
                let code = &genesis.alloc[&address].code;
                assert_eq!(code, &account.code);
                assert!(state.account(&address).unwrap().is_some());
            }
        }
    }

    #[test]
    fn balances_add_up() {
        let address = Address::repeat_byte(1);
        let mut alloc = BTreeMap::new();
        for balance in [U256::from(1), U256::MAX] {
            fund(&mut alloc, &BTreeMap::from([(address, balance)]));
        }
        assert_eq!(alloc[&address].balance, U256::MAX);
    }
}
