#![no_main]

libfuzzer_sys::fuzz_target!(
    init: opal_fuzz::seeds::write("batch_span"),
    |data: &[u8]| opal_fuzz::run("batch_span", data)
);
