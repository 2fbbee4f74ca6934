#![no_main]

libfuzzer_sys::fuzz_target!(
    init: opal_fuzz::seeds::write("database"),
    |data: &[u8]| opal_fuzz::run("database", data)
);
