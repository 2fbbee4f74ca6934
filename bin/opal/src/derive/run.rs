//! The hosts: one that answers from files, one that follows a recording.

use std::sync::Arc;

use eyre::{WrapErr, bail, eyre};
use opal_derivation::recording::{Event, Replay};
use opal_derivation::{
    Derivation, DerivationStart, Executed, Input, Request, Step, attributes_match_block,
    deposits_only, must_walk_back,
};
use opal_protocol::l1_info::l1_info_of_block;
use opal_protocol::{
    AttributesWithParent, Hardfork, L1BlockRef, L2BlockRef, RollupConfig, SealedBlock,
    UpgradeBundles, l2_block_ref, system_config_of,
};

use super::data::{Data, Line, Lines};
use super::output::{Comparison, Output};

/// Whether the block is what the attributes describe.
fn compare(
    config: &RollupConfig,
    derived: &AttributesWithParent,
    block: &SealedBlock,
) -> Comparison {
    let parent = derived.parent.hash;
    match attributes_match_block(config, parent, &derived.attributes, &block.block) {
        Ok(()) => Comparison::Match,
        Err(mismatch) => {
            // Execution may have refused the attributes: from Holocene on a block of the deposits
            // stands in their place.
            let deposits = deposits_only(&derived.attributes);
            let holocene = config.is_active(Hardfork::Holocene, derived.derived_from.timestamp);
            let replaced = deposits != derived.attributes
                && attributes_match_block(config, parent, &deposits, &block.block).is_ok();
            if holocene && replaced {
                Comparison::Invalid
            } else {
                Comparison::Differs(mismatch.to_string())
            }
        }
    }
}

// --- recordings ----------------------------------------------------------------------------------

/// Runs a recording again and prints the attributes that were executed.
pub(super) fn recording(
    mut lines: Lines,
    bundles: impl FnOnce(&RollupConfig) -> eyre::Result<UpgradeBundles>,
    known: &Data,
    output: &mut Output,
) -> eyre::Result<()> {
    let Some(Line::Whole(first)) = lines.next()? else {
        bail!("the recording was cut off in its first line, which says what chain it is");
    };
    let config = Replay::new(&first, UpgradeBundles::default())?.config().clone();
    let mut replay = Replay::new(&first, bundles(&config)?)?;
    let config = replay.config().clone();
    let mut open: Option<AttributesWithParent> = None;
    let ends = || "the recording ends".to_owned();
    let mut why = ends();
    // Without a last line there is no "end" either, which is told below.
    while let Some(Line::Whole(line)) = lines.next()? {
        let event = replay.feed(&line)?;
        // An answer belongs to the attributes that the machine gave out before it.
        let mut answer = match event {
            Event::Executed(executed) => Some(executed),
            Event::Start(start) => {
                (open, why) = (None, ends());
                let at = start.safe_head.id();
                output.note(&format!(
                    "a machine on top of L2 block {at}, from L1 block {} on",
                    start.l1.number
                ));
                None
            }
            _ => None,
        };
        loop {
            if let (Some(executed), Some(derived)) = (answer, &open) {
                executed_line(&config, derived, executed, known, output)?;
                (answer, open) = (None, None);
            }
            let Some(step) = replay.next_step()? else { break };
            let origin = replay.machine().map(Derivation::origin).unwrap_or_default();
            match step {
                Step::Execute(attributes) => open = Some(*attributes),
                Step::Dropped(dropped) => output.dropped(&dropped, origin)?,
                Step::AdvancedOrigin(origin) => {
                    let safe = replay.machine().map(Derivation::safe_head).unwrap_or_default();
                    output.progress(origin, safe.number, None);
                }
                Step::Reset(reason) => why = format!("the recorded machine was reset ({reason})"),
                Step::Critical(error) => bail!("line {}: {error}", replay.line()),
                Step::Need(_) | Step::Idle => {}
            }
        }
    }
    if let Some(derived) = &open {
        output.block(derived, None, &Comparison::Unknown)?;
    }
    if let Err(cut) = replay.finish() {
        output.note(&cut.to_string());
    }
    output.end(&why);
    differences(output)
}

fn executed_line(
    config: &RollupConfig,
    derived: &AttributesWithParent,
    executed: Executed,
    known: &Data,
    output: &mut Output,
) -> eyre::Result<()> {
    let Executed::Valid(block) = executed else {
        output.block(derived, None, &Comparison::Invalid)?;
        return Ok(());
    };
    let comparison =
        known.l2.get(&block.number).map_or(Comparison::Unknown, |known| {
            match compare(config, derived, known) {
                Comparison::Match if known.hash != block.hash => Comparison::Differs(format!(
                    "the recorded host got block {}, the known one is {}",
                    block.hash, known.hash
                )),
                Comparison::Invalid => {
                    Comparison::Differs("the known block has deposits alone".into())
                }
                comparison => comparison,
            }
        });
    output.block(derived, Some(block.hash), &comparison)?;
    Ok(())
}

fn differences(output: &Output) -> eyre::Result<()> {
    match output.differing {
        0 => Ok(()),
        count => {
            Err(eyre!("{count} of {} derived blocks differ from the known ones", output.derived))
        }
    }
}

// --- segments ------------------------------------------------------------------------------------

/// Derives from files of L1 blocks, as far as the L2 blocks are known: the next block's batch names
/// the hash of the one before.
pub(super) fn segments(
    config: RollupConfig,
    data: &Data,
    safe_head: Option<u64>,
    output: &mut Output,
) -> eyre::Result<()> {
    let config = Arc::new(config);
    let start = start(&config, data, safe_head, output)?;
    let last = data.l1.keys().next_back().copied();
    let mut machine = Derivation::new(config.clone(), start);
    loop {
        match machine.step() {
            Step::Need(Request::L1Block { number }) => match data.l1.get(&number) {
                Some(held) => machine.provide(Input::L1Block(held.block.clone()))?,
                None => {
                    output.end(&format!("the L1 data ends before L1 block {number}"));
                    break;
                }
            },
            Step::Need(Request::Blobs { block, hashes }) => {
                let blobs = hashes.iter().map(|hash| data.blob(*hash, block.number));
                let blobs = blobs.collect::<eyre::Result<_>>()?;
                machine.provide(Input::Blobs { block: block.id(), blobs })?;
            }
            Step::Need(Request::L2Block { number }) => {
                let block = data.l2.get(&number).ok_or_else(|| {
                    eyre!("a span batch overlaps L2 block {number}, which is not in the L2 data")
                })?;
                machine.provide(Input::L2Block(block.clone()))?;
            }
            Step::Execute(derived) => {
                let number = derived.parent.number.saturating_add(1);
                let Some(block) = data.l2.get(&number) else {
                    output.block(&derived, None, &Comparison::Unknown)?;
                    output.end(&format!(
                        "L2 block {number} is not in the L2 data, and without its hash nothing after \
                         it can be derived"
                    ));
                    break;
                };
                let comparison = compare(&config, &derived, block);
                let hash = (comparison == Comparison::Match).then_some(block.hash);
                output.block(&derived, hash, &comparison)?;
                match comparison {
                    Comparison::Match => {
                        let reference = l2_block_ref(&config, block.hash, &block.block)?;
                        machine.executed(Executed::Valid(reference))?;
                    }
                    Comparison::Invalid => machine.executed(Executed::Invalid)?,
                    Comparison::Differs(_) | Comparison::Unknown => {
                        output.end(&format!("L2 block {number} is not the known one"));
                        break;
                    }
                }
            }
            Step::AdvancedOrigin(origin) => {
                output.progress(origin, machine.safe_head().number, last);
            }
            Step::Dropped(dropped) => output.dropped(&dropped, machine.origin())?,
            Step::Reset(reason) => bail!("derivation cannot go on from this data: {reason}"),
            Step::Critical(error) => return Err(error.into()),
            // Nobody says that an L1 block is not there yet.
            Step::Idle => break,
        }
    }
    differences(output)
}

/// Where derivation begins: on the safe head, a channel timeout of L1 blocks before its origin.
fn start(
    config: &RollupConfig,
    data: &Data,
    safe_head: Option<u64>,
    output: &Output,
) -> eyre::Result<DerivationStart> {
    let number = match safe_head {
        Some(number) => number,
        None => *data.l2.keys().next().ok_or_else(|| {
            eyre!("no known L2 block to begin with: give --l2-data with the safe head in it")
        })?,
    };
    let block = data.l2.get(&number).ok_or_else(|| {
        let held = (data.l2.keys().next(), data.l2.keys().next_back());
        let held = match held {
            (Some(first), Some(last)) => format!("blocks {first} to {last}"),
            _ => "no blocks".to_owned(),
        };
        eyre!("the safe head, L2 block {number}, is not in the L2 data, which has {held}")
    })?;
    let reference = |block: &SealedBlock| -> eyre::Result<L2BlockRef> {
        l2_block_ref(config, block.hash, &block.block)
            .wrap_err_with(|| format!("L2 block {}", block.header().number))
    };
    let system_config = |block: &SealedBlock| {
        system_config_of(config, block.hash, &block.block)
            .wrap_err_with(|| format!("L2 block {}", block.header().number))
    };
    let safe = reference(block)?;

    // Back along the known L2 blocks.
    let mut from = block;
    let exact = loop {
        let candidate = reference(from)?;
        let origin_time = l1_info_of_block(config, from.hash, &from.block)
            .map_or(config.genesis.l2_time, |info| info.timestamp);
        if !must_walk_back(config, safe.l1_origin, &candidate, origin_time) {
            break true;
        }
        match candidate.number.checked_sub(1).and_then(|parent| data.l2.get(&parent)) {
            Some(parent) if parent.hash == candidate.parent_hash => from = parent,
            _ => break false,
        }
    };
    let mut l1 = l1_reference(data, reference(from)?.l1_origin.number).ok_or_else(|| {
        eyre!(
            "L1 block {}, the origin of L2 block {}, is not in the L1 data",
            safe.l1_origin.number,
            safe.number
        )
    })?;
    if !exact {
        // Further back along L1: the system configuration is that of the earliest L2 block known.
        let oldest = safe.l1_origin.number.saturating_sub(config.channel_timeout(l1.timestamp));
        while l1.number > oldest
            && let Some(parent) = l1_reference(data, l1.number.saturating_sub(1))
        {
            l1 = parent;
        }
        if l1.number > oldest {
            output.note(&format!(
                "the L1 data begins at {}, a channel may have begun at {oldest}: one that did is not \
                 seen",
                l1.number
            ));
        }
    }
    output.note(&format!(
        "safe head is L2 block {} with L1 origin {}; reading from L1 block {} on",
        safe.id(),
        safe.l1_origin.number,
        l1.number
    ));
    Ok(DerivationStart {
        safe_head: safe,
        safe_system_config: system_config(block)?,
        l1,
        l1_system_config: system_config(from)?,
    })
}

fn l1_reference(data: &Data, number: u64) -> Option<L1BlockRef> {
    data.l1.get(&number).map(|held| held.block.reference)
}
