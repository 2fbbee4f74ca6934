//! The whole pipeline: L1 blocks made of the input, batches among them, and two hosts.
//!
//! One host answers at once, the other late, twice, too early and with what was not asked for, as
//! the input says. Both must see the same steps, and every step must keep the rules that do not
//! depend on the batches.

mod batcher;
mod checks;
mod host;
mod world;

use arbitrary::Unstructured;

pub(crate) use self::world::user_transactions;

use opal_derivation::Step;
use opal_derivation::recording::{Replay, replay};

use crate::memory::within;

/// Memory that a run may take: the largest channel, decompressed into a growing buffer, and what
/// the pipeline makes of it.
const MEMORY: usize = 900 << 20;

/// Derives the chain twice and compares.
pub fn run(data: &[u8]) {
    // The last bytes say how the second host misbehaves, so that both parts mutate on their own.
    let (scenario, disturbance) = data.split_at(data.len() - (data.len() / 4).min(64));
    let Ok(world) = world::World::new(&mut Unstructured::new(scenario)) else { return };
    let prompt = within(MEMORY, "derivation", || host::drive(&world, &[], false));
    checks::check(&world, &prompt);
    let record = data.len() % RECORDED == 0;
    let disturbed = within(MEMORY, "derivation", || host::drive(&world, disturbance, record));
    for (i, pair) in prompt.steps.iter().zip(&disturbed.steps).enumerate() {
        assert_eq!(pair.0, pair.1, "step {i} of the two hosts");
    }
    if let Some(recording) = &disturbed.recording {
        let steps = replay(recording, world::bundles().collect()).unwrap();
        let seen = steps.iter().filter(|step| !matches!(step, Step::Need(_) | Step::Idle));
        // Steps that were asked for again are in the recording as often.
        let repeated = |a: &mut &Step, b: &mut &Step| !matches!(a, Step::Dropped(_)) && a == b;
        let (mut seen, mut expected): (Vec<_>, Vec<_>) =
            (seen.collect(), disturbed.steps.iter().collect());
        seen.dedup_by(repeated);
        expected.dedup_by(repeated);
        assert_eq!(seen, expected, "the replay");
    }
    let (a, b) = (prompt.steps.len(), disturbed.steps.len());
    assert_eq!(a, b, "steps of the two hosts, after {:?}", prompt.steps.get(a.min(b) - 1));
}

/// Whether a run is written down and replayed: one of so many, as it takes long.
const RECORDED: usize = 16;

/// The recording of a run with a host that answers at once.
pub(crate) fn recording(scenario: &[u8]) -> String {
    let world = world::World::new(&mut Unstructured::new(scenario));
    let recording = world.map(|world| host::drive(&world, &[], true).recording);
    recording.ok().flatten().unwrap_or_default()
}

/// A bundle file.
pub(crate) fn bundle_json() -> String {
    world::bundles().next().and_then(|bundle| bundle.to_json().ok()).unwrap_or_default()
}

/// A recording that is no recording, or one whose events do not fit each other.
pub fn read_recording(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    within(MEMORY, "a recording", || {
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        let Ok(mut replay) = Replay::new(first, world::bundles().collect()) else { return };
        for line in lines {
            if replay.feed(line).is_err() {
                return;
            }
            while let Ok(Some(_)) = replay.next_step() {}
        }
    });
}
