//! L2 blocks that must come out of the L1 segments.

use std::sync::Arc;

use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::Bytes;
use opal_derivation::{Derivation, DerivationStart, Executed, attributes_match_block};
use opal_protocol::{
    AttributesWithParent, Block, L2BlockRef, RollupConfig, SealedBlock, l2_block_ref,
    system_config_of,
};
use opal_tests::vectors::{Outcome, VectorFile, list, optional, uint};

use crate::chains::{self, Anchor, header, transactions};
use crate::{Stop, next_attributes};

/// The first block of the file is the safe head; the others must be derived, equal in all that
/// attributes say.
pub fn check(file: &VectorFile) -> Outcome {
    let json = file.json();
    if optional(&json, "l1_chain_id").is_none() || list(&json["blocks"]).len() < 2 {
        file.not_understood(&json);
    }
    let blocks: Vec<SealedBlock> = list(&json["blocks"])
        .iter()
        .map(|json| {
            let mut block = Block { header: header(json), ..Block::default() };
            block.body.transactions = transactions(json);
            SealedBlock::new(block)
        })
        .collect();
    let first = blocks[0].header();
    let anchor = Anchor { number: Some(first.number), timestamp: first.timestamp };
    let l1 = chains::chain(uint(&json["l1_chain_id"]));
    let config = Arc::new(chains::config(&[&json["rollup"], &json], l1.id, anchor));
    let references: Vec<L2BlockRef> = blocks
        .iter()
        .map(|block| l2_block_ref(&config, block.hash, &block.block).unwrap())
        .collect();

    let safe_head = references[0];
    let origin = safe_head.l1_origin.number;
    match l1.block(origin) {
        None => return Outcome::Ignored(format!("no segment holds L1 block {origin}")),
        Some(block) => assert_eq!(block.reference.hash, safe_head.l1_origin.hash),
    }
    let system_config = system_config_of(&config, safe_head.hash, &blocks[0].block).unwrap();
    let start = DerivationStart {
        safe_head,
        safe_system_config: system_config,
        l1: l1.start(&config, origin),
        l1_system_config: system_config,
    };
    let mut derivation = Derivation::new(config.clone(), start);
    let l2_block = |number: u64| {
        let found = blocks.iter().find(|block| block.header().number == number);
        found.unwrap_or_else(|| panic!("asks for L2 block {number}, before the safe head")).clone()
    };
    for (block, reference) in blocks.iter().zip(&references).skip(1) {
        let given = match next_attributes(&mut derivation, &l1, l2_block) {
            Ok(given) => given,
            Err(Stop::NoBlob(hash)) => {
                return Outcome::Ignored(format!("no file in blobs/ has blob {hash}"));
            }
            Err(Stop::NoL1Block(l1)) => panic!("L1 ends before {l1}, without L2 {reference:?}"),
        };
        check_attributes(&config, &given, block, reference);
        derivation.executed(Executed::Valid(*reference)).unwrap();
    }
    assert_eq!(derivation.pending_safe_head(), references[references.len() - 1]);
    Outcome::Checked(blocks.len() - 1)
}

fn check_attributes(
    config: &RollupConfig,
    given: &AttributesWithParent,
    block: &SealedBlock,
    reference: &L2BlockRef,
) {
    let number = reference.number;
    let raw: Vec<Bytes> = block
        .block
        .body
        .transactions
        .iter()
        .map(|transaction| transaction.encoded_2718().into())
        .collect();
    let attributes = &given.attributes;
    assert_eq!(attributes.transactions.as_ref(), Some(&raw), "transactions of {number}");
    assert_eq!(attributes.timestamp, block.header().timestamp, "time of {number}");
    assert_eq!(attributes.prev_randao, block.header().mix_hash, "randomness of {number}");
    assert_eq!(attributes.gas_limit, Some(block.header().gas_limit), "gas limit of {number}");
    assert_eq!(given.l1_origin, reference.l1_origin, "L1 origin of {number}");
    attributes_match_block(config, reference.parent_hash, attributes, &block.block)
        .unwrap_or_else(|error| panic!("block {number}: {error}"));
}
