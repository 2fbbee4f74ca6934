//! The service against an L1 and a rollup node that run inside the test.

use alloy_primitives::{Address, U256};
use opal_service::http::{provider, raw_call};
use opal_service::shutdown::GRACE;
use serde_json::json;

use super::world::{BOND, Stage, World, key, until_stats};

const STRANGER: Address = Address::repeat_byte(0x57);

fn own_games(world: &World) -> usize {
    world.chain.games.iter().filter(|game| game.creator == key().address()).count()
}

#[tokio::test]
async fn games_come_at_the_interval_and_end_with_their_bonds_paid() {
    let mut stage = Stage::new().await;
    stage.config.pace.interval = 20;
    let proposer = stage.start().await.unwrap();
    let stats = until_stats(&proposer, |stats| stats.paid >= 2 && stats.created >= 3).await;
    assert_eq!((stats.failed_transactions, stats.lost), (0, 0));
    assert_eq!(stats.paid_wei, U256::from(BOND) * U256::from(stats.paid));
    stage.shutdown.trigger("end of the test");
    assert_eq!(stage.shutdown.stopped(GRACE).await.exit_code(), 0);
    stage.change(|world| {
        assert!(world.chain.paid >= stats.paid_wei);
        let games = &world.chain.games;
        assert!(games.windows(2).all(|pair| pair[0].created_at + 20 <= pair[1].created_at));
        for game in games {
            assert_eq!(game.root, world.output_root(game.l2_block));
            // Each L1 block brings one L2 block, which is final three blocks later.
            let safe_then = (game.created_at - games[0].created_at) / 2 + games[0].l2_block + 3;
            assert!(game.l2_block <= safe_then, "{game:?}");
        }
    });
}

#[tokio::test]
async fn games_of_before_they_were_closed_end_with_their_bonds_paid() {
    let stage = Stage::new().await;
    stage.change(|world| (world.closing, world.arguments, world.paused) = (false, false, true));
    let proposer = stage.start().await.unwrap();
    until_stats(&proposer, |stats| stats.resolved == 1).await;
    stage.blocks(10).await;
    assert_eq!(proposer.stats().borrow().paid, 0, "nothing is paid in a pause");
    stage.change(|world| world.paused = false);
    let stats = until_stats(&proposer, |stats| stats.paid == 1).await;
    assert_eq!((stats.failed_transactions, stats.lost), (0, 0));
    assert_eq!(stats.paid_wei, U256::from(BOND));
    stage.shutdown.trigger("end of the test");
}

#[tokio::test]
async fn safe_blocks_are_proposed_where_that_is_allowed() {
    let mut stage = Stage::new().await;
    stage.config.pace.allow_non_finalized = true;
    stage.change(|world| world.frozen = Some(5));
    stage.start().await.unwrap();
    stage.until("a game", |world| own_games(world) == 1).await;
    assert_eq!(stage.change(|world| world.chain.games[0].l2_block), 5);
    stage.shutdown.trigger("end of the test");
}

#[tokio::test]
async fn a_withdrawal_brings_a_game_above_its_block() {
    let mut stage = Stage::new().await;
    stage.config.pace.interval = 1_000_000;
    stage.config.pace.withdrawal_interval = Some(0);
    stage.start().await.unwrap();
    stage.until("the first game", |world| own_games(world) == 1).await;
    stage.blocks(20).await;
    let block = stage.change(|world| {
        assert_eq!(own_games(world), 1);
        let block = world.safe() + 1;
        world.withdrawals.push(block);
        block
    });
    stage.until("a game for the withdrawal", |world| own_games(world) == 2).await;
    stage.blocks(20).await;
    stage.change(|world| {
        assert_eq!(own_games(world), 2);
        assert!(world.chain.games[1].l2_block > block);
    });
    stage.shutdown.trigger("end of the test");
}

#[tokio::test]
async fn a_restart_goes_on_with_the_games_on_l1() {
    let mut stage = Stage::new().await;
    stage.config.pace.interval = 1_000_000;
    stage.config.resolve = false;
    let proposer = stage.start().await.unwrap();
    stage.until("the first game", |world| own_games(world) == 1).await;
    until_stats(&proposer, |stats| stats.newest_block.is_some()).await;
    stage.blocks(20).await;
    stage.change(|world| assert_eq!(world.chain.games[0].status, 0));
    stage.shutdown.trigger("restart");
    stage.shutdown.stopped(GRACE).await;

    stage.shutdown = opal_service::Shutdown::new();
    stage.config.resolve = true;
    // Other people's games lie above ours.
    stage.change(|world| (0..70).for_each(|i| world.create(STRANGER, i, Default::default())));
    let proposer = stage.start().await.unwrap();
    let stats = until_stats(&proposer, |stats| stats.paid == 1).await;
    assert_eq!((stats.created, stats.resolved), (0, 1));
    assert_eq!(stage.change(|world| own_games(world)), 1);
    stage.shutdown.trigger("end of the test");
}

#[tokio::test]
async fn a_claim_that_exists_is_left_alone() {
    let mut stage = Stage::new().await;
    stage.config.pace.allow_non_finalized = true;
    stage.change(|world| {
        world.frozen = Some(7);
        world.create(STRANGER, 7, world.output_root(7));
    });
    let proposer = stage.start().await.unwrap();
    stage.blocks(20).await;
    assert_eq!(stage.change(|world| own_games(world)), 0);
    assert_eq!(proposer.stats().borrow().failed_transactions, 0);
    stage.change(|world| world.frozen = Some(8));
    stage.until("a game about the next block", |world| own_games(world) == 1).await;
    stage.shutdown.trigger("end of the test");
}

#[tokio::test]
async fn nothing_at_or_below_the_anchor_is_proposed() {
    let mut stage = Stage::new().await;
    stage.config.pace.allow_non_finalized = true;
    stage.change(|world| (world.anchor, world.frozen) = (9, Some(9)));
    stage.start().await.unwrap();
    stage.blocks(15).await;
    assert_eq!(stage.change(|world| own_games(world)), 0);
    stage.change(|world| world.frozen = Some(10));
    stage.until("a game above the anchor", |world| own_games(world) == 1).await;
    stage.shutdown.trigger("end of the test");
}

#[tokio::test]
async fn a_game_that_a_reorg_dropped_is_created_again() {
    let mut stage = Stage::new().await;
    stage.config.pace.interval = 1_000_000;
    let proposer = stage.start().await.unwrap();
    let stats = until_stats(&proposer, |stats| stats.unfinished == 1).await;
    assert_eq!(stats.newest_block, stage.change(|w| w.chain.games.last().map(|g| g.l2_block)));
    stage.change(|world| {
        let depth = (world.chain.time - world.chain.games[0].created_at) / 2 + 1;
        world.reorg(depth as usize);
        assert_eq!(own_games(world), 0);
    });
    let stats = until_stats(&proposer, |stats| stats.created == 2 && stats.paid == 1).await;
    assert_eq!(stats.failed_transactions, 0);
    assert_eq!(stage.change(|world| own_games(world)), 1);
    stage.shutdown.trigger("end of the test");
}

#[tokio::test]
async fn an_l1_node_that_lags_behind_brings_no_second_game() {
    let mut stage = Stage::new().await;
    stage.config.pace.interval = 12;
    stage.change(|world| world.lag = 4);
    let proposer = stage.start().await.unwrap();
    let stats = until_stats(&proposer, |stats| stats.created >= 3 && stats.paid >= 1).await;
    assert_eq!((stats.failed_transactions, stats.lost), (0, 0));
    stage.shutdown.trigger("end of the test");
    stage.change(|world| {
        let games = &world.chain.games;
        assert!(games.windows(2).all(|pair| pair[0].created_at + 12 <= pair[1].created_at));
    });
}

#[tokio::test]
async fn an_l1_that_stays_at_an_older_block_is_believed_after_a_while() {
    let mut stage = Stage::new().await;
    stage.config.pace.interval = 1_000_000;
    let proposer = stage.start().await.unwrap();
    until_stats(&proposer, |stats| stats.unfinished == 1).await;
    stage.blocks(20).await;
    // As when a development chain is set back.
    stage.change(|world| {
        let blocks = world.chain.number as usize;
        world.drop_blocks(blocks);
        assert_eq!(own_games(world), 0);
    });
    until_stats(&proposer, |stats| stats.created == 2 && stats.unfinished == 1).await;
    stage.shutdown.trigger("end of the test");
}

#[tokio::test]
async fn games_of_the_type_before_are_seen_through() {
    let mut stage = Stage::new().await;
    stage.config.pace.interval = 1_000_000;
    stage.change(|world| {
        world.create(key().address(), 1, world.output_root(1));
        world.chain.games[0].game_type = 0;
    });
    let proposer = stage.start().await.unwrap();
    let stats = until_stats(&proposer, |stats| stats.created == 1 && stats.paid == 2).await;
    assert_eq!((stats.resolved, stats.failed_transactions), (2, 0));
    stage.shutdown.trigger("end of the test");
}

#[tokio::test]
async fn a_game_that_cannot_be_resolved_holds_up_no_new_one() {
    let mut stage = Stage::new().await;
    stage.config.pace.interval = 4;
    stage.change(|world| world.games_too_dear = true);
    let proposer = stage.start().await.unwrap();
    until_stats(&proposer, |stats| stats.created >= 5).await;
    assert_eq!(proposer.stats().borrow().resolved, 0);
    stage.change(|world| world.games_too_dear = false);
    until_stats(&proposer, |stats| stats.resolved >= 2).await;
    stage.shutdown.trigger("end of the test");
}

#[tokio::test]
async fn outages_of_l1_and_of_the_rollup_node_are_waited_out() {
    let mut stage = Stage::new().await;
    stage.config.pace.interval = 4;
    let proposer = stage.start().await.unwrap();
    until_stats(&proposer, |stats| stats.created >= 1).await;
    stage.change(|world| world.l1_up = false);
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let before = stage.change(|world| {
        world.l1_up = true;
        own_games(world)
    });
    stage.until("games after the outage", |world| own_games(world) > before).await;
    // Games are looked after while the rollup node is away.
    stage.change(|world| world.rollup_up = false);
    until_stats(&proposer, |stats| stats.paid >= 2).await;
    let before = stage.change(|world| {
        world.rollup_up = true;
        own_games(world)
    });
    stage.until("games after the outage", |world| own_games(world) > before).await;
    stage.shutdown.trigger("end of the test");
}

#[tokio::test]
async fn a_disputed_game_is_resolved_claim_by_claim_and_may_be_lost() {
    let mut stage = Stage::new().await;
    stage.config.pace.interval = 1_000_000;
    stage.config.resolve = false;
    stage.start().await.unwrap();
    stage.until("the first game", |world| own_games(world) == 1).await;
    stage.shutdown.trigger("restart");
    stage.shutdown.stopped(GRACE).await;
    stage.change(|world| {
        let game = &mut world.chain.games[0];
        (game.claims, game.countered) = (vec![false; 3], true);
    });
    (stage.config.resolve, stage.shutdown) = (true, opal_service::Shutdown::new());
    let proposer = stage.start().await.unwrap();
    let stats = until_stats(&proposer, |stats| stats.lost == 1).await;
    assert_eq!((stats.resolved, stats.paid, stats.failed_transactions), (1, 0, 0));
    assert_eq!(stage.change(|world| world.chain.games[0].status), 1);
    stage.shutdown.trigger("end of the test");
}

#[tokio::test]
async fn the_bond_of_a_game_that_was_struck_out_comes_back() {
    let mut stage = Stage::new().await;
    stage.config.pace.interval = 1_000_000;
    stage.change(|world| world.blacklisted = true);
    let proposer = stage.start().await.unwrap();
    until_stats(&proposer, |stats| stats.paid == 1).await;
    stage.change(|world| assert_eq!(world.chain.games[0].mode, 2));
    stage.shutdown.trigger("end of the test");
}

#[tokio::test]
async fn while_the_chain_is_paused_no_bond_is_claimed() {
    let mut stage = Stage::new().await;
    stage.config.pace.interval = 1_000_000;
    stage.change(|world| world.paused = true);
    let proposer = stage.start().await.unwrap();
    until_stats(&proposer, |stats| stats.resolved == 1).await;
    stage.blocks(20).await;
    assert_eq!(proposer.stats().borrow().failed_transactions, 0);
    stage.change(|world| {
        assert_eq!(world.chain.games[0].mode, 0);
        world.paused = false;
    });
    until_stats(&proposer, |stats| stats.paid == 1).await;
    stage.shutdown.trigger("end of the test");
}

/// With transactions sent one block ahead of their time, nothing fails either.
#[tokio::test]
async fn a_devnet_acts_with_the_block_in_which_it_may() {
    let mut stage = Stage::new().await;
    (stage.config.pace.interval, stage.config.lookahead) = (1_000_000, 2);
    let proposer = stage.start().await.unwrap();
    let stats = until_stats(&proposer, |stats| stats.paid == 1).await;
    assert_eq!(stats.failed_transactions, 0);
    stage.shutdown.trigger("end of the test");
}

#[tokio::test]
async fn the_operator_stops_starts_and_demands() {
    let mut stage = Stage::new().await;
    stage.config.pace.interval = 1_000_000;
    stage.config.stopped = true;
    stage.config.admin_rpc = Some(([127, 0, 0, 1], 0).into());
    let proposer = stage.start().await.unwrap();
    let rpc = provider(&proposer.rpc().unwrap().http_url().parse().unwrap()).unwrap();
    let call = async |method| raw_call(&rpc, method, json!([])).await;

    let error = call("admin_propose").await.unwrap_err();
    assert_eq!(error.message, "the proposer is stopped");
    call("admin_startProposer").await.unwrap();
    let error = call("admin_startProposer").await.unwrap_err();
    assert_eq!(error.message, "the proposer is running already");
    until_stats(&proposer, |stats| stats.unfinished == 1).await;
    stage.blocks(3).await;
    // Not due for a long time, but demanded.
    call("admin_propose").await.unwrap();
    stage.until("a second game", |world| own_games(world) == 2).await;
    until_stats(&proposer, |stats| stats.created == 2).await;
    // L1 refuses, and the caller learns it.
    stage.change(|world| world.permitted = STRANGER);
    stage.blocks(3).await;
    let error = call("admin_propose").await.unwrap_err();
    assert!(error.message.contains("the last attempt failed"), "{}", error.message);
    call("admin_stopProposer").await.unwrap();
    assert_eq!(call("admin_stopProposer").await.unwrap_err().message, "the proposer is stopped");
    stage.shutdown.trigger("end of the test");
}
