#![no_main]

libfuzzer_sys::fuzz_target!(
    init: opal_fuzz::seeds::write("span_builder"),
    |data: &[u8]| opal_fuzz::run("span_builder", data)
);
