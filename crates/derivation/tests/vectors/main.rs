//! Segments of real L1 chains, driven through the machine. How the files are found, and what fails:
//! see `opal_tests::vectors`.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod chains;
mod channels;
mod expected;

use std::process::ExitCode;

use alloy_primitives::B256;
use opal_derivation::{Derivation, Input, Request, Step};
use opal_protocol::{AttributesWithParent, SealedBlock};
use opal_tests::vectors::Vectors;

use crate::chains::Chain;

fn main() -> ExitCode {
    let mut vectors = Vectors::from_env();
    vectors.folder("derivation/l1", chains::check_segment);
    vectors.folder("derivation/expected", expected::check);
    vectors.folder("derivation/channels", channels::check);
    // opal-protocol reads the frames and the bodies of spans.
    vectors.all_read(&["derivation"], &["derivation", "derivation/span"]);
    vectors.run()
}

/// Why no attributes come.
#[derive(Debug)]
enum Stop {
    /// The vectors hold no such L1 block.
    NoL1Block(u64),
    /// The vectors hold no blob of this hash.
    NoBlob(B256),
}

/// Feeds the machine out of the vectors until there are attributes to execute.
fn next_attributes(
    derivation: &mut Derivation,
    chain: &Chain<'_>,
    l2_block: impl Fn(u64) -> SealedBlock,
) -> Result<Box<AttributesWithParent>, Stop> {
    loop {
        let input = match derivation.step() {
            Step::Execute(attributes) => return Ok(attributes),
            Step::AdvancedOrigin(_) | Step::Dropped(_) => continue,
            Step::Need(Request::L1Block { number }) => {
                let block = chain.block(number).ok_or(Stop::NoL1Block(number))?;
                Input::L1Block(block.clone())
            }
            Step::Need(Request::Blobs { block, hashes }) => {
                let blobs: Result<Vec<_>, _> =
                    hashes.iter().map(|hash| chain.blob(hash).ok_or(Stop::NoBlob(*hash))).collect();
                Input::Blobs { block: block.id(), blobs: blobs? }
            }
            Step::Need(Request::L2Block { number }) => Input::L2Block(l2_block(number)),
            other => panic!("{other:?}"),
        };
        derivation.provide(input).unwrap();
    }
}
