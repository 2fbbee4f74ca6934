#![no_main]

libfuzzer_sys::fuzz_target!(
    init: opal_fuzz::seeds::write("l1_info"),
    |data: &[u8]| opal_fuzz::run("l1_info", data)
);
