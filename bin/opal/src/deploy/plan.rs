//! `opal deploy plan`: what would be done.

use alloy_primitives::utils::{format_ether, format_units};
use alloy_primitives::{Address, U256};
use alloy_provider::Provider;
use eyre::WrapErr;
use opal_governance::{Addresses, Intent, transactions};
use opal_service::http;
use url::Url;

use crate::tool::print;

/// What an L1 tells beforehand.
struct Outlook {
    /// Whether each step has been done.
    done: Vec<bool>,
    /// Wei for a unit of gas.
    gas_price: u128,
    /// What the deployer has, in wei.
    balance: U256,
}

pub(super) async fn run(intent: &Intent, deployer: Address, l1: Option<&Url>) -> eyre::Result<()> {
    let rehearsal = opal_governance::rehearse(intent, deployer)?;
    let outlook = match l1 {
        Some(url) => Some(look(intent, &rehearsal, deployer, url).await?),
        None => None,
    };
    print(&format!("chain {}, deployed by {deployer}\n", intent.l2_chain_id));
    let (mut gas_left, mut steps_left) = (0u64, 0);
    for (index, (step, gas)) in rehearsal.plan.steps().zip(&rehearsal.gas).enumerate() {
        let done = outlook.as_ref().is_some_and(|outlook| outlook.done[index]);
        if !done {
            gas_left = gas_left.saturating_add(*gas);
            steps_left += 1;
        }
        let note = if done { "  already done" } else { "" };
        print(&format!("{:>3}  {:<38} {gas:>10} gas{note}", index + 1, step.name));
    }
    let funds = intent.fundings();
    for (name, account, balance) in funds {
        if !balance.is_zero() {
            print(&format!("     {name} {account} up to {} ether", format_ether(balance)));
        }
    }
    print(&format!("\n{steps_left} transactions to send, with {gas_left} gas"));
    match &outlook {
        Some(outlook) => {
            let cost = U256::from(gas_left).saturating_mul(U256::from(outlook.gas_price));
            print(&format!(
                "at {} gwei, as L1 has it now: {} ether; the deployer has {}",
                format_units(outlook.gas_price, "gwei").unwrap_or_default(),
                format_ether(cost),
                format_ether(outlook.balance)
            ));
        }
        None => {
            for gwei in [1u64, 10] {
                let price = U256::from(gwei) * U256::from(1_000_000_000u64);
                let cost = U256::from(gas_left).saturating_mul(price);
                print(&format!("at {gwei} gwei: {} ether", format_ether(cost)));
            }
        }
    }
    print_addresses(&rehearsal.plan.addresses);
    Ok(())
}

async fn look(
    intent: &Intent,
    rehearsal: &opal_governance::Rehearsal,
    deployer: Address,
    l1: &Url,
) -> eyre::Result<Outlook> {
    let provider = http::provider(l1)?;
    transactions::chain_id(&provider, intent.l1_chain_id).await?;
    let done = transactions::done(&provider, &rehearsal.plan).await?;
    let answer = |what| format!("L1 does not tell {what}");
    let gas_price = provider.get_gas_price().await.wrap_err_with(|| answer("its gas price"))?;
    let balance = provider.get_balance(deployer).await;
    let balance = balance.wrap_err_with(|| answer("the deployer's balance"))?;
    Ok(Outlook { done, gas_price, balance })
}

pub(super) fn print_addresses(addresses: &Addresses) {
    print("\nContracts on L1");
    for (name, address) in addresses.named() {
        print(&format!("    {name:<33} {address}"));
    }
}
