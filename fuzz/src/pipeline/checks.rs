//! Rules that hold for every derived chain, whatever the batcher posts.

use alloy_eips::eip2718::Decodable2718;
use opal_derivation::Step;
use opal_protocol::{
    AttributesWithParent, DEPOSIT_TX_TYPE, Hardfork, L1BlockInfo, L2BlockRef, TxEnvelope,
};

use super::host::Outcome;
use super::world::World;

pub(super) fn check(world: &World, outcome: &Outcome) {
    let mut origin = world.start().l1;
    let mut safe = world.start().safe_head;
    let mut pending = safe;
    let mut executed = outcome.executed.iter();
    let mut retried: Option<&AttributesWithParent> = None;
    for step in &outcome.steps {
        match step {
            Step::AdvancedOrigin(next) => {
                assert_eq!((next.number, next.parent_hash), (origin.number + 1, origin.hash));
                origin = *next;
            }
            Step::Execute(attributes) => {
                assert_eq!(attributes.parent, pending);
                assert_eq!(attributes.derived_from, origin);
                check_attributes(world, attributes);
                let holocene = world.config.is_active(Hardfork::Holocene, origin.timestamp);
                if let Some(refused) = retried.take() {
                    check_replacement(refused, attributes);
                }
                match executed.next().unwrap() {
                    Some(block) => {
                        pending = *block;
                        if attributes.concluding {
                            safe = pending;
                        }
                    }
                    None if holocene => retried = Some(attributes),
                    None => pending = safe,
                }
                assert!(attributes.concluding || !holocene);
            }
            _ => assert!(retried.is_none() || matches!(step, Step::Dropped(_))),
        }
    }
}

/// What comes in the place of refused attributes: the same, without users.
fn check_replacement(refused: &AttributesWithParent, attributes: &AttributesWithParent) {
    assert_eq!(refused.parent, attributes.parent);
    assert_eq!(refused.l1_origin, attributes.l1_origin);
    let mut expected = refused.attributes.clone();
    expected.transactions.iter_mut().for_each(|list| list.retain(|tx| tx[0] == DEPOSIT_TX_TYPE));
    assert_eq!(attributes.attributes, expected);
}

fn check_attributes(world: &World, given: &AttributesWithParent) {
    let config = &world.config;
    let (parent, attributes): (&L2BlockRef, _) = (&given.parent, &given.attributes);
    let time = attributes.timestamp;
    assert_eq!(time, parent.timestamp + config.block_time);
    assert!(attributes.no_tx_pool && attributes.gas_limit.is_some());
    let epoch = &world.l1[given.l1_origin.number as usize].reference;
    assert_eq!(given.l1_origin, epoch.id());
    let advance = epoch.number - parent.l1_origin.number;
    assert!(advance <= 1, "an epoch is left out");
    assert!(epoch.number <= given.derived_from.number);
    assert!(time >= epoch.timestamp, "L2 is before its L1 origin");

    let transactions = attributes.transactions.as_deref().unwrap();
    let TxEnvelope::Deposit(first) =
        TxEnvelope::decode_2718(&mut transactions[0].as_ref()).unwrap()
    else {
        panic!("the block does not begin with a deposit");
    };
    let info = L1BlockInfo::decode_in_block(config, time, &first.input).unwrap();
    assert_eq!((info.l1_origin(), info.timestamp), (given.l1_origin, epoch.timestamp));
    let number = if advance == 0 { parent.sequence_number + 1 } else { 0 };
    assert_eq!(info.sequence_number, number);

    let deposits = transactions.iter().take_while(|tx| tx.first() == Some(&DEPOSIT_TX_TYPE));
    let users = &transactions[deposits.count()..];
    for tx in users {
        let kind = tx.first().copied().unwrap();
        assert_ne!(kind, DEPOSIT_TX_TYPE, "a deposit after a user's transaction");
        assert!(kind != 4 || config.is_active(Hardfork::Isthmus, time));
    }
    let drift = config.max_sequencer_drift(epoch.timestamp);
    assert!(users.is_empty() || time <= epoch.timestamp + drift, "users beyond the drift");
    for fork in [Hardfork::Jovian, Hardfork::Karst, Hardfork::Interop] {
        assert!(users.is_empty() || !config.is_activation_block(fork, time));
    }
    let active = |fork| config.is_active(fork, time);
    assert_eq!(attributes.withdrawals.is_some(), active(Hardfork::Canyon));
    assert_eq!(attributes.parent_beacon_block_root.is_some(), active(Hardfork::Ecotone));
    assert_eq!(attributes.eip1559_params.is_some(), active(Hardfork::Holocene));
    assert_eq!(attributes.min_base_fee.is_some(), active(Hardfork::Jovian));
}
