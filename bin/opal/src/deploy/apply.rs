//! `opal deploy apply`: sends the transactions.

use alloy_primitives::U256;
use alloy_primitives::utils::format_ether;
use opal_governance::transactions::{self, Event, Progress};
use opal_service::http;
use opal_service::keys::Key;
use url::Url;

use super::folder::{Folder, State};
use super::plan::print_addresses;
use crate::tool::print;

pub(super) async fn run(
    folder: &Folder,
    key: &Key,
    l1: &Url,
    confirmations: u64,
) -> eyre::Result<()> {
    let intent = folder.intent()?;
    let provider = http::provider(l1)?;
    let l1_chain_id = transactions::chain_id(&provider, intent.l1_chain_id).await?;
    folder.begin(&State::new(key.address(), l1_chain_id, &intent)?)?;

    let (mut gas, mut cost) = (0u64, U256::ZERO);
    let mut observer = |news: Progress<'_>| {
        let Progress { step, done, of, event } = news;
        match event {
            Event::AlreadyDone => print(&format!("[{done:>2}/{of}] {step}: already done")),
            Event::Sent { transaction } => {
                tracing::debug!(target: "opal::governance", step, %transaction, "sent");
            }
            Event::Done { transaction, gas_used, cost: paid } => {
                gas = gas.saturating_add(gas_used);
                cost = cost.saturating_add(paid);
                print(&format!("[{done:>2}/{of}] {step}: {gas_used} gas, {transaction}"));
            }
        }
    };
    let deployment =
        opal_governance::deploy_to_l1(&provider, key, &intent, confirmations, &mut observer)
            .await?;
    folder.write_deployment(&deployment)?;
    print(&format!("\nused {gas} gas for {} ether", format_ether(cost)));
    let start = deployment.l1_start;
    print(&format!(
        "chain {} on L1 chain {l1_chain_id}; it begins with L1 block {} {}",
        intent.l2_chain_id, start.number, start.hash
    ));
    print_addresses(&deployment.addresses);
    print(&format!(
        "\nrollup.json, genesis.json and addresses.json are in {}",
        folder.path().display()
    ));
    Ok(())
}
