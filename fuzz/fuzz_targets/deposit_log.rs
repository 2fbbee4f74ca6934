#![no_main]

libfuzzer_sys::fuzz_target!(
    init: opal_fuzz::seeds::write("deposit_log"),
    |data: &[u8]| opal_fuzz::run("deposit_log", data)
);
