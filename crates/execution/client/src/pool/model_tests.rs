//! Random histories against a model that keeps one list and searches it.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, U256};
use opal_protocol::TxEnvelope;

use super::test_support::{address, head, state_of, unsigned};
use super::{PoolConfig, PoolError, PooledTransaction, TxPool};

const SENDERS: u64 = 6;
const BASE_FEE: u64 = 1_000;
/// Enough for about five transactions.
const BALANCE: u64 = 4 * 100_000 * 2_200;

fn config() -> PoolConfig {
    PoolConfig {
        max_transactions: 13,
        max_queued: 6,
        max_per_account: 5,
        max_queued_per_account: 3,
        ..Default::default()
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

#[derive(Clone)]
struct Tx {
    sender: Address,
    nonce: u64,
    fee: u128,
    tip: u128,
    sequence: u64,
    hash: B256,
    envelope: TxEnvelope,
}

impl Tx {
    fn cost(&self) -> U256 {
        U256::from(self.fee) * U256::from(100_000)
    }

    fn pays(&self) -> i128 {
        (self.fee as i128 - i128::from(BASE_FEE)).min(self.tip as i128)
    }
}

#[derive(Default)]
struct Model {
    nonces: BTreeMap<Address, u64>,
    pool: Vec<Tx>,
    blocks: Vec<Vec<Tx>>,
    sequence: u64,
}

impl Model {
    fn nonce(&self, sender: &Address) -> u64 {
        self.nonces.get(sender).copied().unwrap_or(0)
    }

    fn next(&self, sender: &Address) -> u64 {
        let mut next = self.nonce(sender);
        while self.pool.iter().any(|tx| tx.sender == *sender && tx.nonce == next) {
            next += 1;
        }
        next
    }

    fn executable(&self, tx: &Tx) -> bool {
        tx.nonce < self.next(&tx.sender)
    }

    fn queued(&self) -> usize {
        self.pool.iter().filter(|tx| !self.executable(tx)).count()
    }

    fn worth(&self, tx: &Tx) -> (bool, i128) {
        (self.executable(tx), tx.pays())
    }

    /// The last transaction of each account but one, the least worthy of these.
    fn victim(&self, but: Option<Address>) -> Option<Tx> {
        let last = |tx: &&Tx| {
            !self.pool.iter().any(|other| other.sender == tx.sender && other.nonce > tx.nonce)
        };
        let others = self.pool.iter().filter(|tx| Some(tx.sender) != but).filter(last);
        others.min_by_key(|tx| (self.worth(tx), std::cmp::Reverse(tx.sequence))).cloned()
    }

    fn add(&mut self, mut tx: Tx) -> Result<(), &'static str> {
        let config = config();
        if self.pool.iter().any(|other| other.hash == tx.hash) {
            return Err("known");
        }
        if tx.nonce < self.nonce(&tx.sender) {
            return Err("nonce_too_low");
        }
        let next = self.next(&tx.sender);
        let own: Vec<Tx> =
            self.pool.iter().filter(|other| other.sender == tx.sender).cloned().collect();
        let old = own.iter().find(|other| other.nonce == tx.nonce).cloned();
        if let Some(old) = &old {
            if tx.fee * 10 < old.fee * 11 || tx.tip * 10 < old.tip * 11 {
                return Err("replacement_underpriced");
            }
        } else {
            let queued = own.iter().filter(|other| other.nonce > next).count();
            if tx.nonce > next && queued >= config.max_queued_per_account {
                return Err("account_limit");
            }
            if own.len() >= config.max_per_account {
                return Err("account_limit");
            }
        }
        let others: U256 = own.iter().filter(|other| other.nonce != tx.nonce).map(Tx::cost).sum();
        if others + tx.cost() > U256::from(BALANCE) {
            return Err("funds");
        }
        let runs = tx.nonce <= next;
        let before = self.pool.clone();
        while old.is_none() {
            let fits = self.pool.len() < config.max_transactions;
            if fits && (runs || self.queued() < config.max_queued) {
                break;
            }
            let victim = self.victim(Some(tx.sender));
            let refused = match &victim {
                None => Some("full"),
                Some(victim) if !runs && self.executable(victim) => Some("full"),
                Some(victim) if self.worth(victim) >= (runs, tx.pays()) => Some("underpriced"),
                Some(_) => None,
            };
            if let Some(reason) = refused {
                self.pool = before;
                return Err(reason);
            }
            let hash = victim.unwrap().hash;
            self.pool.retain(|tx| tx.hash != hash);
        }
        self.pool.retain(|other| (other.sender, other.nonce) != (tx.sender, tx.nonce));
        tx.sequence = self.sequence;
        self.sequence += 1;
        self.pool.push(tx);
        Ok(())
    }

    fn best(&self) -> Vec<B256> {
        let mut nonces = self.nonces.clone();
        let mut order = Vec::new();
        loop {
            let ready = self.pool.iter().filter(|tx| {
                tx.nonce == nonces.get(&tx.sender).copied().unwrap_or(0)
                    && tx.fee >= u128::from(BASE_FEE)
            });
            let Some(best) = ready.max_by_key(|tx| (tx.pays(), std::cmp::Reverse(tx.sequence)))
            else {
                return order;
            };
            order.push(best.hash);
            *nonces.entry(best.sender).or_default() += 1;
        }
    }

    fn drop_used(&mut self) {
        let nonces = self.nonces.clone();
        self.pool.retain(|tx| tx.nonce >= nonces.get(&tx.sender).copied().unwrap_or(0));
    }

    fn trim(&mut self) {
        while self.queued() > config().max_queued {
            let hash = self.victim(None).unwrap().hash;
            self.pool.retain(|tx| tx.hash != hash);
        }
    }
}

fn head_of(model: &Model) -> super::PoolHead {
    let accounts = (0..SENDERS).map(|n| (address(n), model.nonce(&address(n))));
    head(state_of(accounts, U256::from(BALANCE)), BASE_FEE)
}

fn compare(model: &Model, pool: &TxPool, step: usize) {
    pool.read().queues.assert_consistent();
    let mut expected: BTreeMap<(bool, Address, u64), B256> = BTreeMap::new();
    for tx in &model.pool {
        expected.insert((model.executable(tx), tx.sender, tx.nonce), tx.hash);
    }
    let mut found = BTreeMap::new();
    let content = pool.content();
    for (executable, half) in [(true, content.pending), (false, content.queued)] {
        for tx in half.into_values().flatten() {
            found.insert((executable, tx.sender(), tx.nonce()), tx.hash());
        }
    }
    assert_eq!(found, expected, "step {step}");
    let queued = model.queued();
    assert_eq!(pool.status(), (model.pool.len() - queued, queued), "step {step}");
    let best: Vec<B256> = pool.best(BASE_FEE, 1).map(|tx| tx.hash()).collect();
    assert_eq!(best, model.best(), "step {step}");
    for n in 0..SENDERS {
        assert_eq!(pool.next_nonce(address(n)).unwrap(), model.next(&address(n)));
    }
}

fn random_tx(random: &mut Random, model: &Model) -> (Tx, PooledTransaction) {
    let sender = address(random.below(SENDERS));
    let nonce = (model.nonce(&sender) + random.below(8)).saturating_sub(1);
    let fee = 900 + 100 * u128::from(random.below(15));
    let tip = 10 + 10 * u128::from(random.below(30));
    let pooled = unsigned(sender, nonce, fee, tip, 0);
    let (hash, envelope) = (pooled.hash(), pooled.tx().clone());
    (Tx { sender, nonce, fee, tip, sequence: 0, hash, envelope }, pooled)
}

/// Takes transactions from the front of the best, or one that the pool does not have.
fn mine(random: &mut Random, model: &mut Model, pool: &TxPool) {
    let mut block = Vec::new();
    for hash in model.best().into_iter().take(random.below(5) as usize) {
        block.push(model.pool.iter().find(|tx| tx.hash == hash).unwrap().clone());
    }
    let (foreign, _) = random_tx(random, model);
    if random.below(3) == 0
        && foreign.nonce == model.nonce(&foreign.sender)
        && block.iter().all(|tx| tx.sender != foreign.sender)
    {
        block.push(foreign);
    }
    for tx in &block {
        *model.nonces.entry(tx.sender).or_default() += 1;
    }
    model.drop_used();
    model.trim();
    let hashes: Vec<B256> = block.iter().map(|tx| tx.hash).collect();
    model.blocks.push(block);
    pool.set_head(head_of(model), &hashes, Vec::new());
}

fn reorg(random: &mut Random, model: &mut Model, pool: &TxPool) {
    let mut back = Vec::new();
    for _ in 0..=random.below(2) {
        let Some(block) = model.blocks.pop() else { break };
        for tx in &block {
            *model.nonces.entry(tx.sender).or_default() -= 1;
        }
        back.extend(block);
    }
    let reinjected = back.iter().map(|tx| (tx.envelope.clone(), tx.sender)).collect();
    pool.set_head(head_of(model), &[], reinjected);
    back.sort_by_key(|tx| tx.nonce);
    for tx in back {
        let _ = model.add(tx);
    }
    model.trim();
}

#[test]
fn random_histories_agree_with_a_naive_model() {
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in 0..12 {
        let mut random = Random(seed);
        let mut model = Model::default();
        let pool = TxPool::new(config(), head_of(&model));
        for step in 0..400 {
            match random.below(12) {
                0 => mine(&mut random, &mut model, &pool),
                1 if random.below(2) == 0 => reorg(&mut random, &mut model, &pool),
                2 if !model.pool.is_empty() => {
                    let at = random.below(model.pool.len() as u64) as usize;
                    pool.remove(&model.pool.remove(at).hash);
                    model.trim();
                }
                what => {
                    let (tx, pooled) = match model.pool.first().cloned() {
                        Some(tx) if what == 3 => {
                            let pooled =
                                PooledTransaction::new(tx.envelope.clone(), tx.sender, None);
                            (tx, pooled)
                        }
                        _ => random_tx(&mut random, &model),
                    };
                    let got =
                        pool.add(pooled).map(|_| ()).map_err(|error| PoolError::reason(&error));
                    let expected = model.add(tx);
                    assert_eq!(got, expected, "seed {seed}, step {step}");
                    if let Err(reason) = got {
                        *reasons.entry(reason).or_default() += 1;
                    }
                }
            }
            compare(&model, &pool, step);
        }
    }
    // All these rules were at work.
    let expected = [
        "account_limit",
        "full",
        "funds",
        "known",
        "nonce_too_low",
        "replacement_underpriced",
        "underpriced",
    ];
    assert!(reasons.keys().eq(&expected), "{reasons:?}");
}
