#![no_main]

libfuzzer_sys::fuzz_target!(
    init: opal_fuzz::seeds::write("pool_journal"),
    |data: &[u8]| opal_fuzz::run("pool_journal", data)
);
