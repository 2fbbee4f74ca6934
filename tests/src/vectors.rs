//! Test vectors: data of real chains and of other projects, which lie outside the project in
//! `../shared/vectors` beside the workspace, or where `OPAL_VECTORS` says. Any folder of the same
//! layout works: tests walk folders, name no file, and take every parameter from the file.
//!
//! A crate's `tests/vectors.rs` (with `harness = false`) names the folders it reads and a function
//! that checks one file; each file is then a test of its own, `vectors::<folder>::<file>`, so that
//! `cargo test vectors` runs them all and lists what was read. A folder that is not there is a test
//! marked as ignored. A file fails whose content differs from `MANIFEST.tsv` (if that lists it),
//! that its test does not understand, or of which nothing was checked.
//!
//! Who reads what:
//!
//! | folder | crate |
//! |---|---|
//! | `altda`, `blobs`, `deposits`, `derivation` (frames), `derivation/channels`, `derivation/span`, `l1info`, `outputs`, `receipts`, `registry` (not genesis files), `sysconfig`, `txs`, `upgrades` | opal-protocol |
//! | `registry` (genesis files) | opal-governance |
//! | `derivation/l1` with `derivation/expected`, `derivation/channels` and `blobs` | opal-derivation |
//! | `derivation/l1` with `derivation/expected`, `upgrades` (on a command line) | opal |
//! | `upgrades`, `registry` (genesis files; on a running chain) | opal-devnet |
//! | `evm`, `exec`, `fees` | opal-evm |
//! | `engine`, `rpc` (transactions and receipts) | opal-execution |
//! | `rpc` (what an L1 and a beacon node answer), `blobs` (a beacon node's sidecars) | opal-da |
//! | `withdrawals` | opal-dispute |
//!
//! Not read yet, for the layers that will read them do not exist: `faultproof`, `fp-witness`,
//! `interop`, `p2p`, `vm`.

use std::any::type_name;
use std::collections::BTreeMap;
use std::fmt::{Debug, Write as _};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// What came of one file. A file that is wrong, or not understood, is a panic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The file was read, and this many cases in it were checked; none is a failure.
    Checked(usize),
    /// The file cannot be checked here, for this reason.
    Ignored(String),
}

/// The vectors of one root folder, and the tests made of them so far.
pub struct Vectors {
    root: PathBuf,
    manifest: Arc<BTreeMap<String, String>>,
    trials: Vec<Trial>,
    /// Folders that tests read.
    read: Vec<String>,
}

/// One file of the vectors.
#[derive(Clone, Debug)]
pub struct VectorFile {
    /// Folder below the root, with slashes.
    pub folder: String,
    /// Name in that folder.
    pub name: String,
    path: PathBuf,
    manifest: Arc<BTreeMap<String, String>>,
}

impl Vectors {
    /// The folder of `OPAL_VECTORS`, or else `shared/vectors` beside the workspace.
    pub fn from_env() -> Self {
        let root = std::env::var_os("OPAL_VECTORS").map_or_else(
            || crate::workspace_root().join("../shared/vectors"),
            // Cargo runs tests in the folder of their package.
            |path| crate::workspace_root().join(path),
        );
        Self::at(root.canonicalize().unwrap_or(root))
    }

    /// The vectors in this folder, which need not exist.
    pub fn at(root: PathBuf) -> Self {
        let text = std::fs::read_to_string(root.join("MANIFEST.tsv")).unwrap_or_default();
        let rows = text.lines().filter_map(|line| {
            let mut columns = line.trim_end().split('\t');
            let (hash, _size, path) = (columns.next()?, columns.next()?, columns.next()?);
            Some((path.to_owned(), hash.to_lowercase()))
        });
        Self { manifest: Arc::new(rows.collect()), root, trials: Vec::new(), read: Vec::new() }
    }

    /// The root folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The files that lie directly in a folder, by name; none where there is no such folder.
    /// Hidden files and notes (`*.md`) are no vectors.
    pub fn files(&self, folder: &str) -> Vec<VectorFile> {
        let Ok(entries) = std::fs::read_dir(self.root.join(folder)) else { return Vec::new() };
        let mut files: Vec<VectorFile> = entries
            .map(|entry| entry.expect("the folder can be read").path())
            .filter(|path| path.is_file())
            .map(|path| VectorFile {
                folder: folder.to_owned(),
                name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                path,
                manifest: self.manifest.clone(),
            })
            .filter(|file| !file.name.starts_with('.') && !file.name.ends_with(".md"))
            .collect();
        files.sort_by(|a, b| a.name.cmp(&b.name));
        files
    }

    /// The folders that lie directly in a folder, by path below the root.
    pub fn folders(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.root.join(folder)) else { return Vec::new() };
        let mut folders: Vec<String> = entries
            .map(|entry| entry.expect("the folder can be read"))
            .filter(|entry| entry.path().is_dir())
            .map(|entry| format!("{folder}/{}", entry.file_name().to_string_lossy()))
            .collect();
        folders.sort();
        folders
    }

    /// Adds a test that needs no vectors: of how they are read.
    pub fn test(&mut self, name: &str, check: impl FnOnce() + Send + 'static) {
        self.trials.push(Trial::test(format!("vectors::{name}"), move || {
            check();
            Ok(())
        }));
    }

    /// Adds one test for a folder as a whole, which gets its path.
    pub fn whole(
        &mut self,
        folder: &str,
        check: impl FnOnce(&std::path::Path) -> Outcome + Send + 'static,
    ) {
        let path = self.root.join(folder);
        let missing = !path.is_dir();
        let name = format!("vectors::{folder} (as a whole)");
        let trial = Trial::ignorable_test(name, move || match check(&path) {
            Outcome::Checked(0) => Err(Failed::from("nothing was checked")),
            Outcome::Checked(_) => Ok(Completion::Completed),
            Outcome::Ignored(reason) => Ok(Completion::ignored_with(reason)),
        });
        self.trials.push(trial.with_ignored_flag(missing));
    }

    /// Adds a test for each file of a folder.
    pub fn folder(
        &mut self,
        folder: &str,
        check: impl Fn(&VectorFile) -> Outcome + Clone + Send + 'static,
    ) {
        self.read.push(folder.to_owned());
        let files = self.files(folder);
        if files.is_empty() {
            let path = self.root.join(folder);
            let path = path.display();
            eprintln!("ignored: no vectors in {path}");
            // Who asks for the ignored tests, too, insists on the vectors.
            let trial = Trial::test(format!("vectors::{folder} (nothing in {path})"), move || {
                Err(Failed::from("the folder is missing or empty"))
            });
            self.trials.push(trial.with_ignored_flag(true));
        }
        for file in files {
            let check = check.clone();
            let name = format!("vectors::{folder}::{}", file.name);
            self.trials.push(Trial::ignorable_test(name, move || judge(&file, check(&file))));
        }
    }

    /// Adds a test that fails when below one of these folders there is a file in a folder that
    /// neither a test added so far reads nor, as `elsewhere` says, another crate's.
    pub fn all_read(&mut self, tops: &[&str], elsewhere: &[&str]) {
        for top in tops {
            let unread: Vec<String> = self
                .tree(top)
                .into_iter()
                .filter(|folder| {
                    !self.read.contains(folder) && !elsewhere.contains(&folder.as_str())
                })
                .flat_map(|folder| self.files(&folder))
                .map(|file| file.place())
                .collect();
            self.trials.push(Trial::test(format!("vectors::{top} (all are read)"), move || {
                if unread.is_empty() {
                    Ok(())
                } else {
                    Err(format!("no test reads {unread:?}").into())
                }
            }));
        }
    }

    /// A folder and all below it, where there is one.
    fn tree(&self, top: &str) -> Vec<String> {
        let mut found = vec![top.to_owned()];
        let mut at = 0;
        while let Some(folder) = found.get(at).cloned() {
            at += 1;
            let Ok(entries) = std::fs::read_dir(self.root.join(&folder)) else { continue };
            let entries = entries.map(|entry| entry.expect("the folder can be read").path());
            let below = entries.filter(|path| path.is_dir()).map(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                format!("{folder}/{name}")
            });
            found.extend(below);
        }
        found
    }

    /// Runs the tests as the arguments of the process ask for, and reports as `cargo test` does.
    pub fn run(self) -> ExitCode {
        libtest_mimic::run(&Arguments::from_args(), self.trials).exit_code()
    }
}

/// What the harness is told of a file.
fn judge(file: &VectorFile, outcome: Outcome) -> Result<Completion, Failed> {
    match outcome {
        Outcome::Ignored(reason) => Ok(Completion::ignored_with(reason)),
        Outcome::Checked(0) => {
            Err(format!("{}: nothing in it was checked ({})", file.place(), file.outline()).into())
        }
        Outcome::Checked(_) => Ok(Completion::Completed),
    }
}

impl VectorFile {
    /// Folder and name.
    pub fn place(&self) -> String {
        format!("{}/{}", self.folder, self.name)
    }

    /// The bytes of the file, out of gzip if its name ends so.
    ///
    /// # Panics
    /// If the manifest lists the file with another hash, or it cannot be unpacked.
    pub fn bytes(&self) -> Vec<u8> {
        let place = self.place();
        let raw = std::fs::read(&self.path).unwrap_or_else(|error| panic!("{place}: {error}"));
        if let Some(listed) = self.manifest.get(&place) {
            let hash = Sha256::digest(&raw).iter().fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            });
            assert_eq!(hash, *listed, "{place} has changed: MANIFEST.tsv lists another sha256");
        }
        if !self.name.ends_with(".gz") {
            return raw;
        }
        let mut unpacked = Vec::new();
        MultiGzDecoder::new(&*raw)
            .read_to_end(&mut unpacked)
            .unwrap_or_else(|error| panic!("{place}: gzip: {error}"));
        unpacked
    }

    /// The file as JSON.
    ///
    /// # Panics
    /// As [`VectorFile::bytes`], and if it is no JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes())
            .unwrap_or_else(|error| panic!("{}: no JSON: {error}", self.place()))
    }

    /// A TOML file, in the form of JSON.
    ///
    /// # Panics
    /// As [`VectorFile::bytes`], and if it is no TOML.
    pub fn toml(&self) -> Value {
        let text = String::from_utf8(self.bytes()).unwrap_or_default();
        toml::from_str(&text).unwrap_or_else(|error| panic!("{}: no TOML: {error}", self.place()))
    }

    /// The files in a tar archive: path and content.
    ///
    /// # Panics
    /// As [`VectorFile::bytes`], and if it is no tar archive.
    pub fn archive(&self) -> Vec<(String, Vec<u8>)> {
        let bytes = self.bytes();
        let mut archive = tar::Archive::new(&*bytes);
        let entries = archive.entries().expect("an archive in memory can be read");
        let mut files = Vec::new();
        for entry in entries {
            let mut entry = entry.unwrap_or_else(|error| panic!("{}: {error}", self.place()));
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let mut content = Vec::new();
            entry
                .read_to_end(&mut content)
                .unwrap_or_else(|error| panic!("{}: {path}: {error}", self.place()));
            files.push((path, content));
        }
        files
    }

    /// Fails unless each list of objects at the top of the file has one of these keys: what the
    /// test knows to read.
    pub fn expect_lists(&self, json: &Value, known: &[&str]) {
        let unread: Vec<&str> = json
            .as_object()
            .unwrap_or_else(|| panic!("{}: no JSON object", self.place()))
            .iter()
            .filter(|(_, value)| value[0].is_object())
            .map(|(key, _)| key.as_str())
            .filter(|key| !known.contains(key))
            .collect();
        assert!(unread.is_empty(), "{}: no test reads {unread:?} ({})", self.place(), keys(json));
    }

    /// Says what a file holds that no test understands.
    ///
    /// # Panics
    /// Always.
    pub fn not_understood(&self, part: &Value) -> ! {
        panic!("{}: not understood: {}", self.place(), keys(part))
    }

    fn outline(&self) -> String {
        match self.name.ends_with(".json") || self.name.ends_with(".json.gz") {
            true => keys(&self.json()),
            false => "neither .json, .json.gz nor .tar.gz".to_owned(),
        }
    }
}

/// The keys of an object, for messages.
pub fn keys(value: &Value) -> String {
    match value.as_object() {
        Some(object) => format!("keys: {}", object.keys().cloned().collect::<Vec<_>>().join(", ")),
        None => format!("no object: {:.200}", value.to_string()),
    }
}

/// The elements of a list; none if there is no list.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The value under a key, unless it is missing or null.
pub fn optional<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    value.get(key).filter(|value| !value.is_null())
}

/// A string.
///
/// # Panics
/// If the value is none.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no string: {value}"))
}

/// A string or number, as any type that reads itself from text: hashes, addresses, bytes.
///
/// # Panics
/// If it does not.
pub fn parse<T: FromStr<Err: Debug>>(value: &Value) -> T {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        other => panic!("{other} is no {}", type_name::<T>()),
    };
    text.parse().unwrap_or_else(|error| panic!("{text:.100} is no {}: {error:?}", type_name::<T>()))
}

/// A number: as JSON has it, in decimal, or in hex with prefix.
///
/// # Panics
/// If it is none, or has more than 64 bits.
pub fn uint(value: &Value) -> u64 {
    let hex = value.as_str().and_then(|text| text.strip_prefix("0x"));
    match hex {
        Some(digits) => u64::from_str_radix(digits, 16)
            .unwrap_or_else(|error| panic!("{value} is no number: {error}")),
        None => parse(value),
    }
}

/// An object of the Engine API as its JSON has it, whose quantities may be plain numbers here and
/// whose absent fields may be null.
pub fn engine_json(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(object) = value.as_object_mut() {
        object.retain(|_, field| !field.is_null());
        for field in object.values_mut() {
            if let Some(number) = field.as_u64() {
                *field = format!("{number:#x}").into();
            }
        }
    }
    value
}

/// The text of a panic, for tests that go on after one.
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref().copied()).unwrap_or("panic").to_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use serde_json::json;

    use super::*;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), Default::default());
        writer.write_all(data).unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn walks_unpacks_and_compares_with_the_manifest() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path();
        fs::create_dir_all(path.join("a/deeper")).unwrap();
        fs::write(path.join("a/README.md"), "notes").unwrap();
        fs::write(path.join("a/two.json.gz"), gzip(br#"{"cases": [{"n": "0x10"}]}"#)).unwrap();
        fs::write(path.join("a/one.json"), "{}").unwrap();
        let hash = Sha256::digest(b"{}");
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        fs::write(
            path.join("MANIFEST.tsv"),
            format!("sha256\tbytes\tpath\n{hash}\t2\ta/one.json\n"),
        )
        .unwrap();

        let vectors = Vectors::at(path.to_owned());
        let files = vectors.files("a");
        let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["one.json", "two.json.gz"]);
        assert_eq!(files[0].json(), json!({}));
        assert_eq!(uint(&files[1].json()["cases"][0]["n"]), 16);

        fs::write(path.join("a/one.json"), "{ }").unwrap();
        let changed = std::panic::catch_unwind(|| files[0].json()).unwrap_err();
        assert!(panic_text(&*changed).contains("a/one.json has changed"));
        assert!(vectors.files("b").is_empty());
    }

    #[test]
    fn quantities_are_written_in_hex() {
        let json = json!({"timestamp": 16, "gasLimit": "0x1", "eip1559Params": null});
        assert_eq!(engine_json(&json), json!({"timestamp": "0x10", "gasLimit": "0x1"}));
    }

    #[test]
    fn lists_that_no_test_reads_are_named() {
        let file = VectorFile {
            folder: "a".into(),
            name: "b.json".into(),
            path: PathBuf::new(),
            manifest: Arc::default(),
        };
        let json = json!({"cases": [{}], "source": ["text"], "others": [{}], "note": "x"});
        file.expect_lists(&json, &["cases", "others"]);
        let unread = std::panic::catch_unwind(|| file.expect_lists(&json, &["cases"])).unwrap_err();
        assert!(panic_text(&*unread).contains("a/b.json: no test reads [\"others\"]"));
    }

    #[test]
    fn a_file_that_no_test_reads_is_named() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["a/b", "a/c"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
            fs::write(root.path().join(folder).join("one.json"), "{}").unwrap();
        }
        let unread = |read: &[&str], elsewhere: &[&str]| {
            let mut vectors = Vectors::at(root.path().to_owned());
            vectors.read = read.iter().map(|folder| (*folder).to_owned()).collect();
            vectors.all_read(&["a"], elsewhere);
            let arguments = Arguments { quiet: true, ..Arguments::default() };
            libtest_mimic::run(&arguments, vectors.trials).num_failed
        };
        assert_eq!(unread(&["a/b", "a/c"], &[]), 0);
        assert_eq!(unread(&["a/b"], &["a/c"]), 0);
        assert_eq!(unread(&["a", "a/b"], &[]), 1);
    }

    #[test]
    fn a_test_stands_for_each_file_and_each_missing_folder() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("a")).unwrap();
        for name in ["one.json", "two.json"] {
            fs::write(root.path().join("a").join(name), "{}").unwrap();
        }
        let mut vectors = Vectors::at(root.path().to_owned());
        vectors.folder("a", |_| Outcome::Checked(1));
        vectors.folder("b", |_| Outcome::Checked(1));
        let marked: Vec<bool> = vectors.trials.iter().map(Trial::has_ignored_flag).collect();
        assert_eq!(marked, [false, false, true]);
        assert_eq!(vectors.trials[0].name(), "vectors::a::one.json");
        assert!(vectors.trials[2].name().starts_with("vectors::b (nothing in "));

        let mut whole = Vectors::at(root.path().to_owned());
        whole.whole("a", |_| Outcome::Ignored("not here".into()));
        whole.whole("a", |_| Outcome::Checked(0));
        whole.whole("b", |_| Outcome::Checked(1));
        let arguments = Arguments { quiet: true, ..Arguments::default() };
        let told = libtest_mimic::run(&arguments, whole.trials);
        assert_eq!((told.num_passed, told.num_failed, told.num_ignored), (0, 1, 2));

        let file = &vectors.files("a")[0];
        assert!(matches!(judge(file, Outcome::Checked(1)), Ok(Completion::Completed)));
        let ignored = judge(file, Outcome::Ignored("others read it".into()));
        assert!(matches!(ignored, Ok(Completion::Ignored { reason: Some(_) })));
        let failed = judge(file, Outcome::Checked(0)).err().unwrap();
        assert_eq!(failed.message(), Some("a/one.json: nothing in it was checked (keys: )"));
    }
}
