//! A snapshot that somebody changed, or made up.

use std::io::{Read, Write};
use std::sync::OnceLock;

use opal_execution::{Database, LocalEngine, import_snapshot, snapshot_identity};

use super::chain;
use super::files::Folder;
use super::input::Input;

/// Bytes of a snapshot before what is compressed.
const MAGIC: usize = 16;
/// Bytes of a piece before its payload, and after it.
const FRAME: (usize, usize) = (5, 4);

type Piece = (u8, Vec<u8>);

struct Template {
    file: Vec<u8>,
    pieces: Vec<Piece>,
}

fn template() -> &'static Template {
    static TEMPLATE: OnceLock<Template> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let folder = Folder::new();
        let data = folder.path().join("data");
        let engine = LocalEngine::new(chain::open(&data).unwrap());
        chain::extend(&engine, 5);
        engine.chain().wait_for_flush();
        drop(engine);
        let file = folder.path().join("snapshot");
        Database::open(&data).unwrap().export(&file, None, 2, &mut |_| {}).unwrap();
        let file = std::fs::read(file).unwrap();
        let mut content = Vec::new();
        zstd::stream::Decoder::new(&file[MAGIC..]).unwrap().read_to_end(&mut content).unwrap();
        let mut pieces = Vec::new();
        let mut rest = &content[..];
        while let [kind, a, b, c, d, after @ ..] = rest {
            let length = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
            pieces.push((*kind, after[..length].to_vec()));
            rest = &after[length + FRAME.1..];
        }
        Template { file, pieces }
    })
}

/// What is imported is a directory that is whole; what is not leaves nothing behind. A snapshot
/// ends where its file does.
pub(super) fn run(data: &[u8]) {
    let mut input = Input(data);
    let template = template();
    let mode = input.byte();
    let mut whole = false;
    let bytes = match mode % 4 {
        // Nothing but the magic is ours.
        0 => [&template.file[..MAGIC], input.0].concat(),
        1 => {
            // Something behind the end.
            whole = input.is_empty();
            [&template.file[..], input.0].concat()
        }
        2 => {
            let mut bytes = template.file.clone();
            for _ in 0..4 {
                if input.is_empty() {
                    break;
                }
                let at = input.below(bytes.len());
                bytes[at] = input.byte();
            }
            bytes
        }
        _ => packed(&pieces(&mut input, template), &mut input),
    };
    let folder = Folder::new();
    let (file, dir) = (folder.path().join("snapshot"), folder.path().join("data"));
    std::fs::write(&file, &bytes).unwrap();
    let identity = snapshot_identity(&file);
    let imported = import_snapshot(&file, &dir, None, &mut |_| {});
    match &imported {
        Ok(snapshot) => {
            assert_eq!(identity.unwrap(), (snapshot.identity, snapshot.block));
            let database = Database::open(&dir).unwrap();
            database.check(&mut |_| {}).unwrap();
            assert_eq!(database.stats().unwrap().head, Some(snapshot.block));
            drop(database);
            if let Ok(chain) = chain::open(&dir) {
                assert_eq!(chain.head().hash, snapshot.block.hash);
                chain::check(&chain);
            }
        }
        Err(_) => {
            assert!(!dir.exists());
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }
    if mode % 4 == 1 {
        assert_eq!(
            imported.is_ok(),
            whole,
            "{} bytes behind the end",
            bytes.len() - template.file.len()
        );
    }
}

/// The template's pieces, a few of them changed.
fn pieces(input: &mut Input<'_>, template: &Template) -> Vec<Piece> {
    let mut pieces = template.pieces.clone();
    for _ in 0..4 {
        if input.is_empty() || pieces.is_empty() {
            break;
        }
        let at = input.below(pieces.len());
        match input.byte() % 8 {
            0 => {
                pieces.remove(at);
            }
            1 => {
                let other = input.below(pieces.len());
                pieces.swap(at, other);
            }
            2 => pieces.insert(at, pieces[at].clone()),
            3 => pieces[at].0 = input.byte() % 8,
            4 => {
                let length = input.byte().into();
                pieces[at].1 = input.bytes(length).to_vec();
            }
            _ => {
                let payload = &mut pieces[at].1;
                for _ in 0..=input.below(3) {
                    let at = input.below(payload.len().max(1));
                    if let Some(byte) = payload.get_mut(at) {
                        *byte = input.byte();
                    }
                }
            }
        }
    }
    pieces
}

/// Pieces with lengths and checksums, compressed behind the magic.
fn packed(pieces: &[Piece], input: &mut Input<'_>) -> Vec<u8> {
    let wrong = input.byte();
    let mut content = Vec::new();
    for (at, (kind, payload)) in pieces.iter().enumerate() {
        let mut length = (payload.len() as u32).to_le_bytes();
        if wrong == 1 && at == 1 {
            length = input.number().to_le_bytes();
        }
        let mut sum = crc32fast::Hasher::new();
        [&[*kind][..], &length, payload].iter().for_each(|part| sum.update(part));
        let parts = [&[*kind][..], &length, payload, &sum.finalize().to_le_bytes()];
        debug_assert_eq!(parts[0].len() + parts[1].len(), FRAME.0);
        content.extend(parts.concat());
    }
    let mut out = template().file[..MAGIC].to_vec();
    let mut encoder = zstd::stream::Encoder::new(&mut out, 1).unwrap();
    encoder.write_all(&content).unwrap();
    encoder.finish().unwrap();
    out
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let template = template();
    let mut seeds = vec![vec![1], vec![1, 0], vec![2], vec![2, 20, 0, 0, 0, 9], vec![3]];
    // An empty frame, one that is skipped, and a whole snapshot behind the end.
    for more in [
        &[0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 1, 0, 0][..],
        &[0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0],
        &template.file,
    ] {
        seeds.push([&[1], more].concat());
    }
    seeds.push([&[0], &template.file[MAGIC..]].concat());
    for piece in 0..template.pieces.len().min(200) as u8 {
        for change in 0..8 {
            seeds.push(vec![3, piece, change, 5, 1, 2, 3]);
        }
    }
    seeds
}
