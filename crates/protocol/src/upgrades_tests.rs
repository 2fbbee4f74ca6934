#![allow(clippy::unwrap_used)]

use alloc::format;
use alloc::vec;

use super::*;
use crate::Genesis;

fn transaction(intent: &str, gas_limit: u64) -> UpgradeTransaction {
    UpgradeTransaction {
        data: bytes!("0102"),
        from: L1_INFO_DEPOSITOR,
        gas_limit,
        intent: intent.into(),
        to: Some(L1_BLOCK),
    }
}

fn bundle(fork: Hardfork, gas: u64) -> UpgradeBundle {
    UpgradeBundle::from_transactions(fork, vec![transaction("A", gas), transaction("B", 1)])
        .unwrap()
}

/// Karst and interop active from 100 and 200 on, both with bundles of their own.
fn config() -> RollupConfig {
    let mut config = RollupConfig {
        genesis: Genesis { l2_time: 10, ..Genesis::default() },
        block_time: 2,
        l2_chain_id: 901,
        ..RollupConfig::default()
    };
    config.schedule = crate::HardforkSchedule::at_genesis(Hardfork::Jovian);
    config.schedule.set(Hardfork::Karst, Some(100));
    config.schedule.set(Hardfork::Interop, Some(200));
    let bundles = [bundle(Hardfork::Karst, 1000), bundle(Hardfork::Interop, 2000)];
    config.upgrade_bundles = bundles.iter().map(|b| (b.fork(), b.sha256())).collect();
    config.upgrades = bundles.into_iter().collect();
    config
}

#[test]
fn files_are_read_strictly() {
    let file = bundle(Hardfork::Karst, 5).to_json().unwrap();
    let parse = |file: &str| UpgradeBundle::parse(Hardfork::Karst, file.as_bytes());
    assert_eq!(parse(&file).unwrap(), bundle(Hardfork::Karst, 5));
    for (from, to) in [
        ("1.0.0", "1.0.1"),
        (r#""intent": "A""#, r#""intent": """#),
        (r#""gasLimit": 5"#, r#""gasLimit": 18446744073709551615"#),
        (r#""gasLimit": 5"#, r#""gasLimit": 5, "value": 0"#),
        (r#""gasLimit": 5"#, r#""gasLimit": "5""#),
        (r#""metadata""#, r#""note": "", "metadata""#),
    ] {
        let changed = file.replacen(from, to, 1);
        assert_ne!(changed, file, "{from}");
        assert!(parse(&changed).is_err(), "{to}");
    }
    // A recipient that is missing is no `null`.
    let creates = file.replace(&format!("\"{}\"", L1_BLOCK.to_checksum(None)), "null");
    assert!(parse(&creates).unwrap().transactions()[0].to.is_none());
    let without =
        creates.replacen(r#","to": null"#, "", 1).replacen(",\n      \"to\": null", "", 1);
    assert!(without.len() < creates.len() && parse(&without).is_err());
    assert!(matches!(
        parse(r#"{"metadata":{"version":"1.0.0"},"transactions":[]}"#),
        Err(BundleError::Count(0))
    ));
}

#[test]
fn sizes_are_bounded() {
    let long = vec![b' '; MAX_BUNDLE_BYTES + 1];
    let error = UpgradeBundle::parse(Hardfork::Karst, &long).unwrap_err();
    assert_eq!(error, BundleError::Size(MAX_BUNDLE_BYTES + 1));
    let many = vec![transaction("A", 1); MAX_BUNDLE_TRANSACTIONS + 1];
    let error = UpgradeBundle::from_transactions(Hardfork::Karst, many).unwrap_err();
    assert_eq!(error, BundleError::Count(MAX_BUNDLE_TRANSACTIONS + 1));
}

#[test]
fn bundles_are_of_their_fork() {
    let jovian =
        |intent| UpgradeBundle::from_transactions(Hardfork::Jovian, vec![transaction(intent, 1)]);
    assert!(jovian("Jovian: L1 Block Deployment").is_ok());
    assert!(matches!(jovian("Isthmus: L1 Block Deployment"), Err(BundleError::OtherFork { .. })));
    assert!(matches!(jovian("Jovian"), Err(BundleError::OtherFork { .. })));
    let none = UpgradeBundle::from_transactions(Hardfork::Granite, vec![transaction("A", 1)]);
    assert_eq!(none, Err(BundleError::NoUpgrade(Hardfork::Granite)));
    // Karst's files name no fork, but the source hashes do.
    assert_ne!(
        bundle(Hardfork::Karst, 1).deposits()[0],
        bundle(Hardfork::Interop, 1).deposits()[0]
    );
}

#[test]
fn published_deposits_that_a_bundle_cannot_express_are_refused() {
    let deposit = DepositTransaction {
        source_hash: source_hash("Jovian: A"),
        from: L1_INFO_DEPOSITOR,
        to: TxKind::Call(L1_BLOCK),
        ..no_value()
    };
    let read = |deposit: &DepositTransaction, intent: &str| {
        let raw = encode(deposit.clone());
        UpgradeBundle::from_deposits(Hardfork::Jovian, [(intent, raw.as_ref())])
    };
    assert!(read(&deposit, "Jovian: A").is_ok());
    assert_eq!(read(&deposit, "Jovian: B"), Err(BundleError::Deposit(0)));
    let minting = DepositTransaction { mint: 1, ..deposit.clone() };
    assert_eq!(read(&minting, "Jovian: A"), Err(BundleError::Deposit(0)));
    let no_deposit = UpgradeBundle::from_deposits(Hardfork::Jovian, [("Jovian: A", &[1u8][..])]);
    assert_eq!(no_deposit, Err(BundleError::Deposit(0)));
}

#[test]
fn a_missing_bundle_is_named() {
    let mut config = config();
    assert_eq!(config.upgrade_deposits(Hardfork::Karst).unwrap().len(), 2);
    config.upgrades = UpgradeBundles::default();
    let error = config.upgrade_deposits(Hardfork::Karst).unwrap_err();
    let text = error.to_string();
    let hash = bundle(Hardfork::Karst, 1000).sha256().to_string();
    for part in ["karst", hash.as_str(), "opal upgrades import", "opal upgrades download"] {
        assert!(text.contains(part), "{text}");
    }
    // One that was loaded for another chain does not count.
    config.upgrades = UpgradeBundles::from_iter([bundle(Hardfork::Karst, 1001)]);
    assert_eq!(config.upgrade_deposits(Hardfork::Karst), Err(error));
    // Without a name of its own, the chain has the public bundle; interop has none.
    config.upgrade_bundles.clear();
    let Upgrade::Bundle { sha256, extra_gas } = Hardfork::Karst.upgrade() else { panic!() };
    assert_eq!(config.upgrade_hash(Hardfork::Karst), Some(sha256));
    assert_eq!(config.upgrade_gas(Hardfork::Karst), Ok(extra_gas));
    let error = config.upgrade_deposits(Hardfork::Interop).unwrap_err();
    assert!(error.sha256.is_none() && error.to_string().contains("upgrade_bundles"), "{error}");
    assert_eq!(config.upgrade_hash(Hardfork::Granite), None);
}

#[test]
fn only_forks_after_genesis_are_activated() {
    let mut config = config();
    assert_eq!(config.upgrading_forks().collect::<Vec<_>>(), [Hardfork::Karst, Hardfork::Interop]);
    config.schedule.set(Hardfork::Interop, None);
    config.genesis.l2_time = 100;
    assert_eq!(config.upgrading_forks().count(), 0);
}

#[test]
fn extra_gas_is_for_the_first_block_alone() {
    let mut config = config();
    let lasting = |config: &RollupConfig, gas_limit, time| {
        let read = config.lasting_gas_limit(gas_limit, time).unwrap();
        (read, config.kept_upgrade_gas(time))
    };
    assert_eq!(lasting(&config, 31_001, 100), (30_000, 0));
    assert_eq!(lasting(&config, 30_000, 98), (30_000, 0));
    assert_eq!(lasting(&config, 30_000, 102), (30_000, 0));
    // On chains that kept Karst's, it is a part of the gas limit that is read back.
    config.keep_karst_upgrade_gas = true;
    assert_eq!(lasting(&config, 31_001, 100), (31_001, 1001));
    assert_eq!(lasting(&config, 31_001, 102), (31_001, 0));
    // Later forks have no such exception.
    assert_eq!(lasting(&config, 32_001, 200), (30_000, 0));
    // Before Karst, upgrade transactions used the block's own gas.
    config.schedule.set(Hardfork::Jovian, Some(50));
    assert_eq!(lasting(&config, 30_000, 50), (30_000, 0));
    assert_eq!(config.upgrade_gas(Hardfork::Jovian), Ok(0));
    // An odd header is no reason to panic.
    assert_eq!(lasting(&config, 5, 200), (0, 0));
}

/// TRAPS 13: contracts that exchange messages were set up on chains without a dependency set.
#[test]
fn messages_are_switched_on_in_a_dependency_set_only() {
    let mut config = config();
    let bundle_only = config.upgrade_deposits(Hardfork::Interop).unwrap();
    let gas = config.upgrade_gas(Hardfork::Interop).unwrap();
    config.dependency_set = [901].into();
    assert_eq!(config.upgrade_deposits(Hardfork::Interop).unwrap(), bundle_only);

    config.dependency_set = [901, 902].into();
    let all = config.upgrade_deposits(Hardfork::Interop).unwrap();
    assert_eq!(all.len(), bundle_only.len() + 2);
    assert_eq!(all[1..all.len() - 1], bundle_only);
    assert_eq!(config.upgrade_gas(Hardfork::Interop), Ok(gas + 150_000));
    let input = |raw: &Bytes| match TxEnvelope::decode_2718_exact(raw).unwrap() {
        TxEnvelope::Deposit(deposit) => (deposit.input.clone(), deposit.mint),
        other => panic!("{other:?}"),
    };
    let (feature, mint) = input(&all[0]);
    assert_eq!((&feature[..4], mint), (&keccak256("setFeature(bytes32)")[..4], 0));
    assert!(feature[4..].starts_with(b"INTEROP\0") && feature.len() == 36);
    let (fund, mint) = input(&all[all.len() - 1]);
    assert_eq!((&fund[..], mint), (&keccak256("fund()")[..4], u128::MAX));
    // Other forks have nothing to do with it.
    assert_eq!(config.upgrade_deposits(Hardfork::Karst).unwrap().len(), 2);
}

/// TRAPS 13: interop's first block was told by its number; it is the first at or after the time.
#[test]
fn interop_activates_by_time() {
    let mut config = config();
    config.schedule.set(Hardfork::Interop, Some(201));
    let at = |parent, time| config.schedule.upgrade_at(parent, time);
    assert_eq!(at(198, 200), None);
    assert_eq!(at(200, 202), Some(Hardfork::Interop));
    assert_eq!(at(202, 204), None);
}
