#![no_main]

libfuzzer_sys::fuzz_target!(
    init: opal_fuzz::seeds::write("recording"),
    |data: &[u8]| opal_fuzz::run("recording", data)
);
