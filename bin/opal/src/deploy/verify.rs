//! `opal deploy verify` and `inspect`: what is on L1.

use alloy_eips::BlockId;
use alloy_primitives::{Address, Bytes, U256, keccak256};
use clap::ValueEnum;
use eyre::bail;
use opal_governance::Intent;
use opal_governance::steps::Query;
use opal_governance::transactions::{self, Finding};
use opal_service::http;
use url::Url;

use super::folder::Folder;
use crate::tool::print;

/// What `inspect` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Document {
    /// The rollup configuration, as nodes read it.
    Rollup,
    /// The L2 genesis, as execution clients read it.
    Genesis,
    /// The contracts on L1.
    Addresses,
}

pub(super) async fn run(
    intent: &Intent,
    deployer: Address,
    l1: &Url,
    all: bool,
) -> eyre::Result<()> {
    let provider = http::provider(l1)?;
    let (deployment, plan) = opal_governance::read_deployment(&provider, deployer, intent).await?;
    let findings = transactions::verify(&provider, &plan, BlockId::latest()).await?;
    let wrong = findings.iter().filter(|finding| !finding.holds()).count();
    for finding in &findings {
        if all || !finding.holds() {
            print(&line(finding));
        }
    }
    let start = deployment.l1_start;
    print(&format!(
        "chain {} begins with L1 block {} {}, its genesis is {}",
        intent.l2_chain_id, start.number, start.hash, deployment.rollup_config.genesis.l2.hash
    ));
    match wrong {
        0 => print(&format!("all of {} checks hold", findings.len())),
        _ => bail!("{wrong} of {} checks do not hold", findings.len()),
    }
    Ok(())
}

pub(super) async fn inspect(
    folder: &Folder,
    deployer: Address,
    l1: &Url,
    document: Option<Document>,
) -> eyre::Result<()> {
    let intent = folder.intent()?;
    let provider = http::provider(l1)?;
    let (deployment, _) = opal_governance::read_deployment(&provider, deployer, &intent).await?;
    let json = match document {
        None => {
            folder.write_deployment(&deployment)?;
            print(&format!(
                "wrote rollup.json, genesis.json and addresses.json into {}",
                folder.path().display()
            ));
            return Ok(());
        }
        Some(Document::Rollup) => serde_json::to_string_pretty(&deployment.rollup_config)?,
        Some(Document::Genesis) => serde_json::to_string_pretty(&deployment.l2_genesis)?,
        Some(Document::Addresses) => serde_json::to_string_pretty(&deployment.addresses)?,
    };
    print(&json);
    Ok(())
}

/// A check on one line: code by its hash, words as addresses or numbers.
fn line(finding: &Finding) -> String {
    let check = &finding.check;
    let shown = |bytes: &Bytes| show(&check.query, bytes);
    match finding.holds() {
        true => format!("ok     {} is {}", check.what, shown(&check.expected)),
        false => format!(
            "wrong  {} is {}, not {}",
            check.what,
            shown(&finding.found),
            shown(&check.expected)
        ),
    }
}

fn show(query: &Query, bytes: &Bytes) -> String {
    match query {
        _ if bytes.is_empty() => "not there".to_owned(),
        Query::Code(_) => format!("{} bytes with hash {}", bytes.len(), keccak256(bytes)),
        Query::StorageByte(..) => bytes.iter().map(u8::to_string).collect(),
        _ if bytes.len() != 32 => bytes.to_string(),
        // Numbers are small here, hashes have no leading zeros.
        _ => {
            let word = U256::from_be_slice(bytes);
            match word.bit_len() {
                0..=96 => word.to_string(),
                97..=160 => Address::from_slice(&bytes[12..]).to_string(),
                _ => bytes.to_string(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::B256;
    use opal_governance::steps::Check;

    #[test]
    fn findings_are_shown_as_what_they_are() {
        let finding = |query, expected: &[u8], found: &[u8]| Finding {
            check: Check {
                what: "x".to_owned(),
                query,
                expected: Bytes::copy_from_slice(expected),
            },
            found: Bytes::copy_from_slice(found),
        };
        let call = || Query::Call(Address::ZERO, Bytes::new());
        let owner = Address::repeat_byte(0x11);
        let number = B256::from(U256::from(604_800));
        let wrong = finding(call(), owner.into_word().as_slice(), number.as_slice());
        assert_eq!(line(&wrong), format!("wrong  x is 604800, not {owner}"));
        let code = finding(Query::Code(owner), &[1, 2], &[1, 2]);
        assert!(code.holds());
        assert!(line(&code).starts_with("ok     x is 2 bytes with hash 0x"));
        let missing = finding(Query::Code(owner), &[1], &[]);
        assert!(line(&missing).starts_with("wrong  x is not there, not 1 bytes"));
    }
}
