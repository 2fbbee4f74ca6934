//! Every genesis of the superchain registry, rebuilt. How the files are found, and what fails: see
//! `opal_tests::vectors`.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::process::ExitCode;
use std::sync::Arc;

use opal_governance::genesis_file::{self, GenesisFileError};
use opal_protocol::registry;
use opal_tests::vectors::{Outcome, VectorFile, Vectors};

const EXTRA: &str = "registry/superchain/extra";

fn main() -> ExitCode {
    let mut vectors = Vectors::from_env();
    // The only file there that is in no folder of its own is the dictionary.
    let dictionary = vectors.files(EXTRA).first().map(VectorFile::bytes).unwrap_or_default();
    let dictionary = Arc::new(dictionary);
    let genesis = format!("{EXTRA}/genesis");
    let superchains = vectors.folders(&genesis);
    let folders = if superchains.is_empty() { vec![genesis] } else { superchains };
    for folder in folders {
        let dictionary = dictionary.clone();
        vectors.folder(&folder, move |file| check(file, &dictionary));
    }
    vectors.run()
}

/// TRAPS "Genesis header: withdrawals root depends on Canyon versus Isthmus; 49 of 53 registry
/// genesis files rebuild to the configured hash, the others are Bedrock or Celo migrations".
fn check(file: &VectorFile, dictionary: &[u8]) -> Outcome {
    let (_, superchain) = file.folder.rsplit_once('/').unwrap();
    let name = file.name.split('.').next().unwrap();
    let preset = registry::find(&format!("{superchain}/{name}")).unwrap();
    let rollup = preset.rollup_config();
    let json = genesis_file::unpack(file.bytes(), dictionary).unwrap();
    let genesis = match genesis_file::parse(&json) {
        Ok(genesis) => genesis,
        Err(error) => {
            let no_state =
                matches!(error, GenesisFileError::NoState { .. } | GenesisFileError::Missing(_));
            assert!(no_state && preset.is_migrated(), "{}: {error}", file.place());
            return Outcome::Checked(1);
        }
    };
    // The text is as large as the state that comes of it.
    drop(json);
    match genesis_file::verify(genesis, &rollup) {
        Ok(block) => assert_eq!((block, preset.is_migrated()), (preset.l2, false)),
        Err(GenesisFileError::Migrated { .. }) if preset.is_migrated() => {}
        Err(error) => panic!("{}: {error}", file.place()),
    }
    Outcome::Checked(1)
}
