//! The chain that a bench runs on: in memory, or in a directory of its own.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use eyre::WrapErr;
use opal_execution::{
    Chain, ChainConfig, ChainSpec, Identity, LocalEngine, StorageConfig, seed_chain,
};

use super::workload::Workload;
use crate::tool;

/// Where chains begin: in memory, with all accounts in their genesis; on disk, with copies of a
/// directory into which the accounts were streamed, since no genesis could hold ten millions.
pub(super) enum Start {
    Memory,
    Disk { scratch: Scratch, copies: AtomicU32 },
}

impl Start {
    /// In a new directory below `dir`, or in memory.
    pub(super) fn of(workload: &Workload, dir: Option<&Path>) -> eyre::Result<Self> {
        let Some(dir) = dir else { return Ok(Self::Memory) };
        let in_dir = || format!("--dir: {}", dir.display());
        std::fs::create_dir_all(dir).wrap_err_with(in_dir)?;
        let scratch = Scratch::new(dir.join(format!("opal-bench-{}", std::process::id())))?;
        let genesis = workload.genesis(false)?;
        let spec = ChainSpec::from_genesis(&genesis).wrap_err("generated genesis")?;
        let block = opal_execution::genesis_block(&spec, &genesis)?;
        let identity = Identity { chain_id: spec.chain_id, genesis: block.hash };
        seed_chain(
            &scratch.0.join("seed"),
            identity,
            |importer| workload.fill(&genesis, importer),
            |root| Workload::first_block(&block, root),
        )
        .wrap_err_with(in_dir)?;
        Ok(Self::Disk { scratch, copies: AtomicU32::new(0) })
    }
}

/// An engine with its chain. A directory that was made for it is removed with it.
pub(super) struct Host {
    // Dropped before the directory goes.
    engine: LocalEngine,
    scratch: Option<Scratch>,
}

impl Host {
    /// A chain at the workload's beginning. On disk, a flush begins after `blocks` blocks, unless
    /// the default is less.
    pub(super) fn open(workload: &Workload, start: &Start, blocks: u64) -> eyre::Result<Self> {
        let Start::Disk { scratch, copies } = start else {
            let chain = Chain::from_genesis(&workload.genesis(true)?);
            let chain = chain.wrap_err("generated genesis")?;
            return Ok(Self { engine: LocalEngine::new(chain), scratch: None });
        };
        let number = copies.fetch_add(1, Ordering::Relaxed);
        let seed = scratch.0.join("seed");
        let scratch = Scratch::new(scratch.0.join(format!("chain-{number}")))?;
        let in_dir = || format!("--dir: {}", scratch.0.display());
        copy(&seed, &scratch.0).wrap_err_with(in_dir)?;
        let genesis = workload.genesis(false)?;
        let spec = ChainSpec::from_genesis(&genesis).wrap_err("generated genesis")?;
        let mut storage = StorageConfig::new(&scratch.0);
        storage.flush_blocks = storage.flush_blocks.min(blocks);
        let chain =
            Chain::open(spec, &genesis, ChainConfig::default(), storage).wrap_err_with(in_dir)?;
        Ok(Self { engine: LocalEngine::new(chain), scratch: Some(scratch) })
    }

    /// Bytes on the disk, with everything written that is about to be; 0 for a chain in memory.
    pub(super) fn disk_bytes(&self) -> eyre::Result<u64> {
        let Some(Scratch(dir)) = &self.scratch else { return Ok(0) };
        self.engine.chain().wait_for_flush();
        size_of(dir).wrap_err_with(|| format!("--dir: {}", dir.display()))
    }
}

impl Deref for Host {
    type Target = LocalEngine;

    fn deref(&self) -> &LocalEngine {
        &self.engine
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.engine.chain().wait_for_flush();
    }
}

/// A directory of a bench's own, which is removed in the end.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    fn new(path: PathBuf) -> eyre::Result<Self> {
        // One that is there already is somebody else's.
        std::fs::create_dir(&path).wrap_err_with(|| format!("--dir: {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tool::note(&format!("{} is left behind: {error}", self.0.display()));
        }
    }
}

/// Copies the files of a directory and those below it into another one.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.metadata()?.is_dir() {
            std::fs::create_dir(&to)?;
            copy(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), &to)?;
            // Else the chain's first sync would wait for the copy, too.
            std::fs::OpenOptions::new().write(true).open(&to)?.sync_all()?;
        }
    }
    Ok(())
}

/// Bytes of all files in a directory and below it.
fn size_of(dir: &Path) -> std::io::Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        sum += if metadata.is_dir() { size_of(&entry.path())? } else { metadata.len() };
    }
    Ok(sum)
}

/// Bytes of memory that this process has in use, where the system tells.
pub(super) fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kilobytes * 1_024)
}
