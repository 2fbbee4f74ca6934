#![no_main]

libfuzzer_sys::fuzz_target!(
    init: opal_fuzz::seeds::write("batch_singular"),
    |data: &[u8]| opal_fuzz::run("batch_singular", data)
);
