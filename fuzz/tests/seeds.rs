//! The committed seeds and those made with our encoders pass.

// The targets' instrumentation, where they are built with it.
#[cfg(feature = "engine")]
use libfuzzer_sys as _;

use std::path::Path;

#[test]
fn the_seeds_pass() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let mut count = 0;
    for (target, function) in opal_fuzz::TARGETS {
        for seed in opal_fuzz::seeds::encoded(target) {
            function(&seed);
            count += 1;
        }
        let Ok(files) = std::fs::read_dir(root.join(target)) else { continue };
        for file in files {
            function(&std::fs::read(file.unwrap().path()).unwrap());
            count += 1;
        }
    }
    assert!(count > 100, "only {count} seeds");
}
