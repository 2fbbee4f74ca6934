#![allow(clippy::unwrap_used)]
use super::*;
use opal_protocol::blob::Blob;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Mutex;
use tokio::sync::Semaphore;

/// An L1 that answers by a script: one entry for each call, then the truth.
#[derive(Default)]
pub(super) struct Script {
    state: Mutex<State>,
    /// Blocks whose answer waits for a permit.
    held: HashMap<u64, Semaphore>,
}

/// Answers for one block, in order, each with its weight.
type Answers = VecDeque<Result<(L1Block, usize), DaError>>;

#[derive(Default)]
struct State {
    blocks: HashMap<u64, Answers>,
    blobs: VecDeque<Result<usize, DaError>>,
    weight: usize,
    asked: Vec<u64>,
    waits: Vec<Duration>,
}

impl Script {
    pub(super) async fn block(&self, number: u64) -> Result<(L1Block, usize), DaError> {
        self.state.lock().unwrap().asked.push(number);
        if let Some(held) = self.held.get(&number) {
            held.acquire().await.unwrap().forget();
        }
        let mut state = self.state.lock().unwrap();
        let weight = state.weight;
        let scripted = state.blocks.get_mut(&number).and_then(VecDeque::pop_front);
        scripted.unwrap_or_else(|| Ok((l1(number), weight)))
    }

    pub(super) async fn blobs(
        &self,
        _: &L1BlockRef,
        hashes: &[B256],
    ) -> Result<Vec<Box<Blob>>, DaError> {
        let count = self.state.lock().unwrap().blobs.pop_front().unwrap_or(Ok(hashes.len()))?;
        Ok(vec![Box::new(Blob::ZERO); count])
    }

    /// Does not wait, but notes for how long it should.
    pub(super) async fn wait(&self, delay: Duration) {
        self.state.lock().unwrap().waits.push(delay);
        tokio::task::yield_now().await;
    }

    fn asked(&self) -> BTreeSet<u64> {
        self.state.lock().unwrap().asked.iter().copied().collect()
    }
}

fn l1(number: u64) -> L1Block {
    let header = alloy_consensus::Header { number, ..Default::default() };
    L1Block {
        reference: L1BlockRef::from_header(header.hash_slow(), &header),
        header,
        receipts: Arc::default(),
        transactions: Arc::default(),
    }
}

fn fetcher(script: Script) -> (Fetcher, Arc<Script>) {
    let script = Arc::new(script);
    (Fetcher::from_source(Source::Script(script.clone())), script)
}

fn number(input: &Input) -> u64 {
    let Input::L1Block(block) = input else { panic!("{input:?}") };
    block.reference.number
}

const fn want(number: u64) -> Request {
    Request::L1Block { number }
}

fn down() -> DaError {
    DaError::Unavailable { endpoint: "e".into(), what: "w".into(), reason: "r".into() }
}

/// Lets the tasks run until block `last` has been asked for.
async fn settle(fetcher: &mut Fetcher, here: usize) {
    // `next` takes in what arrives and resolves only for what is wanted.
    for _ in 0..1000 {
        let waiting = tokio::select! {
            biased;
            input = fetcher.next() => panic!("{input:?}"),
            () = tokio::task::yield_now() => {
                fetcher.blocks.values().filter(|b| matches!(b, Early::Here(..))).count()
            }
        };
        if waiting == here {
            return;
        }
    }
    panic!("only some blocks arrived");
}

#[tokio::test]
async fn blocks_come_ahead_of_time_and_in_order() {
    let (mut fetcher, script) = fetcher(Script::default());
    assert!(fetcher.request(want(10), 100).is_none());
    assert_eq!(number(&fetcher.next().await), 10);
    settle(&mut fetcher, 8).await;
    assert_eq!(script.asked(), (10..=18).collect());
    for n in 11..=18 {
        assert_eq!(number(&fetcher.request(want(n), 18).unwrap()), n, "at once");
    }
    assert!(matches!(fetcher.request(want(19), 18), Some(Input::L1NotYet { number: 19 })));
    assert_eq!(script.state.lock().unwrap().asked.len(), 9, "each once");
}

#[tokio::test]
async fn early_blocks_are_bounded_by_their_bytes() {
    for (weight, ahead) in [(1 << 10, 8), (8 << 20, 8), (20 << 20, 3), (100 << 20, 0)] {
        let script = Script::default();
        script.state.lock().unwrap().weight = weight;
        let (mut fetcher, script) = fetcher(script);
        // Nothing has arrived at first: eight of expected size are asked for.
        assert!(fetcher.request(want(0), 1000).is_none());
        assert_eq!(number(&fetcher.next().await), 0);
        settle(&mut fetcher, 8).await;
        for n in 1..30 {
            let input = match fetcher.request(want(n), 1000) {
                Some(input) => input,
                None => fetcher.next().await,
            };
            assert_eq!(number(&input), n);
            let here = fetcher.blocks.len();
            assert!(n < 9 || here <= ahead, "{here} of {weight} bytes at {n}");
            settle(&mut fetcher, here).await;
        }
        let most = script.asked().into_iter().max().unwrap();
        assert!(most >= 29 && (weight < 1 << 20 || most <= 29 + ahead as u64));
    }
}

#[tokio::test]
async fn late_blocks_do_not_hold_up_others_and_order_stays() {
    let mut script = Script::default();
    script.held.insert(5, Semaphore::new(0));
    let (mut fetcher, script) = fetcher(script);
    assert!(fetcher.request(want(5), 100).is_none());
    settle(&mut fetcher, 8).await;
    // Asked again, as derivation does: no second fetch.
    assert!(fetcher.request(want(5), 100).is_none());
    script.held[&5].add_permits(1);
    assert_eq!(number(&fetcher.next().await), 5);
    assert_eq!(number(&fetcher.request(want(6), 100).unwrap()), 6);
    assert_eq!(script.state.lock().unwrap().asked.iter().filter(|n| **n == 5).count(), 1);
}

#[tokio::test]
async fn a_failing_fetch_is_repeated_with_growing_pauses() {
    let script = Script::default();
    script.state.lock().unwrap().blocks.insert(
        3,
        (0..9).map(|_| Err(down())).chain([Err(DaError::NotFound("3".into()))]).collect(),
    );
    let (mut fetcher, script) = fetcher(script);
    assert!(fetcher.request(want(3), 3).is_none());
    assert_eq!(number(&fetcher.next().await), 3);
    let waits: Vec<u128> =
        script.state.lock().unwrap().waits.iter().map(Duration::as_millis).collect();
    assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000, 5000]);
}

#[tokio::test]
async fn another_block_than_asked_for_is_asked_for_again() {
    let script = Script::default();
    script.state.lock().unwrap().blocks.insert(3, [Ok((l1(4), 0)), Ok((l1(2), 0))].into());
    let (mut fetcher, script) = fetcher(script);
    assert!(fetcher.request(want(3), 3).is_none());
    assert_eq!(number(&fetcher.next().await), 3);
    assert_eq!(script.state.lock().unwrap().waits.len(), 2);
}

#[tokio::test]
async fn too_many_or_too_few_blobs_are_asked_for_again() {
    let block = l1(7).reference;
    let pruned = DaError::BlobMissing {
        endpoint: "beacon".into(),
        block: block.id(),
        slot: 77,
        hash: B256::ZERO,
    };
    let text = pruned.to_string();
    for part in ["slot 77", &block.id().to_string(), "--l1.beacon-fallbacks"] {
        assert!(text.contains(part), "{text}");
    }
    let script = Script::default();
    script.state.lock().unwrap().blobs = [Ok(3), Ok(0), Err(pruned), Ok(1)].into();
    let (mut fetcher, script) = fetcher(script);
    let request = Request::Blobs { block, hashes: vec![B256::ZERO; 2] };
    assert!(fetcher.request(request.clone(), 7).is_none());
    assert!(fetcher.request(request, 7).is_none(), "not twice");
    let Input::Blobs { block: of, blobs } = fetcher.next().await else { panic!() };
    assert_eq!((of, blobs.len()), (block.id(), 2));
    assert_eq!(script.state.lock().unwrap().waits.len(), 4);
}

#[tokio::test]
async fn a_reset_drops_what_is_in_flight_and_a_jump_of_the_head_what_arrived() {
    let mut script = Script::default();
    script.held.insert(5, Semaphore::new(0));
    let (mut fetcher, script) = fetcher(script);
    assert!(fetcher.request(want(5), 8).is_none());
    settle(&mut fetcher, 3).await;
    fetcher.forget_early();
    assert_eq!(fetcher.blocks.len(), 1, "5 goes on");
    script.held[&5].add_permits(1);
    assert_eq!(number(&fetcher.next().await), 5);
    assert!(fetcher.request(want(6), 8).is_none(), "6 is read again");
    assert_eq!(number(&fetcher.next().await), 6);
    fetcher.reset();
    assert!(fetcher.blocks.is_empty() && fetcher.tasks.is_empty());
}
