#![no_main]

libfuzzer_sys::fuzz_target!(
    init: opal_fuzz::seeds::write("alt_da"),
    |data: &[u8]| opal_fuzz::run("alt_da", data)
);
