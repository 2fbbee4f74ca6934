#![allow(clippy::unwrap_used)]

use std::io::Write as _;

use alloy_primitives::{Address, bytes};
use opal_protocol::upgrades::UpgradeTransaction;
use opal_protocol::{Genesis, HardforkSchedule};
use tempfile::TempDir;

use super::*;

/// A bundle that no public chain has.
fn bundle(fork: Hardfork) -> UpgradeBundle {
    let transaction = UpgradeTransaction {
        data: bytes!("01"),
        from: Address::ZERO,
        gas_limit: 7,
        intent: format!("Jovian: nothing for {fork}"),
        to: Some(Address::ZERO),
    };
    UpgradeBundle::from_transactions(fork, vec![transaction]).unwrap()
}

/// A chain that activates Jovian and Karst after genesis, with these bundles.
fn config(bundles: &[&UpgradeBundle]) -> RollupConfig {
    let mut config = RollupConfig {
        genesis: Genesis { l2_time: 10, ..Genesis::default() },
        block_time: 2,
        schedule: HardforkSchedule::at_genesis(Hardfork::Isthmus),
        upgrade_bundles: bundles.iter().map(|b| (b.fork(), b.sha256())).collect(),
        ..RollupConfig::default()
    };
    config.schedule.set(Hardfork::Jovian, Some(20));
    config.schedule.set(Hardfork::Karst, Some(30));
    config
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), Default::default());
    writer.write_all(data).unwrap();
    writer.finish().unwrap()
}

/// A published list that holds the bundle's deposits.
fn list(bundle: &UpgradeBundle) -> String {
    let deposits = bundle.transactions().iter().zip(bundle.deposits()).map(|(transaction, raw)| {
        serde_json::json!({ "intent": transaction.intent, "raw": raw, "index": 0 })
    });
    let deposits: Vec<Value> = deposits.collect();
    serde_json::json!({ "forks": { bundle.fork().name(): deposits } }).to_string()
}

#[test]
fn bundles_are_known_by_their_hash_in_any_file() {
    let (jovian, karst) = (bundle(Hardfork::Jovian), bundle(Hardfork::Karst));
    let dir = TempDir::new().unwrap();
    let mut config = config(&[&jovian, &karst]);
    load_upgrades(&dir.path().join("absent"), &mut config).unwrap();
    let error = require_upgrades(dir.path(), &config, 10).unwrap_err().to_string();
    for part in ["jovian", "karst", &karst.sha256().to_string(), "opal upgrades import"] {
        assert!(error.contains(part), "{error}");
    }

    // Karst's lies in a wrapper and without layout, Jovian's as a list; others do no harm.
    let wrapped: Value = serde_json::from_str(&karst.to_json().unwrap()).unwrap();
    let wrapped = serde_json::json!({ "bundle": wrapped, "note": "x" }).to_string();
    fs::write(dir.path().join("a.json.gz"), gzip(wrapped.as_bytes())).unwrap();
    fs::write(dir.path().join("b.json"), list(&jovian)).unwrap();
    fs::write(dir.path().join("c.json"), "{").unwrap();
    fs::write(dir.path().join("d.json"), bundle(Hardfork::Interop).to_json().unwrap()).unwrap();
    fs::write(dir.path().join("README"), "").unwrap();
    load_upgrades(dir.path(), &mut config).unwrap();
    require_upgrades(dir.path(), &config, 10).unwrap();
    assert_eq!(config.upgrade_bundle(Hardfork::Jovian), Ok(&jovian));
    assert_eq!(config.upgrade_bundle(Hardfork::Karst), Ok(&karst));
}

#[test]
fn only_forks_that_are_ahead_are_needed() {
    let jovian = bundle(Hardfork::Jovian);
    let mut config = config(&[&jovian]);
    config.upgrades = [jovian].into_iter().collect();
    let dir = Path::new("upgrades");
    assert!(require_upgrades(dir, &config, 10).unwrap_err().to_string().contains("karst"));
    assert!(require_upgrades(dir, &config, 29).is_err());
    require_upgrades(dir, &config, 30).unwrap();
}

#[test]
fn unknown_bundles_need_a_fork_to_be_imported() {
    let home = TempDir::new().unwrap();
    let dir = home.path().join("upgrades");
    let karst = bundle(Hardfork::Karst);
    let file = karst.to_json().unwrap();
    for refused in [file.as_bytes(), list(&bundle(Hardfork::Jovian)).as_bytes(), b"{}", b"\x1f\x8b"]
    {
        assert!(import(&dir, refused, Accept::Pinned).is_err());
    }
    assert!(!dir.exists(), "nothing is written");
    let error = import(&dir, file.as_bytes(), Accept::Pinned).unwrap_err().to_string();
    assert!(error.contains(&karst.sha256().to_string()) && error.contains("--custom"), "{error}");

    // A chain may have named the hash of a file in any layout: the file stays as it is.
    let flat = file.replace("\n ", "\n");
    for file in [file.clone(), flat] {
        let written =
            import(&dir, &gzip(file.as_bytes()), Accept::Custom(Hardfork::Karst)).unwrap();
        assert_eq!(fs::read_to_string(&written[0].path).unwrap(), file);
        let mut config = config(&[&written[0].bundle]);
        load_upgrades(&dir, &mut config).unwrap();
        assert_eq!(config.upgrade_bundle(Hardfork::Karst), Ok(&written[0].bundle));
    }
    let files = fs::read_dir(&dir).unwrap().count();
    assert_eq!(files, 2, "a file for each, and nothing half written");
    let granite = import(&dir, file.as_bytes(), Accept::Custom(Hardfork::Granite));
    assert!(granite.unwrap_err().to_string().contains("granite"));
}

#[test]
fn verify_tells_what_is_there_missing_and_wrong() {
    let home = TempDir::new().unwrap();
    let (jovian, karst) = (bundle(Hardfork::Jovian), bundle(Hardfork::Karst));
    let wanted = [(Hardfork::Jovian, jovian.sha256()), (Hardfork::Karst, karst.sha256())];
    let state = verify(home.path(), &wanted).unwrap();
    assert!(state.values().all(|state| *state == Presence::Missing) && state.len() == 2);
    let file = jovian.to_json().unwrap();
    let written = import(home.path(), file.as_bytes(), Accept::Custom(Hardfork::Jovian)).unwrap();
    let name = file_name(Hardfork::Karst, karst.sha256());
    fs::write(home.path().join(&name), "{}").unwrap();
    let state = verify(home.path(), &wanted).unwrap();
    let there = Presence::Present(written[0].path.clone(), Box::new(jovian));
    assert_eq!(state[&Hardfork::Jovian], there);
    let Presence::Wrong(path, _) = &state[&Hardfork::Karst] else { panic!("{state:?}") };
    assert!(path.ends_with(name));
}

#[test]
fn files_that_unpack_to_too_much_cost_no_memory() {
    let bomb = gzip(&vec![b' '; MAX_FILE_BYTES as usize + 1]);
    assert!(bomb.len() < 1 << 20);
    assert!(matches!(contents(&bomb), Err(UpgradesError::TooLong)));
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("long.json");
    fs::File::create(&path).unwrap().set_len(MAX_FILE_BYTES + 1).unwrap();
    assert!(matches!(read(&path), Err(UpgradesError::TooLong)));
}

/// A server that answers once, with this head and then as much as the other side takes.
async fn serve(head: &'static str, body: Vec<u8>) -> Url {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/bundle.json", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = stream.write_all(&body).await;
    });
    url.parse().unwrap()
}

#[tokio::test]
async fn downloads_are_bounded_and_only_over_http() {
    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
    let url = serve(head, b"{\"forks\":{}}".to_vec()).await;
    assert_eq!(download(&url).await.unwrap(), b"{\"forks\":{}}");
    let url = serve(head, vec![b' '; MAX_FILE_BYTES as usize + 1]).await;
    assert!(matches!(download(&url).await, Err(UpgradesError::TooLong)));
    let url = serve("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", Vec::new()).await;
    let error = download(&url).await.unwrap_err().to_string();
    assert!(error.contains("404") && !error.contains("bundle.json"), "{error}");
    let file = "file:///etc/hostname".parse().unwrap();
    assert!(matches!(download(&file).await, Err(UpgradesError::Http(_))));
}
