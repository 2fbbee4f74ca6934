//! What the proposer refuses to start with, and what it waits for.

use alloy_primitives::{Address, address};

use super::world::{FACTORY, PORTAL, Stage, World, key};
use crate::proposer::config::ProposerConfig;
use crate::proposer::{ProposerError, ProposerStats};

async fn refused(
    world: impl FnOnce(&mut World),
    config: impl FnOnce(&mut ProposerConfig),
) -> ProposerError {
    let mut stage = Stage::new().await;
    stage.change(world);
    config(&mut stage.config);
    stage.start().await.unwrap_err()
}

#[tokio::test]
async fn what_does_not_belong_together_is_refused_by_name() {
    let error = refused(|w| w.l1_chain_id = 1, |_| ()).await;
    let expected = "--l1-eth-rpc serves chain 1, but the rollup configuration names 900";
    assert_eq!(error.to_string(), expected);

    let error = refused(|w| w.l2_chain_id = 10, |_| ()).await;
    assert!(error.to_string().contains("are about L2 chain 10"), "{error}");

    let given = Address::repeat_byte(0x42);
    let error = refused(|_| (), |config| config.factory = Some(given)).await;
    assert!(
        matches!(error, ProposerError::OtherFactory { named: FACTORY, portal: PORTAL, .. }),
        "{error}"
    );

    let error = refused(|w| w.is_proxy = false, |_| ()).await;
    assert!(error.to_string().contains("no implementation behind it"), "{error}");

    let error = refused(|w| w.factory = given, |_| ()).await;
    assert!(matches!(error, ProposerError::NotAFactory { address: FACTORY, .. }), "{error}");
    assert!(error.to_string().contains("gameCount()"), "{error}");

    let error = refused(|_| (), |config| config.game_type = 3).await;
    let expected = format!("--game-type 3: the factory {FACTORY} has no implementation of it");
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn only_the_permitted_proposer_starts() {
    const OTHER: Address = address!("00000000000000000000000000000000000000b0");
    for arguments in [true, false] {
        let error = refused(|w| (w.permitted, w.arguments) = (OTHER, arguments), |_| ()).await;
        let own = key().address();
        assert!(
            matches!(error, ProposerError::NotPermitted { permitted: OTHER, own: o, .. } if o == own),
            "{error}"
        );
    }
}

#[tokio::test]
async fn factories_that_know_no_arguments_are_understood() {
    let stage = Stage::new().await;
    stage.change(|world| world.arguments = false);
    stage.start().await.unwrap();
    stage.until("a game", |world| world.chain.games.len() == 1).await;
    stage.shutdown.trigger("end of the test");
}

#[tokio::test]
async fn endpoints_that_come_up_later_are_waited_for() {
    let stage = Stage::new().await;
    stage.change(|world| (world.l1_up, world.rollup_up) = (false, false));
    let proposer = stage.start().await.unwrap();
    assert_eq!(*proposer.stats().borrow(), ProposerStats::default());
    stage.change(|world| (world.l1_up, world.rollup_up) = (true, true));
    stage.until("a game", |world| world.chain.games.len() == 1).await;
    stage.shutdown.trigger("end of the test");
}

#[tokio::test]
async fn an_endpoint_that_turns_out_wrong_stops_the_process() {
    let stage = Stage::new().await;
    stage.change(|world| (world.l1_up, world.l1_chain_id) = (false, 5));
    stage.start().await.unwrap();
    stage.change(|world| world.l1_up = true);
    let reason = stage.shutdown.stopped(opal_service::shutdown::GRACE).await;
    assert_eq!(reason.exit_code(), 1);
    assert!(reason.to_string().starts_with("proposer failed: --l1-eth-rpc serves chain 5"));
}
