//! What happens when files are damaged, lost or of others, and when the disk takes no more.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;

use super::tests::{assert_whole, close, grow, wait};
use super::*;
use crate::testing::{l2_engine, l2_engine_in, l2_engine_with, l2_genesis, set_head};
use crate::{Database, ForkchoiceState, LocalEngine};

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// All files below a directory, but not the one that is a lock.
fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.file_name().unwrap() != "LOCK" {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Opens a directory that something happened to, and reads all of it. Either there is an error
/// that names a file, or the chain is one that there was.
fn reopen(dir: &Path, blocks: &[SealedBlock]) -> Result<u64, String> {
    let engine = l2_engine_in(dir).map_err(|error| error.to_string())?;
    let head = engine.head().header().number;
    let text = |error: DiskError| error.to_string();
    for block in &blocks[..=head as usize] {
        match engine.chain().stored(&block.hash) {
            Some(stored) => assert_eq!(stored.block, *block),
            // Then the chain has noticed, and stops.
            None => engine.chain().durable.as_ref().unwrap().disk.usable().map_err(text)?,
        }
    }
    assert_eq!(engine.head(), blocks[head as usize]);
    let state = engine.chain().state_at(&engine.head().hash).map_err(|error| error.to_string())?;
    assert_eq!(state.root(), engine.head().header().state_root);
    close(engine);
    let database = Database::open(dir).map_err(text)?;
    database.check(&mut |_| {}).map_err(text)?;
    Ok(head)
}

#[test]
fn any_byte_may_be_damaged_or_missing() {
    let original = tempfile::tempdir().unwrap();
    let engine = l2_engine_in(original.path()).unwrap();
    let mut blocks = vec![engine.head()];
    for _ in 0..19 {
        blocks.push(grow(&engine));
        if blocks.len() == 17 {
            wait(&engine);
        }
    }
    close(engine);
    let names: Vec<_> = files(original.path())
        .into_iter()
        .map(|path| path.strip_prefix(original.path()).unwrap().to_owned())
        .collect();
    let (mut errors, mut earlier) = (0, 0);
    for (round, name) in names.iter().enumerate() {
        let len = fs::metadata(original.path().join(name)).unwrap().len() as usize;
        for step in 0..12 {
            let dir = tempfile::tempdir().unwrap();
            copy(original.path(), dir.path());
            let path = dir.path().join(name);
            let mut bytes = fs::read(&path).unwrap();
            if bytes.is_empty() {
                continue;
            }
            let at = (len * step / 12 + round * 7 + step) % len;
            let cut = step % 3 == 2;
            if cut {
                bytes.truncate(at);
            } else {
                bytes[at] ^= 1 << (at % 8);
            }
            fs::write(&path, bytes).unwrap();
            match reopen(dir.path(), &blocks) {
                Err(error) => {
                    errors += 1;
                    let named = error.contains(&*dir.path().to_string_lossy());
                    assert!(named || error.contains("state"), "{error}");
                }
                Ok(head) => {
                    earlier += usize::from(head < 19);
                    // Only the journal may lose records, and none that was followed by another.
                    let journal = name.to_string_lossy().starts_with("journal");
                    assert!(head == 19 || journal && (cut || head >= 18), "{name:?} {at}: {head}");
                }
            }
        }
    }
    assert!(errors > 20 && earlier > 0, "{errors} {earlier}");
}

#[test]
fn a_directory_that_lost_its_journal_keeps_its_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let engine = l2_engine_in(dir.path()).unwrap();
    for _ in 0..9 {
        grow(&engine);
    }
    close(engine);
    let journals: Vec<_> = files(dir.path())
        .into_iter()
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("journal"))
        .collect();
    assert_eq!(journals.len(), 1);
    fs::remove_file(&journals[0]).unwrap();
    let error = l2_engine_in(dir.path()).unwrap_err().to_string();
    assert!(error.contains("the journal is missing"), "{error}");
    let blocks = fs::metadata(dir.path().join("blocks-00000.data")).unwrap().len();
    assert!(blocks > 0);
}

#[test]
fn a_directory_of_others_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let engine = l2_engine_in(dir.path()).unwrap();
    grow(&engine);
    let text = |result: Result<LocalEngine, ChainError>| result.unwrap_err().to_string();
    let error = text(l2_engine_in(dir.path()));
    assert!(error.contains(&format!("in use by process {}", std::process::id())), "{error}");
    close(engine);

    let mut genesis = l2_genesis();
    genesis.timestamp += 1;
    let spec = ChainSpec::from_genesis(&genesis).unwrap();
    let open = |genesis: &Genesis, spec, dir: &Path| {
        Chain::open(spec, genesis, ChainConfig::default(), StorageConfig::new(dir))
            .map(LocalEngine::new)
    };
    let error = text(open(&genesis, spec, dir.path()));
    assert!(error.contains("its genesis is"), "{error}");

    let identity = dir.path().join("IDENTITY");
    let written = fs::read_to_string(&identity).unwrap();
    fs::write(&identity, written.replace("format 2", "format 9")).unwrap();
    let error = text(l2_engine_in(dir.path()));
    assert!(error.contains("has format 9, this Opal reads format 2"), "{error}");
    fs::write(&identity, "something else").unwrap();
    assert!(text(l2_engine_in(dir.path())).contains("no identity file"));

    let other = tempfile::tempdir().unwrap();
    fs::write(other.path().join("holiday.jpg"), "x").unwrap();
    let error = text(l2_engine_in(other.path()));
    assert!(error.contains("holiday.jpg"), "{error}");
    assert_eq!(fs::read_dir(other.path()).unwrap().count(), 1);
    let error = text(l2_engine_in(&other.path().join("holiday.jpg")));
    assert!(error.contains("cannot create"), "{error}");
    assert!(matches!(Database::open(other.path()), Err(DiskError::Absent { .. })));
}

/// Files that take no byte, with what the error must say. `/dev/full` is a disk that is full.
fn broken_files(dir: &Path) -> Vec<(fs::File, &'static str)> {
    let read_only = fs::File::open(dir.join("IDENTITY")).unwrap();
    let mut files = vec![(read_only, "cannot write")];
    if cfg!(target_os = "linux") {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        files.push((full, "free space on the disk"));
    }
    files
}

#[test]
fn after_a_failed_write_nothing_is_promised() {
    let dir = tempfile::tempdir().unwrap();
    let memory = l2_engine();
    drop(l2_engine_in(dir.path()).unwrap());
    for (broken, words) in broken_files(dir.path()) {
        let engine = l2_engine_in(dir.path()).unwrap();
        let first = grow(&engine);
        let second = {
            assert!(memory.new_payload(&first).unwrap().is_valid());
            set_head(&memory, first.hash);
            grow(&memory)
        };
        assert!(engine.chain().storage_error().is_none());
        engine.chain().durable.as_ref().unwrap().disk.break_writes(broken);
        let error = engine.new_payload(&second).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("journal-"), "{error}");
        assert!(engine.block_by_hash(&second.hash).is_none());
        // Not even what would need no write.
        let state = ForkchoiceState { head: first.hash, ..Default::default() };
        let error = engine.fork_choice_updated(state, None).unwrap_err().to_string();
        assert!(error.contains("storage has failed") && error.contains(words), "{error}");
        assert_eq!(engine.head(), first);
        assert!(matches!(engine.chain().storage_error(), Some(DiskError::Failed(_))));
        close(engine);
        let engine = l2_engine_in(dir.path()).unwrap();
        assert_eq!(engine.head(), first);
        assert!(engine.new_payload(&second).unwrap().is_valid());
        set_head(&engine, second.hash);
        close(engine);
    }
}

#[cfg(unix)]
#[test]
fn a_directory_that_may_not_be_written_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().unwrap();
    let mode = |mode| fs::set_permissions(parent.path(), fs::Permissions::from_mode(mode)).unwrap();
    mode(0o500);
    // Who may write everywhere is refused by the system's own folders only.
    let mut dir = parent.path().join("chain");
    if fs::create_dir(&dir).is_ok() {
        fs::remove_dir(&dir).unwrap();
        dir = "/sys/opal-test".into();
    }
    let error = l2_engine_in(&dir).unwrap_err().to_string();
    mode(0o700);
    let named = error.contains("cannot create") && error.contains(&*dir.to_string_lossy());
    let advice = ["must be this user's and writable", "mounted read-only"];
    assert!(named && advice.iter().any(|advice| error.contains(advice)), "{error}");
    assert!(!dir.exists());
}

#[test]
fn a_flush_that_fails_stops_the_chain() {
    let dir = tempfile::tempdir().unwrap();
    let engine = l2_engine_with(dir.path(), |_, storage| storage.flush_blocks = 4).unwrap();
    for _ in 0..3 {
        grow(&engine);
    }
    // The name of the next journal is taken by something that cannot be replaced.
    fs::create_dir_all(dir.path().join("journal-000000000002/full")).unwrap();
    grow(&engine);
    wait(&engine);
    let head = engine.head();
    let state = ForkchoiceState { head: head.hash, ..Default::default() };
    assert!(engine.fork_choice_updated(state, None).is_err());
    close(engine);
    fs::remove_dir_all(dir.path().join("journal-000000000002")).unwrap();
    assert_eq!(l2_engine_in(dir.path()).unwrap().head(), head);
}

#[test]
fn a_reorg_that_cannot_be_finished_stops_the_chain() {
    let dir = tempfile::tempdir().unwrap();
    let engine = l2_engine_in(dir.path()).unwrap();
    let mut blocks = vec![engine.head()];
    for _ in 0..20 {
        blocks.push(grow(&engine));
        wait(&engine);
    }
    // What the name says is to be deleted, and cannot be.
    let in_the_way = dir.path().join("index-000000999999.run");
    fs::create_dir_all(in_the_way.join("full")).unwrap();
    let state = ForkchoiceState { head: blocks[5].hash, ..Default::default() };
    let error = engine.fork_choice_updated(state, None).unwrap_err().to_string();
    assert!(error.contains("index-000000999999.run"), "{error}");
    // The journal has gone back already, and the chain in memory has not.
    assert!(engine.chain().storage_error().is_some());
    close(engine);
    fs::remove_dir_all(in_the_way).unwrap();
    let engine = l2_engine_in(dir.path()).unwrap();
    assert_whole(&engine, &blocks[..=5]);
    set_head(&engine, blocks[20].hash);
    assert_whole(&engine, &blocks);
}
