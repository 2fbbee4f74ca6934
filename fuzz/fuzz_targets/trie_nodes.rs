#![no_main]

libfuzzer_sys::fuzz_target!(
    init: opal_fuzz::seeds::write("trie_nodes"),
    |data: &[u8]| opal_fuzz::run("trie_nodes", data)
);
