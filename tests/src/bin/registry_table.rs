//! Prints the table of chain presets of `opal-protocol` for a checkout of the superchain registry.

use std::path::Path;
use std::process::ExitCode;

use opal_tests::registry;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(folder), None) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: registry-table REGISTRY > crates/protocol/src/registry_table.rs");
        return ExitCode::FAILURE;
    };
    match registry::read(Path::new(&folder)).and_then(|chains| registry::table(&chains)) {
        Ok(table) => {
            print!("{table}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
