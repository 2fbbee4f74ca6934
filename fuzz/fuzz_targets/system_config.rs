#![no_main]

libfuzzer_sys::fuzz_target!(
    init: opal_fuzz::seeds::write("system_config"),
    |data: &[u8]| opal_fuzz::run("system_config", data)
);
