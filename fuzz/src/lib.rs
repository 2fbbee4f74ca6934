//! What the fuzzer calls: one function per target, each taking arbitrary bytes.
//!
//! A target panics when a property does not hold: a decoder that panics, a round trip that changes
//! something, memory beyond what the format allows, or a derivation that depends on when and how
//! its host answers. The same functions run over the committed seeds in an ordinary test.

mod batches;
mod channels;
mod codecs;
mod evm;
#[cfg(feature = "execution")]
mod execution;
pub mod memory;
mod pipeline;
pub mod seeds;

/// A target's function.
pub type Target = fn(&[u8]);

/// Every target by name, as in `fuzz_targets` and in `seeds`.
pub const TARGETS: &[(&str, Target)] = &[
    ("frame", codecs::frame),
    ("batcher_transaction", codecs::batcher_transaction),
    ("alt_da", codecs::alt_da),
    ("channel", channels::channel),
    ("inflate", channels::inflate),
    ("batch_singular", batches::singular),
    ("batch_span", batches::span),
    ("span_builder", batches::span_builder),
    ("blob", codecs::blob),
    ("deposit_log", codecs::deposit_log),
    ("l1_info", codecs::l1_info),
    ("system_config", codecs::system_config),
    ("rollup_config", codecs::rollup_config),
    ("upgrade_bundle", codecs::upgrade_bundle),
    ("transaction", codecs::transaction),
    ("receipt", codecs::receipt),
    ("recording", pipeline::read_recording),
    ("pipeline", pipeline::run),
    ("block", evm::block),
    ("genesis", evm::genesis),
    ("trie", evm::trie),
    ("trie_nodes", evm::trie_nodes),
    ("witness", evm::witness),
];

/// Runs one target over one input.
///
/// # Panics
/// When a property does not hold, and when there is no such target.
pub fn run(target: &str, data: &[u8]) {
    #[cfg(feature = "execution")]
    if let Some(target) = execution::TARGETS.iter().find(|found| found.name == target) {
        return memory::within(target.memory, target.name, || (target.run)(data));
    }
    let found = TARGETS.iter().find(|(name, _)| *name == target);
    let (_, function) = found.unwrap_or_else(|| panic!("no target {target}"));
    function(data);
}
