//! Blocks made from seeds, executed by Opal and by op-revm, alloy-op-evm and alloy-evm; and where
//! these are known to differ, with the reason.
//!
//! `OPAL_EXECUTION_BLOCKS` says how many blocks of each fork (default 600), `OPAL_EXECUTION_SEED`
//! the seed of the first chain.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "this workspace only tests and measures"
)]

use alloy_consensus::{SignableTransaction, TxEip4844, TxLegacy};
use alloy_primitives::{Address, B256, Signature, TxKind, U256, hex};
use op_revm::OpSpecId;
use opal_evm::revm::primitives::hardfork::SpecId;
use opal_evm::{L1FeeParams, TxError};
use opal_peers::execution::bytecode::Level;
use opal_peers::execution::compare::{Counts, Pair, pair, run};
use opal_peers::execution::world::{DEPOSITOR, Fork, World, forks};
use opal_protocol::predeploys::{L1_BLOCK, L1_FEE_VAULT, OPERATOR_FEE_VAULT};
use opal_protocol::{DepositTransaction, Hardfork, TxEnvelope};

/// Blocks of a chain.
const CHAIN: u64 = 12;
/// How many differences are told.
const TOLD: usize = 4;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn blocks_of_every_fork_are_executed_alike() {
    let chains = number("OPAL_EXECUTION_BLOCKS", 600).div_ceil(CHAIN);
    let first = number("OPAL_EXECUTION_SEED", 0);
    let mut failures = Vec::new();
    for fork in forks() {
        let mut counts = Counts::default();
        let before = failures.len();
        for seed in first..first + chains {
            failures.extend(run(seed, fork, CHAIN, &mut counts).err());
            if failures.len() > before + TOLD {
                break;
            }
        }
        println!("{fork:?}: {counts:?}");
        if failures.len() > before {
            continue;
        }
        // What the fork knows was in the blocks: deposits, set-code and blob transactions.
        let mut kinds = vec![0, 1, 2];
        kinds.extend(matches!(fork, Fork::L2(_)).then_some(0x7e));
        kinds.extend((fork.level() >= Level::Prague).then_some(4));
        kinds.extend((matches!(fork, Fork::L1(level) if level >= Level::Cancun)).then_some(3));
        assert!(kinds.iter().all(|kind| counts.included.contains_key(kind)), "{counts:?}");
        assert!(counts.failed > 0 && counts.refused > 0, "{fork:?}: {counts:?}");
        assert!(counts.created > 0 && counts.logs > 0, "{fork:?}: {counts:?}");
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

const CONTRACT: Address = Address::repeat_byte(0xc1);
/// Reverts.
const REVERTS: &[u8] = &hex!("60006000fd");
/// Returns the gas that is left.
const GAS: &[u8] = &hex!("5a60005260206000f3");

fn deposit(to: TxKind, gas_limit: u64) -> DepositTransaction {
    DepositTransaction { from: DEPOSITOR, to, gas_limit, ..DepositTransaction::default() }
}

fn deposits(fork: Hardfork, code: &[u8], list: &[DepositTransaction]) -> Pair {
    let world = World::of_contracts(Fork::L2(fork), &[(CONTRACT, code.to_vec())]);
    let list: Vec<_> = list.iter().map(|deposit| (deposit.clone().into(), deposit.from)).collect();
    pair(world, &list)
}

/// A transfer of the world's first sender.
fn transfer(world: &World) -> (TxEnvelope, Address) {
    let tx = TxLegacy {
        chain_id: Some(world.spec.chain_id),
        gas_price: 10_000_000_000,
        gas_limit: 100_000,
        to: TxKind::Call(DEPOSITOR),
        ..TxLegacy::default()
    };
    (TxEnvelope::Legacy(tx.into_signed(Signature::test_signature())), world.sender())
}

/// Before Regolith a deposit of the system uses no gas, whether it succeeds or not (op-geth,
/// `state_transition.go`); op-revm counts its limit when it fails.
#[test]
fn a_failed_system_deposit_before_regolith_uses_no_gas() {
    let mut system = deposit(TxKind::Call(CONTRACT), 50_000);
    system.is_system_transaction = true;
    let pair = deposits(Hardfork::Bedrock, REVERTS, &[system]);
    let (ours, theirs) = &pair.results[0];
    assert_eq!(ours.as_ref().unwrap().gas_used, 0);
    assert_eq!(theirs.as_ref().unwrap().gas_used, 50_000);
}

/// A failed deposit raises the nonce (deposits.md, "Execution"). Before Regolith op-revm lets it be
/// when a creation is not funded.
#[test]
fn an_unfunded_creation_before_regolith_raises_the_nonce() {
    let mut creation = deposit(TxKind::Create, 100_000);
    creation.value = U256::from(1);
    let pair = deposits(Hardfork::Bedrock, GAS, &[creation.clone()]);
    assert_eq!(pair.ours.account(&DEPOSITOR).unwrap().unwrap().nonce, 1);
    assert!(!pair.theirs.accounts.contains_key(&DEPOSITOR));
    let pair = deposits(Hardfork::Regolith, GAS, &[creation]);
    assert_eq!(pair.ours.account(&DEPOSITOR).unwrap().unwrap().nonce, 1);
    assert_eq!(pair.theirs.accounts[&DEPOSITOR].info.nonce, 1);
}

/// Before Regolith deposits of users take gas from the block, and only those of the system do not
/// (op-geth, `state_transition.go`); alloy-op-evm asks for the block's gas for neither.
#[test]
fn user_deposits_before_regolith_need_gas_of_the_block() {
    let large = deposit(TxKind::Call(CONTRACT), 20_000_000);
    let pair = deposits(Hardfork::Bedrock, GAS, &[large.clone(), large]);
    assert!(matches!(pair.results[1], (Err(TxError::BlockGas { .. }), Ok(_))));
}

/// karst/exec-engine.md: 57,600 bytes, which is 300 pairs. op-revm 20 has Jovian's 427 pairs; later
/// ones have 300.
#[test]
fn karst_bounds_bn256_pairing_at_300_pairs() {
    // Success of a static call of 0x08 with that much memory, as a word.
    let code = |pairs: u32| {
        let mut code = hex!("600060006300000000600060085afa60005260206000f3").to_vec();
        code[5..9].copy_from_slice(&(pairs * 192).to_be_bytes());
        code
    };
    for (pairs, fork, ours, theirs) in [
        (300, Hardfork::Karst, 1, 1),
        (301, Hardfork::Karst, 0, 1),
        (427, Hardfork::Jovian, 1, 1),
        (428, Hardfork::Karst, 0, 0),
    ] {
        let call = deposit(TxKind::Call(CONTRACT), 16_000_000);
        let pair = deposits(fork, &code(pairs), &[call]);
        let word = |n: u64| U256::from(n).to_be_bytes_vec();
        assert_eq!(pair.results[0].0.as_ref().unwrap().output[..], word(ours), "{fork} {pairs}");
        assert_eq!(pair.results[0].1.as_ref().unwrap().output[..], word(theirs), "{fork} {pairs}");
    }
}

/// Deposits are exempt from the cap of EIP-7825 (karst/overview.md) and can use all their gas.
/// With op-revm 20 they are let through, but what exceeds the cap is out of their reach; later ones
/// lift the cap for them.
#[test]
fn karst_deposits_beyond_the_cap_can_use_all_their_gas() {
    let call = deposit(TxKind::Call(CONTRACT), 20_000_000);
    let pair = deposits(Hardfork::Karst, GAS, &[call]);
    let (ours, theirs) = &pair.results[0];
    let gas = |output: &[u8]| U256::try_from_be_slice(output).unwrap().to::<u64>();
    assert_eq!(gas(&ours.as_ref().unwrap().output), 20_000_000 - 21_000 - 2);
    assert_eq!(gas(&theirs.as_ref().unwrap().output), (1 << 24) - 2);
    assert_eq!(ours.as_ref().unwrap().gas_used, theirs.as_ref().unwrap().gas_used);
}

/// While neither scalars nor blob base fee are set, Bedrock's L1 fee holds, in Fjord's first block,
/// too (op-geth, `rollup_cost.go`). op-revm looks at the scalars alone, takes Bedrock's formula with
/// the new scalar, which is zero, and from Fjord on no special case. Blocks where that is so have
/// no transactions but deposits, and later L1 attributes have a blob base fee of at least 1.
#[test]
fn unset_fee_parameters_mean_bedrocks_fee() {
    // Slots 1 (base fee), 5 (overhead), 6 (scalar), 7 (blob base fee).
    let set = |blob_base_fee: u64| {
        let mut input = Vec::new();
        for (slot, value) in [(1, 1_000_000_000), (5, 188), (6, 684_000), (7, blob_base_fee)] {
            input.extend_from_slice(&U256::from(slot).to_be_bytes::<32>());
            input.extend_from_slice(&U256::from(value).to_be_bytes::<32>());
        }
        DepositTransaction { input: input.into(), ..deposit(TxKind::Call(L1_BLOCK), 1_000_000) }
    };
    for (fork, blob_base_fee, ours) in [
        (Hardfork::Ecotone, 0, true),
        (Hardfork::Ecotone, 1, false),
        (Hardfork::Fjord, 0, true),
        (Hardfork::Fjord, 1, false),
    ] {
        let world = World::of_contracts(Fork::L2(fork), &[(CONTRACT, Vec::new())]);
        let spec = world.spec.clone();
        let (tx, sender) = transfer(&world);
        let pair = pair(world, &[(set(blob_base_fee).into(), DEPOSITOR), (tx.clone(), sender)]);
        let fees = L1FeeParams::at(&spec, 2, &pair.ours).unwrap().unwrap();
        let vault = pair.ours.account(&L1_FEE_VAULT).unwrap().map_or(U256::ZERO, |a| a.balance);
        assert_eq!(vault, fees.info(&tx).unwrap().l1_fee);
        assert_eq!(!vault.is_zero(), ours, "{fork} {blob_base_fee}");
        assert!(pair.theirs.balance(L1_FEE_VAULT).is_zero(), "{fork} {blob_base_fee}");
    }
}

/// op-revm gives nothing to the vault of operator fees before Isthmus, and reads it to do so. The
/// witnesses of real blocks lack it; ours are executed from these (opal-evm, `vectors`).
#[test]
fn the_peer_reads_the_operator_fee_vault_before_isthmus() {
    let mut world = World::of_contracts(Fork::L2(Hardfork::Holocene), &[(CONTRACT, Vec::new())]);
    world.plain.watched = OPERATOR_FEE_VAULT;
    let tx = transfer(&world);
    let pair = pair(world, &[tx]);
    assert!(pair.results[0].0.is_ok() && pair.results[0].1.is_ok());
    assert!(pair.theirs.reads.get() > 0);
}

/// A fork keeps the EVM of the one before it. op-revm 20 gives Interop Prague's; later ones have no
/// such gap.
#[test]
fn interop_keeps_osaka() {
    let world = World::of_contracts(Fork::L2(Hardfork::Interop), &[(CONTRACT, Vec::new())]);
    assert_eq!(world.spec.evm_spec(2), SpecId::OSAKA);
    assert_eq!(OpSpecId::INTEROP.into_eth_spec(), peer_revm::primitives::hardfork::SpecId::PRAGUE);
}

/// alloy-evm leaves the blobs of a whole block to the check of its header.
#[test]
fn an_l1_block_has_room_for_so_many_blobs() {
    let world = World::of_contracts(Fork::L1(Level::Cancun), &[(CONTRACT, Vec::new())]);
    let sender = world.sender();
    let blobs = |nonce| {
        let tx = TxEip4844 {
            chain_id: world.spec.chain_id,
            nonce,
            gas_limit: 21_000,
            max_fee_per_gas: 10_000_000_000,
            max_fee_per_blob_gas: 1_000,
            blob_versioned_hashes: vec![B256::with_last_byte(1) | B256::from(U256::ONE << 248); 4],
            ..TxEip4844::default()
        };
        (TxEnvelope::Eip4844(tx.into_signed(Signature::test_signature())), sender)
    };
    let txs = [blobs(0), blobs(1)];
    let pair = pair(world, &txs);
    assert!(matches!(pair.results[1], (Err(TxError::BlobGas { .. }), Ok(_))));
}
