//! Many senders who mean no good: memory and counts stay within their limits.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use alloy_primitives::U256;

use super::test_support::{address, head, state_of, unsigned};
use super::{PoolConfig, PoolError, TxPool};

const SENDERS: u64 = 100_000;

#[test]
fn a_hundred_thousand_hostile_senders_stay_within_the_limits() {
    let config = PoolConfig {
        max_transactions: 4_000,
        max_queued: 1_000,
        max_bytes: 8 << 20,
        ..Default::default()
    };
    let balance = U256::from(10).pow(U256::from(18));
    let funded = SENDERS / 2;
    let state = state_of((0..funded).map(|n| (address(n), 0)), balance);
    let pool = TxPool::new(config.clone(), head(state, 1_000));
    let check = |step: &str| {
        let stats = pool.stats();
        assert!(stats.pending + stats.queued <= config.max_transactions, "{step}: {stats:?}");
        assert!(stats.queued <= config.max_queued, "{step}: {stats:?}");
        assert!(stats.bytes <= config.max_bytes, "{step}: {stats:?}");
        pool.read().queues.assert_consistent();
    };
    // Behind gaps first: they fill the queue and no more.
    for n in 0..funded / 2 {
        let fee = 2_000 + u128::from(n % 1_000);
        let _ = pool.add(unsigned(address(n), 5 + n % 3, fee, fee - 1_500, 0));
    }
    check("gaps");
    assert_eq!(pool.status(), (0, config.max_queued));
    // Then executable ones, each a little better than many before it.
    for n in (0..funded).rev() {
        let fee = 2_000 + u128::from(n % 5_000);
        let _ = pool.add(unsigned(address(n), 0, fee, fee, 0));
    }
    check("executable");
    assert_eq!(pool.status(), (config.max_transactions, 0));
    // Nobody who pays less got in for one who pays more.
    let lowest = pool.content().pending.values().flatten().map(|tx| tx.fee_cap()).min().unwrap();
    assert!(lowest >= 2_000 + 4_500, "{lowest}");
    // Large ones are bounded by their bytes.
    for n in 0..400 {
        let fee = 1_000_000 + u128::from(n);
        let _ = pool.add(unsigned(address(n), 1, fee, fee, 100_000));
        let _ = pool.add(unsigned(address(n), 0, fee, fee, 100_000));
    }
    check("large");
    // And who has nothing gets nothing.
    for n in funded..SENDERS {
        let error = pool.add(unsigned(address(n), 0, 5_000_000, 5_000_000, 0)).unwrap_err();
        assert!(matches!(error, PoolError::InsufficientFunds { .. }));
    }
    check("poor");
    assert_eq!(pool.stats().refused["funds"], SENDERS - funded);
    // All of it leaves with a head on which nobody can pay.
    let poor = state_of([], U256::ZERO);
    pool.set_head(head(poor, 1_000), &[], Vec::new());
    assert_eq!(pool.status(), (0, 0));
    let stats = pool.stats();
    assert_eq!((stats.bytes, stats.blobs), (0, 0));
    assert_eq!(stats.added, stats.replaced + stats.evicted + stats.dropped);
}

#[test]
fn what_waits_too_long_behind_a_gap_expires() {
    let state = state_of((0..3).map(|n| (address(n), 0)), U256::from(u64::MAX));
    let config = PoolConfig { locals: [address(2)].into(), ..Default::default() };
    let pool = TxPool::new(config.clone(), head(state, 1_000));
    for (sender, nonce) in [(0, 0), (0, 2), (0, 3), (1, 1), (2, 1)] {
        pool.add(unsigned(address(sender), nonce, 2_000, 1, 0)).unwrap();
    }
    assert_eq!(pool.status(), (1, 4));
    let expire = |after: Duration| {
        let mut inner = pool.write();
        pool.expire_locked(&mut inner, Instant::now() + after);
    };
    expire(config.lifetime - Duration::from_secs(60));
    assert_eq!(pool.status(), (1, 4));
    expire(config.lifetime + Duration::from_secs(1));
    // What can run stays, and so does what is local.
    assert_eq!(pool.status(), (1, 1));
    assert_eq!(pool.stats().expired, 3);
    pool.read().queues.assert_consistent();
}
