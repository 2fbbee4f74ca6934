//! Deployments on anvil, where the variable `ANVIL` names it.
#![allow(clippy::unwrap_used)]
use super::*;
use crate::accounts::{DevAccounts, TEST_MNEMONIC};
use crate::intent::{Intent, OperatorFee};
use crate::{deploy_to_l1, read_deployment};
use alloy_consensus::transaction::SignerRecoverable;
use alloy_consensus::{Transaction, TxEnvelope};
use alloy_eips::Decodable2718;
use alloy_rpc_types_eth::Filter;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

#[test]
fn the_keyless_transaction_creates_the_deployment_proxy() {
    let tx = TxEnvelope::decode_2718_exact(&CREATE2_PROXY_TRANSACTION).unwrap();
    let sender = tx.recover_signer().unwrap();
    assert_eq!(sender, CREATE2_PROXY_SENDER);
    assert_eq!(sender.create(tx.nonce()), CREATE2_PROXY);
    let cost = u128::from(tx.gas_limit()) * tx.gas_price().unwrap();
    assert_eq!(cost, u128::from(CREATE2_PROXY_COST));
}

/// An anvil process that ends with the test.
struct Anvil {
    process: Child,
    provider: DynProvider,
}

impl Anvil {
    /// Starts the program that the variable `ANVIL` names, on a free port.
    fn start(arguments: &[&str]) -> Option<Self> {
        let Some(program) = std::env::var_os("ANVIL") else {
            eprintln!("ignored: ANVIL names no anvil program, deployment is not tested on one");
            return None;
        };
        let mut process = Command::new(program)
            .args(["--port", "0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let address = lines
            .find_map(|line| line.unwrap().strip_prefix("Listening on ").map(str::to_owned))
            .unwrap();
        // Anvil must not wait for somebody to read what it prints.
        std::thread::spawn(move || lines.for_each(drop));
        let url = url::Url::parse(&format!("http://{address}")).unwrap();
        let provider = opal_service::http::provider(&url).unwrap();
        Some(Self { process, provider })
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn key(accounts: &DevAccounts, index: usize) -> Key {
    Key::from_signer(accounts.users()[index].clone())
}

async fn deploy(
    provider: &DynProvider,
    deployer: &Key,
    intent: &Intent,
) -> Result<crate::Deployment, crate::GovernanceError> {
    deploy_to_l1(provider, deployer, intent, 1, &mut |_| {}).await
}

fn devnet() -> (DevAccounts, Intent) {
    let accounts = DevAccounts::from_mnemonic(TEST_MNEMONIC).unwrap();
    let intent = Intent {
        min_base_fee: 5,
        operator_fee: OperatorFee { scalar: 1, constant: 2 },
        ..Intent::devnet(&accounts)
    };
    (accounts, intent)
}

#[tokio::test]
async fn a_deployment_can_be_repeated_and_notices_another_intent() {
    let Some(anvil) = Anvil::start(&[]) else { return };
    let (accounts, intent) = devnet();
    let deployer = &key(&accounts, 0);
    let provider = &anvil.provider;

    let first = deploy(provider, deployer, &intent).await.unwrap();
    assert_eq!(first.rollup_config.l1_chain_id, 31337);
    assert_eq!(first.rollup_config.genesis.l1, first.l1_start.id());
    assert_eq!(first.rollup_config.genesis.l2_time, first.l1_start.timestamp);
    let batcher = provider.get_balance(intent.roles.batcher).await.unwrap();
    assert_eq!(batcher, intent.batcher_funding);

    // Each proxy was initialized by the transaction that gave it its code.
    let logs = |signature: &str| Filter::new().from_block(0).event(signature);
    let upgrades = provider.get_logs(&logs("Upgraded(address)")).await.unwrap();
    let initializations = provider.get_logs(&logs("Initialized(uint8)")).await.unwrap();
    assert_eq!(upgrades.len(), 11);
    for upgrade in upgrades {
        assert!(initializations.iter().any(|initialization| {
            initialization.address() == upgrade.address()
                && initialization.transaction_hash == upgrade.transaction_hash
        }));
    }

    // Nothing is left to do: no transaction, hence no block, and so the very same chain.
    let nonce = provider.get_transaction_count(deployer.address()).await.unwrap();
    let second = deploy(provider, deployer, &intent).await.unwrap();
    assert_eq!(provider.get_transaction_count(deployer.address()).await.unwrap(), nonce);
    assert_eq!(second.rollup_config, first.rollup_config);

    let other = Intent { gas_limit: 30_000_000, ..intent.clone() };
    let error = deploy(provider, deployer, &other).await.unwrap_err().to_string();
    assert!(error.contains("SystemConfig.gasLimit") && error.contains("salt"), "{error}");
    let salted = Intent { salt: B256::repeat_byte(1), ..other };
    deploy(provider, deployer, &salted).await.unwrap();

    let elsewhere = Intent { l1_chain_id: Some(1), ..intent };
    let error = deploy(provider, deployer, &elsewhere).await.unwrap_err().to_string();
    assert!(error.contains("31337"), "{error}");
}

#[tokio::test]
async fn a_broken_off_deployment_is_taken_up_again() {
    let Some(anvil) = Anvil::start(&["--block-time", "1"]) else { return };
    let (accounts, intent) = devnet();
    let (provider, deployer) = (&anvil.provider, &key(&accounts, 1));
    let count = |address| async move { provider.get_transaction_count(address).await.unwrap() };
    let error = read_deployment(provider, deployer.address(), &intent).await.unwrap_err();
    assert!(error.to_string().contains("no SystemConfig at"), "{error}");

    // Cut off when the last creations are on the way and in no block yet.
    let plan = crate::steps::plan(&intent, deployer.address(), B256::ZERO).unwrap();
    let creations: Vec<_> =
        plan.steps().take_while(|step| step.to == CREATE2_PROXY).cloned().collect();
    let mut ignore = |_: Progress<'_>| {};
    let mut first = Deployer::new(provider, deployer, &plan, &mut ignore).await.unwrap();
    let part = creations.len() / 2;
    first.run(&creations[..part]).await.unwrap();
    assert_eq!(count(deployer.address()).await, part as u64);
    for step in &creations[part..] {
        first.send(&step.name, step.to, U256::ZERO, step.data.clone()).await.unwrap();
    }
    drop(first);

    let mut skipped = 0;
    let mut observer = |news: Progress<'_>| {
        skipped += usize::from(news.event == Event::AlreadyDone);
    };
    let deployed = deploy_to_l1(provider, deployer, &intent, 2, &mut observer).await.unwrap();
    assert_eq!(skipped, creations.len());
    // Every step once, and the ether for batcher and proposer.
    assert_eq!(count(deployer.address()).await, plan.steps().count() as u64 + 2);

    let (read, plan) = read_deployment(provider, deployer.address(), &intent).await.unwrap();
    assert_eq!(read.rollup_config, deployed.rollup_config);
    let findings = verify(provider, &plan, BlockId::latest()).await.unwrap();
    assert!(findings.iter().all(Finding::holds));
}

#[tokio::test]
async fn an_l1_without_the_deployment_proxy_gets_it() {
    let Some(anvil) = Anvil::start(&["--disable-default-create2-deployer"]) else { return };
    let (accounts, intent) = devnet();
    assert!(anvil.provider.get_code_at(CREATE2_PROXY).await.unwrap().is_empty());
    deploy(&anvil.provider, &key(&accounts, 0), &intent).await.unwrap();
    let code = anvil.provider.get_code_at(CREATE2_PROXY).await.unwrap();
    assert_eq!(code, crate::l1_genesis::CREATE2_PROXY_CODE);
}

#[tokio::test]
async fn a_step_that_the_l1_refuses_is_named() {
    let Some(anvil) = Anvil::start(&["--accounts", "1"]) else { return };
    let (accounts, intent) = devnet();
    // This account has no ether there.
    let error = deploy(&anvil.provider, &key(&accounts, 5), &intent).await.unwrap_err();
    let error = error.to_string();
    assert!(error.contains("\"create ProxyAdmin\""), "{error}");
}
