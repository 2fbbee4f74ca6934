//! The walls of the house: which crate may depend on which, and what the pure crates never name.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use opal_tests::workspace_root;
use serde_json::Value;

/// Who may depend on whom, beside `opal-protocol`, which everyone may use. A std crate may use
/// `opal-service` too. A new crate gets a row here first.
const RULES: &[Rule] = &[
    Rule { name: "opal-protocol", kind: Kind::Pure, may: &[] },
    Rule { name: "opal-derivation", kind: Kind::Pure, may: &[] },
    Rule { name: "opal-evm", kind: Kind::Pure, may: &[] },
    Rule { name: "opal-program", kind: Kind::Pure, may: &["opal-derivation", "opal-evm"] },
    Rule { name: "opal-service", kind: Kind::Std, may: &[] },
    Rule { name: "opal-execution", kind: Kind::Std, may: &["opal-evm"] },
    Rule { name: "opal-da", kind: Kind::Std, may: &[] },
    Rule { name: "opal-sequencing", kind: Kind::Std, may: &["opal-derivation"] },
    Rule { name: "opal-governance", kind: Kind::Std, may: &["opal-evm"] },
    Rule { name: "opal-vm", kind: Kind::Std, may: &[] },
    Rule { name: "opal-dispute", kind: Kind::Std, may: &["opal-program", "opal-vm"] },
    Rule { name: "opal-interop", kind: Kind::Std, may: &[] },
    Rule {
        name: "opal-node",
        kind: Kind::Std,
        may: &["opal-derivation", "opal-execution", "opal-da", "opal-sequencing", "opal-interop"],
    },
    Rule { name: "opal-devnet", kind: Kind::Top, may: &[] },
    Rule { name: "opal-tests", kind: Kind::Top, may: &[] },
    Rule { name: "opal", kind: Kind::Top, may: &[] },
];

/// Crates that the pure crates never use, at any depth: runtimes, HTTP, metrics, the clock.
const IMPURE: &[&str] = &[
    "axum",
    "chrono",
    "clap",
    "futures-executor",
    "http",
    "hyper",
    "jsonrpsee",
    "metrics",
    "mio",
    "prometheus",
    "prometheus-client",
    "quanta",
    "reqwest",
    "rustls",
    "time",
    "tokio",
    "tokio-util",
    "tower",
    "tracing-subscriber",
    "ureq",
    "web-time",
];

/// Words that stand for the clock, threads or the outside world in a pure crate's source.
const IMPURE_WORDS: &[&str] = &[
    "SystemTime",
    "Instant::now",
    "std::time",
    "std::net",
    "std::fs",
    "std::thread",
    "std::env",
    "tokio",
];

struct Rule {
    name: &'static str,
    kind: Kind,
    may: &'static [&'static str],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Builds without std and never touches the world.
    Pure,
    /// A layer.
    Std,
    /// Puts layers together and may use all of them.
    Top,
}

/// A workspace member as `cargo metadata` tells of it.
struct Package {
    name: String,
    dir: PathBuf,
    /// Names of what it is built with: normal and build dependencies, not those of its tests.
    uses: BTreeSet<String>,
}

/// Every breach of the rules, in words.
fn breaches(packages: &[Package]) -> Vec<String> {
    let rule_of = |name: &str| RULES.iter().find(|rule| rule.name == name);
    let members: BTreeSet<&str> = packages.iter().map(|p| p.name.as_str()).collect();
    let mut found = Vec::new();
    for package in packages {
        let Some(rule) = rule_of(&package.name) else {
            found.push(format!("{} has no row in the table of walls.rs", package.name));
            continue;
        };
        for used in &package.uses {
            if rule.kind == Kind::Pure && IMPURE.contains(&used.as_str()) {
                found.push(format!("{} is pure and must not use {used}", package.name));
            }
            let own = members.contains(used.as_str()) || rule_of(used).is_some();
            let allowed = used == "opal-protocol"
                || rule.kind == Kind::Top
                || (rule.kind == Kind::Std && used == "opal-service")
                || rule.may.contains(&used.as_str());
            let is_top = rule_of(used).is_some_and(|rule| rule.kind == Kind::Top);
            if own && (!allowed || (is_top && rule.kind != Kind::Top)) {
                found.push(format!("{} must not depend on {used}", package.name));
            }
        }
    }
    found
}

/// The members in what `cargo metadata --no-deps` prints.
fn packages(metadata: &Value) -> Vec<Package> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    list(&metadata["packages"])
        .iter()
        .map(|package| Package {
            name: text(&package["name"]),
            dir: Path::new(&text(&package["manifest_path"])).parent().unwrap().to_owned(),
            uses: list(&package["dependencies"])
                .iter()
                .filter(|dependency| dependency["kind"] != "dev")
                .map(|dependency| text(&dependency["name"]))
                .collect(),
        })
        .collect()
}

fn cargo(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(args)
        .arg("--locked")
        // With features unified over the workspace, `cargo tree` shows the whole workspace.
        .env_remove("CARGO_RESOLVER_FEATURE_UNIFICATION")
        .current_dir(workspace_root())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {}: {errors}", args.join(" "));
    String::from_utf8(output.stdout).unwrap()
}

fn workspace() -> Vec<Package> {
    let json = cargo(&["metadata", "--no-deps", "--format-version", "1"]);
    packages(&serde_json::from_str(&json).unwrap())
}

fn pure_members() -> Vec<Package> {
    let is_pure = |name: &str| RULES.iter().any(|r| r.name == name && r.kind == Kind::Pure);
    let pure: Vec<_> = workspace().into_iter().filter(|package| is_pure(&package.name)).collect();
    assert!(pure.len() >= 3, "the pure crates are members of the workspace");
    pure
}

/// Every file below a folder whose name ends so.
fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found
}

/// Code of a source file, without comments and without its tests.
fn code(source: &str) -> impl Iterator<Item = (usize, &str)> {
    source
        .lines()
        .enumerate()
        .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
        .map(|(i, line)| (i + 1, line.split("//").next().unwrap_or_default()))
}

/// Names of the files that a source declares as modules for tests alone.
fn test_files(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        if line != "#[cfg(test)]" {
            continue;
        }
        let Some(mut next) = lines.next() else { break };
        let mut file = None;
        if let Some(path) = next.strip_prefix("#[path = \"") {
            file = path.strip_suffix("\"]").map(str::to_owned);
            next = lines.next().unwrap_or_default();
        }
        if let Some(name) = next.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) {
            found.push(file.unwrap_or_else(|| format!("{name}.rs")));
        }
    }
    found
}

#[test]
fn dependencies_between_layers_follow_the_rules() {
    let members = workspace();
    assert!(members.len() >= 10, "cargo metadata lists the workspace's members");
    assert_eq!(breaches(&members), Vec::<String>::new());
}

#[test]
fn pure_crates_use_no_runtime_http_metrics_or_clock_at_any_depth() {
    for package in pure_members() {
        let tree = cargo(&[
            "tree",
            "--package",
            &package.name,
            "--no-default-features",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ]);
        let names: BTreeSet<&str> =
            tree.lines().filter_map(|l| l.split_whitespace().next()).collect();
        assert!(names.contains("alloy-primitives"), "cargo tree lists dependencies: {tree}");
        let impure: Vec<_> = IMPURE.iter().filter(|name| names.contains(**name)).collect();
        assert!(impure.is_empty(), "{} depends on {impure:?}", package.name);
    }
}

#[test]
fn pure_crates_build_without_std_and_never_name_the_world() {
    for package in pure_members() {
        let root = std::fs::read_to_string(package.dir.join("src/lib.rs")).unwrap();
        assert!(
            root.contains(r#"#![cfg_attr(not(feature = "std"), no_std)]"#)
                || root.contains("#![no_std]"),
            "{}: src/lib.rs does not say no_std",
            package.name
        );
        let sources: Vec<_> = files(&package.dir.join("src"), ".rs")
            .into_iter()
            .map(|file| (std::fs::read_to_string(&file).unwrap(), file))
            .collect();
        let tests: BTreeSet<_> =
            sources.iter().flat_map(|(source, _)| test_files(source)).collect();
        for (source, file) in sources {
            if tests.contains(&*file.file_name().unwrap().to_string_lossy()) {
                continue;
            }
            for (line, text) in code(&source) {
                if let Some(word) = IMPURE_WORDS.iter().find(|word| text.contains(**word)) {
                    panic!("{}:{line}: a pure crate names {word}", file.display());
                }
            }
        }
    }
}

/// The target of the fault-proof program, for which the pure crates must build.
const BARE_TARGET: &str = "riscv64imac-unknown-none-elf";

/// What stands in the way of building a crate for a target without std: a package whose root does
/// not say `no_std`, or one whose feature `std` is switched on. `cargo check` without std features
/// would not tell, for on the host std is there.
fn std_uses(tree: &str, root_of: impl Fn(&str, &str) -> Option<String>) -> Vec<String> {
    let mut found = Vec::new();
    for line in tree.lines().filter(|line| !line.is_empty()) {
        let (package, features) = line.split_once('|').unwrap_or((line, ""));
        let mut words = package.split_whitespace();
        let (name, version) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if features.split(',').any(|feature| feature == "std") {
            found.push(format!("{name} {version} has its feature \"std\" switched on"));
        }
        let root = root_of(name, version.trim_start_matches('v'));
        if !root.is_some_and(|root| root.contains("no_std")) {
            found.push(format!("{name} {version} does not say no_std"));
        }
    }
    found.sort();
    found.dedup();
    found
}

#[test]
fn pure_crates_and_all_that_they_use_do_without_std() {
    let metadata: Value =
        serde_json::from_str(&cargo(&["metadata", "--format-version", "1"])).unwrap();
    let root_of = |name: &str, version: &str| {
        let packages = metadata["packages"].as_array()?;
        let package = packages.iter().find(|p| p["name"] == name && p["version"] == version)?;
        let target = package["targets"].as_array()?.iter().find(|target| {
            let kinds = target["kind"].as_array();
            kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind == "lib" || kind == "rlib"))
        })?;
        std::fs::read_to_string(target["src_path"].as_str()?).ok()
    };
    for package in pure_members() {
        let tree = cargo(&[
            "tree",
            "--package",
            &package.name,
            "--no-default-features",
            "--edges",
            "normal,no-proc-macro",
            "--target",
            BARE_TARGET,
            "--prefix",
            "none",
            "--no-dedupe",
            "--format",
            "{p}|{f}",
        ]);
        assert!(tree.lines().count() > 20, "cargo tree lists dependencies: {tree}");
        assert_eq!(std_uses(&tree, root_of), Vec::<String>::new(), "{}", package.name);
    }
}

#[test]
fn the_checker_finds_uses_of_std() {
    let tree = "a v1.0.0|alloc\nb v2.0.0 (/path)|default,std\nc v3.0.0|\nd v4.0.0|";
    let root_of = |name: &str, _: &str| match name {
        "a" | "b" => Some("#![cfg_attr(not(feature = \"std\"), no_std)]".to_owned()),
        "c" => Some("use std::fs;".to_owned()),
        _ => None,
    };
    assert_eq!(
        std_uses(tree, root_of),
        [
            "b v2.0.0 has its feature \"std\" switched on",
            "c v3.0.0 does not say no_std",
            "d v4.0.0 does not say no_std"
        ]
    );
}

#[test]
fn the_checker_knows_files_of_tests_alone() {
    let source = "mod a;\n#[cfg(test)]\nmod b;\n#[cfg(test)]\n#[path = \"c_tests.rs\"]\nmod tests;\n\
        #[cfg(test)]\nmod inline {\n}\nmod d;\n";
    assert_eq!(test_files(source), ["b.rs", "c_tests.rs"]);
}

fn package(name: &str, uses: &[&str]) -> Package {
    Package {
        name: name.to_owned(),
        dir: PathBuf::new(),
        uses: uses.iter().map(|name| (*name).to_owned()).collect(),
    }
}

#[test]
fn the_checker_accepts_what_the_rules_allow() {
    let workspace = [
        package("opal-protocol", &["alloy-primitives"]),
        package("opal-evm", &["opal-protocol", "revm"]),
        package("opal-execution", &["opal-evm", "opal-protocol", "opal-service", "tokio"]),
        package("opal-node", &["opal-da", "opal-execution", "opal-sequencing", "opal-derivation"]),
        package("opal", &["opal-devnet", "opal-node", "opal-protocol"]),
    ];
    assert_eq!(breaches(&workspace), Vec::<String>::new());
}

#[test]
fn the_checker_names_each_breach() {
    let breach = |name: &str, uses: &[&str]| breaches(&[package(name, uses)]);
    assert_eq!(
        breach("opal-da", &["opal-derivation"]),
        ["opal-da must not depend on opal-derivation"]
    );
    assert_eq!(breach("opal-evm", &["opal-service"]), ["opal-evm must not depend on opal-service"]);
    assert_eq!(breach("opal-evm", &["tokio"]), ["opal-evm is pure and must not use tokio"]);
    assert_eq!(
        breach("opal-service", &["opal-devnet"]),
        ["opal-service must not depend on opal-devnet"]
    );
    assert_eq!(
        breach("opal-node", &["opal-governance"]),
        ["opal-node must not depend on opal-governance"]
    );
    assert_eq!(breach("opal-extra", &[]), ["opal-extra has no row in the table of walls.rs"]);
    // Unknown to the table, but a member of the same workspace.
    let pair = [package("opal-node", &["extra"]), package("extra", &[])];
    assert_eq!(breaches(&pair).len(), 2);
}

#[test]
fn dev_dependencies_are_free_and_build_dependencies_are_not() {
    let metadata = serde_json::json!({"packages": [{
        "name": "opal-evm",
        "manifest_path": "/w/crates/evm/Cargo.toml",
        "dependencies": [
            {"name": "opal-protocol", "kind": null},
            {"name": "opal-tests", "kind": "dev"},
            {"name": "tokio", "kind": "dev"},
            {"name": "opal-service", "kind": "build"},
        ],
    }]});
    assert_eq!(breaches(&packages(&metadata)), ["opal-evm must not depend on opal-service"]);
}
