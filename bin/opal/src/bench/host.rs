//! The chain that a bench runs on: in memory, or in a directory of its own.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use eyre::WrapErr;
use opal_execution::{Chain, ChainConfig, ChainSpec, LocalEngine, StorageConfig};

use super::workload::Workload;
use crate::tool;

/// An engine with its chain. A directory that was made for it is removed with it.
pub(super) struct Host {
    // Dropped before the directory goes.
    engine: LocalEngine,
    scratch: Option<Scratch>,
}

impl Host {
    /// A chain at the workload's genesis: in a new directory below `dir`, or in memory. On disk, a
    /// flush begins after `blocks` blocks, unless the default is less.
    pub(super) fn open(workload: &Workload, dir: Option<&Path>, blocks: u64) -> eyre::Result<Self> {
        let genesis = workload.genesis()?;
        let Some(dir) = dir else {
            let chain = Chain::from_genesis(&genesis).wrap_err("generated genesis")?;
            return Ok(Self { engine: LocalEngine::new(chain), scratch: None });
        };
        let scratch = Scratch::below(dir)?;
        let spec = ChainSpec::from_genesis(&genesis).wrap_err("generated genesis")?;
        let mut storage = StorageConfig::new(&scratch.0);
        storage.flush_blocks = storage.flush_blocks.min(blocks);
        let chain = Chain::open(spec, &genesis, ChainConfig::default(), storage)
            .wrap_err_with(|| format!("--dir: {}", dir.display()))?;
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
struct Scratch(PathBuf);

impl Scratch {
    fn below(dir: &Path) -> eyre::Result<Self> {
        let path = dir.join(format!("opal-bench-{}", std::process::id()));
        let in_dir = || format!("--dir: {}", path.display());
        std::fs::create_dir_all(dir).wrap_err_with(in_dir)?;
        // One that is there already is somebody else's.
        std::fs::create_dir(&path).wrap_err_with(in_dir)?;
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
