#![no_main]

libfuzzer_sys::fuzz_target!(
    init: opal_fuzz::seeds::write("rollup_config"),
    |data: &[u8]| opal_fuzz::run("rollup_config", data)
);
