#![no_main]

libfuzzer_sys::fuzz_target!(
    init: opal_fuzz::seeds::write("snapshot"),
    |data: &[u8]| opal_fuzz::run("snapshot", data)
);
