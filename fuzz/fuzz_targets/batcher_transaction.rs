#![no_main]

libfuzzer_sys::fuzz_target!(
    init: opal_fuzz::seeds::write("batcher_transaction"),
    |data: &[u8]| opal_fuzz::run("batcher_transaction", data)
);
