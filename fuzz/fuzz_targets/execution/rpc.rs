#![no_main]

libfuzzer_sys::fuzz_target!(
    init: opal_fuzz::seeds::write("rpc"),
    |data: &[u8]| opal_fuzz::run("rpc", data)
);
