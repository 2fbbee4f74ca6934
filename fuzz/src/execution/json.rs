//! Calls of an RPC module, and JSON that is longer than anybody would write it.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use jsonrpsee::RpcModule;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokio::runtime::Runtime;

use super::input::Input;

/// The result of a method, in which no handler may have panicked; `None` for an error.
pub(super) fn ask(module: &RpcModule<()>, method: &str, params: &str) -> Option<Value> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(4)
            .enable_all()
            .build()
            .unwrap()
    });
    let request = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
    let (answer, _) = runtime.block_on(module.raw_json_request(&request, 16)).ok()?;
    // The frames of a deep call are nested deeper than the parser goes into values.
    let answer: BTreeMap<&str, &RawValue> = serde_json::from_str(answer.get()).unwrap();
    if let Some(error) = answer.get("error") {
        let error: Value = serde_json::from_str(error.get()).unwrap();
        let text = error["message"].as_str().unwrap();
        assert!(!text.contains("crashed") && text != "Internal error", "{method}: {error}");
        assert!(text.len() < 4_096, "{method}: the error repeats {} bytes", text.len());
    }
    serde_json::from_str(answer.get("result")?.get()).ok()
}

/// Makes one of the lists in a value long.
pub(super) fn lengthen(value: &mut Value, input: &mut Input<'_>) {
    let mut lists = 0;
    each(value, &mut |_| lists += 1);
    if lists == 0 {
        return;
    }
    let (chosen, length) = (input.below(lists), 1 << input.below(15));
    let mut at = 0;
    each(value, &mut |list| {
        if at == chosen {
            repeat(list, length);
        }
        at += 1;
    });
}

/// Lists and objects, outer ones first.
fn each(value: &mut Value, visit: &mut dyn FnMut(&mut Value)) {
    let children: Vec<&mut Value> = match value {
        Value::Array(_) | Value::Object(_) => {
            visit(value);
            match value {
                Value::Array(list) => list.iter_mut().take(50).collect(),
                Value::Object(map) => map.values_mut().take(50).collect(),
                _ => return,
            }
        }
        _ => return,
    };
    children.into_iter().for_each(|child| each(child, visit));
}

fn repeat(list: &mut Value, length: usize) {
    match list {
        Value::Array(list) if !list.is_empty() => {
            // Entries that differ where they can: hashes and addresses.
            let items: Vec<Value> = (0..length).map(|n| other(&list[n % list.len()], n)).collect();
            *list = items;
        }
        Value::Object(map) if !map.is_empty() => {
            let entries: Vec<(String, Value)> = map.clone().into_iter().collect();
            let entry = |n: usize| {
                let (key, value) = &entries[n % entries.len()];
                (renamed(key, n), value.clone())
            };
            *map = (0..length).map(entry).collect::<Map<_, _>>();
        }
        _ => {}
    }
}

fn other(value: &Value, n: usize) -> Value {
    match value {
        Value::String(text) => Value::String(renamed(text, n)),
        value => value.clone(),
    }
}

/// The text with other digits at the end, if it is a hash or an address.
fn renamed(text: &str, n: usize) -> String {
    match text.strip_prefix("0x") {
        Some(digits) if digits.is_ascii() && (digits.len() == 40 || digits.len() == 64) => {
            format!("0x{}{n:06x}", &digits[..digits.len() - 6])
        }
        _ => text.to_owned(),
    }
}
