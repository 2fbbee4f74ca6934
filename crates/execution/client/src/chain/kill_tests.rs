//! A process that builds, imports, reorganises and finalizes ends at random instants: by kill -9, or
//! because the disk takes no more. Whatever it had been promised must be there when the directory is
//! opened again.
//!
//! `OPAL_KILL_ROUNDS` sets the number of rounds of each.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use alloy_primitives::B256;
use opal_protocol::{PayloadAttributes, SealedBlock};

use crate::testing::{extend, l2_attributes, l2_engine_with, minting_deposit, set_head, transfer};
use crate::{ChainError, Database, ForkchoiceState, History, LocalEngine};

const DIR: &str = "OPAL_KILL_TEST_DIR";
const CHILD: &str = "chain::kill_tests::builds_until_it_is_killed";
const DEFAULT_ROUNDS: usize = 25;
/// However slow the machine is, the test ends after about this time.
const BUDGET: Duration = Duration::from_secs(15);

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{line}").and_then(|()| out.flush()).unwrap();
}

/// A chain that keeps few states, so that lists of them are written anew.
fn engine_in(dir: &Path) -> Result<LocalEngine, ChainError> {
    l2_engine_with(dir, |_, storage| storage.history = History::Blocks(10))
}

fn grow(engine: &LocalEngine, n: u64) -> SealedBlock {
    let head = engine.head();
    let state = engine.chain().state_at(&head.hash).unwrap();
    let mut forced = vec![minting_deposit(u128::from(n))];
    for account in 0..3 {
        let address = crate::testing::signer(account).address();
        let nonce = state.account(&address).unwrap().map_or(0, |account| account.nonce);
        forced.extend((0..4).map(|i| transfer(account, nonce + i, 1)));
    }
    let attributes = l2_attributes(&head, &forced);
    extend(engine, PayloadAttributes { no_tx_pool: true, ..attributes })
}

/// The process that is killed. It says what it was promised, each time after the call. Where the disk
/// refuses, it says why and ends.
#[test]
#[ignore = "run by kill_nine_loses_nothing_that_was_promised"]
fn builds_until_it_is_killed() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let engine = match engine_in(Path::new(&dir)) {
        Ok(engine) => engine,
        Err(error) => return say(&format!("refused {error}")),
    };
    let work = std::panic::AssertUnwindSafe(|| build(&engine));
    let ended = std::panic::catch_unwind(work);
    match engine.chain().storage_error() {
        Some(error) => say(&format!("refused {error}")),
        None => std::panic::resume_unwind(ended.unwrap_err()),
    }
}

fn build(engine: &LocalEngine) {
    say(&format!("opened {}", engine.head().header().number));
    let mut seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos() as u64;
    loop {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let random = seed >> 33;
        let head = engine.head();
        let number = head.header().number;
        let finalized = engine.finalized().unwrap().header().number;
        if random.is_multiple_of(11) && number > finalized + 3 {
            // A reorg, often below what is flushed.
            let back = 1 + random / 11 % (number - finalized - 1).min(20);
            set_head(engine, engine.block_by_number(number - back).unwrap().hash);
        }
        let block = grow(engine, random);
        say(&format!("head {} {}", block.header().number, block.hash));
        if random.is_multiple_of(7) {
            let number = block.header().number;
            let final_block = engine.block_by_number(number.saturating_sub(25)).unwrap();
            let final_block = match final_block.header().number > finalized {
                true => final_block.hash,
                false => B256::ZERO,
            };
            let state =
                ForkchoiceState { head: block.hash, safe: final_block, finalized: final_block };
            assert!(engine.fork_choice_updated(state, None).unwrap().status.is_valid());
            if !final_block.is_zero() {
                say(&format!("final {final_block}"));
            }
        }
    }
}

/// What the child said last.
#[derive(Debug, Default)]
struct Promised {
    opened: bool,
    head: Option<(u64, B256)>,
    finalized: Option<B256>,
    blocks: usize,
    /// Why the disk took no more.
    refused: Option<String>,
}

impl Promised {
    fn hear(&mut self, line: &str) {
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["opened", _] => self.opened = true,
            ["head", number, hash] => {
                self.head = Some((number.parse().unwrap(), hash.parse().unwrap()));
                self.blocks += 1;
            }
            ["final", hash] => self.finalized = Some(hash.parse().unwrap()),
            ["refused", ..] => self.refused = Some(line.to_owned()),
            _ => {}
        }
    }
}

/// Starts the child; its lines come through the channel until its end.
fn start(command: &mut Command, dir: &Path) -> (Child, Receiver<String>) {
    let mut child = command
        .args([CHILD, "--exact", "--ignored", "--nocapture", "--test-threads", "1"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let out = child.stdout.take().unwrap();
    let (sender, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut out = BufReader::new(out);
        let mut line = String::new();
        // A last line without its end was not said.
        while out.read_line(&mut line).is_ok_and(|n| n > 0) && line.ends_with('\n') {
            let _ = sender.send(line.trim().to_owned());
            line.clear();
        }
    });
    (child, lines)
}

/// Runs the child and kills it after a time; gives what it said.
fn run(dir: &Path, time: Duration, promised: &mut Promised) {
    let (mut child, lines) = start(&mut Command::new(std::env::current_exe().unwrap()), dir);
    promised.opened = false;
    let started = Instant::now();
    let mut kill_at = None;
    while kill_at.is_none_or(|at| Instant::now() < at) {
        if let Ok(line) = lines.recv_timeout(Duration::from_millis(1)) {
            promised.hear(&line);
        }
        // From when it is open; killing it before would show little.
        if promised.opened && kill_at.is_none() {
            kill_at = Some(Instant::now() + time);
        }
        if started.elapsed() > Duration::from_secs(60) || child.try_wait().unwrap().is_some() {
            break;
        }
    }
    let alive = child.try_wait().unwrap().is_none();
    // SIGKILL on Unix.
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    lines.into_iter().for_each(|line| promised.hear(&line));
    assert!(alive && promised.opened, "{}", String::from_utf8_lossy(&output.stderr));
}

/// Runs the child where no file may have more than so many KiB, until it gives up by itself.
#[cfg(unix)]
fn run_limited(dir: &Path, kib: u32, promised: &mut Promised) {
    // Without the trap the system kills whoever writes beyond the limit.
    let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", kib * 2);
    let mut command = Command::new("sh");
    command.args(["-c", &script]).arg(std::env::current_exe().unwrap());
    let (mut child, lines) = start(&mut command, dir);
    (promised.opened, promised.refused) = (false, None);
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline && child.try_wait().unwrap().is_none() {
        if let Ok(line) = lines.recv_timeout(Duration::from_millis(1)) {
            promised.hear(&line);
        }
    }
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    lines.into_iter().for_each(|line| promised.hear(&line));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let refused = promised.refused.as_ref().unwrap_or_else(|| panic!("{errors}"));
    let named = refused.contains(&*dir.to_string_lossy());
    assert!(named && refused.contains("limits the size of files"), "{refused}");
}

/// Opens the directory and compares. What is found is known from then on, as if it had been promised.
fn verify(dir: &Path, promised: &mut Promised) {
    let engine = engine_in(dir).unwrap();
    let chain = engine.chain();
    let head = engine.head();
    if let Some((number, hash)) = promised.head {
        let block = engine.block_by_hash(&hash);
        let block = block.unwrap_or_else(|| panic!("block {number} {hash} is lost: {promised:?}"));
        assert_eq!(block.header().number, number);
        // The head was that block; what was not promised may have come after it: the next block,
        // or the beginning of a reorg.
        let next = head.header().parent_hash == hash;
        let back = chain.is_ancestor(&head.hash, hash);
        assert!(
            head.hash == hash || next || back || head.header().number <= number,
            "{promised:?}"
        );
    }
    if let Some(finalized) = promised.finalized {
        assert!(chain.is_canonical(&finalized), "{promised:?}");
        let kept = engine.finalized().unwrap();
        assert!(chain.is_ancestor(&finalized, kept.hash), "{promised:?}");
    }
    promised.head = Some((head.header().number, head.hash));
    promised.finalized = engine.finalized().map(|block| block.hash);
    let state = chain.state_at(&head.hash).unwrap();
    assert_eq!(state.root(), head.header().state_root);
    for number in 0..=head.header().number {
        let stored = chain.stored_by_number(number).unwrap();
        assert_eq!(stored.number(), number);
        assert_eq!(stored.block.header().hash_slow(), stored.block.hash);
        if number + 30 < head.header().number && !number.is_multiple_of(17) {
            continue;
        }
        for (index, tx) in stored.block.block.body.transactions.iter().enumerate() {
            // A deposit with little in it may stand in two blocks.
            let (found, at) = chain.transaction(&tx.tx_hash()).unwrap();
            assert!(tx.is_deposit_tx() || (found.number(), at) == (number, index));
        }
    }
    chain.wait_for_flush();
    drop(engine);
    let database = Database::open(dir).unwrap();
    database.check(&mut |_| {}).unwrap();
    database.check_history(&mut |_| {}).unwrap();
}

/// Rounds that are asked for.
fn rounds() -> Option<usize> {
    std::env::var("OPAL_KILL_ROUNDS").ok().map(|rounds| rounds.parse().unwrap())
}

#[cfg(unix)]
#[test]
fn a_disk_that_takes_no_more_loses_nothing_that_was_promised() {
    let mut dir = tempfile::tempdir().unwrap();
    let mut promised = Promised::default();
    let mut random = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    let mut blocks = 0;
    // From none at all to some dozens of blocks, in whichever file is the first to be too large.
    for round in 0..rounds().unwrap_or(8) as u32 {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let kib = (round % 8) * (16 + (random >> 16) % 24);
        run_limited(dir.path(), kib, &mut promised);
        verify(dir.path(), &mut promised);
        blocks += promised.blocks;
        if round % 8 == 7 {
            dir = tempfile::tempdir().unwrap();
            promised = Promised::default();
        }
    }
    assert!(blocks > 0);
}

#[test]
fn kill_nine_loses_nothing_that_was_promised() {
    let rounds = rounds();
    let started = Instant::now();
    let mut dir = tempfile::tempdir().unwrap();
    let mut promised = Promised::default();
    let mut random = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    let mut done = 0;
    for round in 0..rounds.unwrap_or(DEFAULT_ROUNDS) {
        if rounds.is_none() && started.elapsed() > BUDGET {
            break;
        }
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let time = Duration::from_micros(u64::from(random >> 8) % 400_000);
        run(dir.path(), time, &mut promised);
        verify(dir.path(), &mut promised);
        done += 1;
        // Anew now and then, so that beginnings are killed, too, and reading all stays quick.
        if round % 6 == 5 {
            eprintln!("round {round}: {} blocks promised", promised.blocks);
            dir = tempfile::tempdir().unwrap();
            promised = Promised::default();
        }
    }
    assert!(done > 0);
}
