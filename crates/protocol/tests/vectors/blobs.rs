//! Blobs: the codec's cases, blobs of batchers, and beacon nodes' answers.

use alloy_primitives::{B256, Bytes, keccak256};
use opal_protocol::batcher_tx::decode_batcher_data;
use opal_protocol::blob::{Blob, decode_blob, encode_blob};
use opal_tests::vectors::{Outcome, VectorFile, list, optional, parse, text, uint};
use serde_json::Value;

pub fn check(file: &VectorFile) -> Outcome {
    let json = file.json();
    file.expect_lists(&json, &["decode", "encode", "data"]);
    let mut checked = 0;
    for case in list(&json["decode"]) {
        check_decode(file, case);
        checked += 1;
    }
    for case in list(&json["encode"]) {
        check_encode(file, case);
        checked += 1;
    }
    if let Some(format) = optional(&json, "format") {
        assert_eq!(text(format), "opal-blob-v1", "{}: not understood", file.place());
        check_blob(&json);
        checked += 1;
    }
    for sidecar in list(&json["data"]) {
        check_sidecar(sidecar);
        checked += 1;
    }
    Outcome::Checked(checked)
}

/// A blob of which the vector gives all but the zeroes at its end.
fn blob_of(case: &Value) -> Blob {
    let prefix: Bytes = parse(&case["blob_prefix"]);
    let mut blob = Blob::ZERO;
    blob[..prefix.len()].copy_from_slice(&prefix);
    blob
}

fn check_decode(file: &VectorFile, case: &Value) {
    let result = decode_blob(&blob_of(case));
    let name = &case["name"];
    if optional(case, "expect_error").is_some() {
        assert!(result.is_err(), "{name}");
        return;
    }
    let data = result.unwrap_or_else(|error| panic!("{name}: {error}"));
    match (optional(case, "expect_data"), optional(case, "expect_len")) {
        (Some(expected), _) => assert_eq!(data, parse::<Bytes>(expected), "{name}"),
        (None, Some(length)) => {
            assert_eq!(data.len() as u64, uint(length), "{name}");
            // A blob of which only version and length are listed holds zeroes.
            let listed: Bytes = parse(&case["blob_prefix"]);
            assert!(listed.len() > 5 || data.iter().all(|byte| *byte == 0), "{name}");
        }
        _ => file.not_understood(case),
    }
}

fn check_encode(file: &VectorFile, case: &Value) {
    let name = &case["name"];
    let data: Bytes = match (optional(case, "data"), optional(case, "data_zeros")) {
        (Some(data), _) => parse(data),
        (None, Some(zeros)) => vec![0; uint(zeros) as usize].into(),
        _ => file.not_understood(case),
    };
    let result = encode_blob(&data);
    if optional(case, "expect_error").is_some() {
        assert!(result.is_err(), "{name}");
        return;
    }
    let blob = result.unwrap_or_else(|error| panic!("{name}: {error}"));
    if optional(case, "blob_prefix").is_some() {
        assert_eq!(*blob, blob_of(case), "{name}");
    }
    if let Some(expected) = optional(case, "blob_keccak") {
        assert_eq!(keccak256(blob.as_slice()), parse::<B256>(expected), "{name}");
    }
    assert_eq!(decode_blob(&blob).unwrap(), data, "{name}");
}

/// A blob of a batcher: its data, and the frames in it.
fn check_blob(json: &Value) {
    let blob = Blob::from_slice(&parse::<Bytes>(&json["blob"]));
    let result = decode_blob(&blob);
    let Some(expected) = optional(json, "decoded") else {
        assert!(result.is_err(), "no data is listed for this blob");
        return;
    };
    let data = result.unwrap();
    assert_eq!(data, parse::<Bytes>(expected));
    assert_eq!(*encode_blob(&data).unwrap(), blob);
    // Version 0 of batcher data: frames.
    if data.first() == Some(&0) {
        assert!(!decode_batcher_data(&data).unwrap().is_empty());
    }
}

/// A blob of anyone: if it can be decoded, its data gives it again. Other data than OP's rarely has
/// the encoding's version, 0, in its second byte.
fn check_sidecar(sidecar: &Value) {
    let blob = Blob::from_slice(&parse::<Bytes>(&sidecar["blob"]));
    if let Ok(data) = decode_blob(&blob) {
        assert_eq!(blob[1], 0);
        assert_eq!(*encode_blob(&data).unwrap(), blob);
    }
}
