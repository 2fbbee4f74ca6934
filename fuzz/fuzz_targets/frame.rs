#![no_main]

libfuzzer_sys::fuzz_target!(
    init: opal_fuzz::seeds::write("frame"),
    |data: &[u8]| opal_fuzz::run("frame", data)
);
