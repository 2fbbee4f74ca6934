#![no_main]

libfuzzer_sys::fuzz_target!(
    init: opal_fuzz::seeds::write("upgrade_bundle"),
    |data: &[u8]| opal_fuzz::run("upgrade_bundle", data)
);
