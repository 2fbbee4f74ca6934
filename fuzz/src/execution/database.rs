//! The data directory of a chain, of which bytes were changed: as they are, or with checksums that
//! fit again, as only somebody can make them who means it.

use std::sync::OnceLock;

use alloy_primitives::B256;
use opal_execution::{Database, LocalEngine};

use super::files::{Files, Folder};
use super::input::Input;
use super::{chain, files};

/// A directory with blocks in all its files.
fn template() -> &'static Files {
    static TEMPLATE: OnceLock<Files> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let folder = Folder::new();
        let data = folder.path().join("data");
        let engine = LocalEngine::new(chain::open(&data).unwrap());
        // Two flushes, and blocks in the journal.
        for blocks in [4, 4, 2] {
            chain::extend(&engine, blocks);
            engine.chain().wait_for_flush();
        }
        drop(engine);
        let mut files = files::read(&data);
        files.remove("LOCK");
        files
    })
}

/// A directory that somebody changed is refused, or is a chain whose blocks belong together; all
/// that can be asked of it is answered.
pub(super) fn run(data: &[u8]) {
    let mut input = Input(data);
    let mut files = template().clone();
    for _ in 0..4 {
        if input.is_empty() {
            break;
        }
        change(&mut input, &mut files);
    }
    let folder = Folder::new();
    let dir = folder.path().join("data");
    files::write(&dir, &files);
    if let Ok(database) = Database::open(&dir) {
        let _ = database.stats();
        let checked = database.check(&mut |_| {});
        if input.byte() % 4 == 1 {
            let number = input.number().into();
            let rewound = database.rewind(number, input.byte().is_multiple_of(2));
            assert!(rewound.is_err() || checked.is_err() || number <= 10, "{rewound:?}");
        }
        let file = folder.path().join("snapshot");
        if checked.is_ok() && database.export(&file, None, 3, &mut |_| {}).is_ok() {
            drop(database);
            let imported = folder.path().join("imported");
            if opal_execution::import_snapshot(&file, &imported, None, &mut |_| {}).is_ok() {
                Database::open(&imported).unwrap().check(&mut |_| {}).unwrap();
            }
        }
    }
    if let Ok(chain) = chain::open(&dir) {
        if chain.storage_error().is_none() {
            chain::check(&chain);
        }
        chain.wait_for_flush();
    }
}

/// Changes one file.
fn change(input: &mut Input<'_>, files: &mut Files) {
    let names: Vec<String> = files.keys().cloned().collect();
    let name = &names[input.below(names.len())];
    let mode = input.byte();
    if mode % 8 == 7 {
        return lose(input, files, name);
    }
    let root = root(files);
    let Some(bytes) = files.get_mut(name) else { return };
    if bytes.is_empty() {
        return;
    }
    // Where something is written that has a checksum of its own.
    let mut parts = parts(name, bytes, root.as_ref());
    // Of files that were cut or exchanged, not all is there.
    parts.retain(|part| part.content.end.max(part.sum + 4) <= bytes.len());
    let part = parts.get(input.below(parts.len().max(1)));
    let range = part.map_or(0..bytes.len(), |part| part.content.clone());
    for _ in 0..=input.below(4) {
        let at = range.start + input.below(range.len().max(1));
        let Some(byte) = bytes.get_mut(at) else { continue };
        *byte = match input.byte() % 4 {
            0 => input.byte(),
            1 => byte.wrapping_add(1),
            2 => byte.wrapping_sub(1),
            _ => [0, 1, 0x7f, 0x80, 0xff][input.below(5)],
        };
    }
    if mode.is_multiple_of(2)
        && let Some(part) = part
    {
        let sum = (part.checksum)(&bytes[part.content.clone()], part.salt);
        let sum = if part.big_endian { sum.to_be_bytes() } else { sum.to_le_bytes() };
        bytes[part.sum..part.sum + 4].copy_from_slice(&sum);
    }
}

/// Cuts, lengthens, removes or exchanges a file.
fn lose(input: &mut Input<'_>, files: &mut Files, name: &str) {
    match input.byte() % 4 {
        0 => {
            files.remove(name);
        }
        1 => {
            let bytes = files.entry(name.to_owned()).or_default();
            let length = input.below(bytes.len() + 1);
            bytes.truncate(length);
        }
        2 => {
            let length = input.below(64);
            let more = input.bytes(length).to_vec();
            files.entry(name.to_owned()).or_default().extend(more);
        }
        _ => {
            let other = files.values().nth(input.below(files.len())).cloned();
            files.insert(name.to_owned(), other.unwrap_or_default());
        }
    }
}

/// Bytes with a checksum.
struct Part {
    content: std::ops::Range<usize>,
    /// Where the checksum stands.
    sum: usize,
    /// What it covers beside the content.
    salt: B256,
    checksum: fn(&[u8], B256) -> u32,
    big_endian: bool,
}

fn plain(content: &[u8], _: B256) -> u32 {
    crc32fast::hash(content)
}

/// The salt comes before the content.
fn salted(content: &[u8], salt: B256) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(salt.as_slice());
    sum.update(content);
    sum.finalize()
}

/// Of the journal's records: the journal's number, then all but marker and checksum.
fn framed(content: &[u8], salt: B256) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&salt[..8]);
    sum.update(&content[..8]);
    sum.update(&content[12..]);
    sum.finalize()
}

/// The newest state root: its hash, and where its node lies.
fn root(files: &Files) -> Option<(B256, u64)> {
    let (_, roots) = files.iter().find(|(name, _)| name.starts_with("roots-"))?;
    let last = roots.chunks_exact(64).next_back()?;
    Some((B256::from_slice(&last[8..40]), u64::from_le_bytes(last[40..48].try_into().ok()?)))
}

/// What of a file has a checksum. The forms: `disk` and `state_store` of the execution client.
fn parts(name: &str, bytes: &[u8], root: Option<&(B256, u64)>) -> Vec<Part> {
    let fixed = |start: usize, size: usize, big_endian: bool| Part {
        content: start..start + size,
        sum: start + size,
        salt: B256::ZERO,
        checksum: plain,
        big_endian,
    };
    let starts = |first: usize, size: usize| {
        (first..).step_by(size).take_while(move |at| at + size <= bytes.len())
    };
    if name.starts_with("journal-") {
        return records(bytes);
    }
    if name.starts_with("roots-") || name == "blocks.index" {
        return starts(64, 64).map(|at| fixed(at, 60, false)).collect();
    }
    if name.starts_with("index-") {
        let page = |at: usize| Part {
            content: at + 4..at + 4096,
            sum: at,
            salt: B256::ZERO,
            checksum: plain,
            big_endian: false,
        };
        return starts(4096, 4096).map(page).collect();
    }
    if name == "state/codes.index" {
        let mut parts = vec![fixed(0, 60, true)];
        parts.extend(starts(64, 48).map(|at| fixed(at, 44, true)));
        return parts;
    }
    if name == "state/codes" {
        return vec![fixed(0, 60, true)];
    }
    if name.starts_with("state/nodes-") {
        let mut parts = vec![fixed(0, 60, true)];
        if let Some((hash, position)) = root {
            let (offset, length) =
                ((position >> 12 & 0xfff_ffff) as usize, (position & 0xfff) as usize);
            let end = (offset + length).saturating_sub(4);
            if offset < end && end + 4 <= bytes.len() {
                parts.push(Part {
                    content: offset..end,
                    sum: end,
                    salt: *hash,
                    checksum: salted,
                    big_endian: true,
                });
            }
        }
        return parts;
    }
    Vec::new()
}

fn records(bytes: &[u8]) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut salt = B256::ZERO;
    if let Some(number) = bytes.get(16..24) {
        salt[..8].copy_from_slice(number);
    }
    let mut at = 32;
    while let Some(length) = bytes.get(at + 8..at + 12).and_then(|bytes| bytes.try_into().ok()) {
        let end = at + 24 + u32::from_le_bytes(length) as usize;
        if end > bytes.len() {
            break;
        }
        parts.push(Part {
            content: at + 4..end,
            sum: at + 12,
            salt,
            checksum: framed,
            big_endian: false,
        });
        at = end;
    }
    parts
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let count = template().len() as u8;
    let mut seeds = vec![Vec::new()];
    for file in 0..count {
        for mode in [0, 1, 2, 4] {
            for part in [0, 1, 3, 9] {
                seeds.push(vec![file, mode, part, 0, 30 * mode + part, 0, 0, 0, 1, part]);
            }
        }
        for way in 0..4 {
            seeds.push(vec![file, 7, way, 40, 0, 0, 0, 1, 2, 3]);
        }
    }
    seeds
}
