//! Keystore files of version 3 (Web3 Secret Storage), as geth and Foundry write them.
//!
//! ```text
//! password ── scrypt or PBKDF2 ──► 32 bytes ─┬─ first half ──► AES-128-CTR of the ciphertext ──► key
//!                                            └─ second half, ciphertext ── keccak256 ──► mac
//! ```

use std::num::NonZeroU32;

use aes::Aes128;
use aes::cipher::{KeyIvInit, StreamCipher};
use alloy_primitives::{Address, B256, Bytes, Keccak256};
use ctr::Ctr128BE;
use ring::pbkdf2;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{Key, KeyError, Secret};

/// Most memory that a file may demand, in bytes; geth's own files take 256 MiB.
const MAX_MEMORY: u64 = 1 << 30;
/// Most work: 128 bytes at a time, as often as the file says.
const MAX_WORK: u64 = 1 << 33;
/// Most rounds of PBKDF2; usual are 262,144.
const MAX_ROUNDS: u32 = 10_000_000;

/// Why a keystore file gave no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeystoreError {
    /// Not the JSON of a keystore.
    #[error("not a keystore file: {0}")]
    Form(String),
    /// Another version of the format.
    #[error("a keystore of version {0}; only version 3 can be read")]
    Version(u64),
    /// A cipher or key derivation that no wallet of today writes.
    #[error("{what} {found:?} is not known; keystores have {known}")]
    Unknown {
        /// What kind of thing it is.
        what: &'static str,
        /// Its name in the file.
        found: String,
        /// What it could be.
        known: &'static str,
    },
    /// Parameters of the key derivation that can't be right, or are beyond all reason.
    #[error("the parameters of {0} are out of range: the file is damaged, or not to be trusted")]
    Parameters(&'static str),
    /// The MAC differs.
    #[error("the password is wrong")]
    Password,
    /// What was decrypted is no key.
    #[error("what it holds is no key: {0}")]
    Key(#[from] KeyError),
    /// The key is another account's than the file says.
    #[error("it says to be of {named}, but its key is that of {found}")]
    Address {
        /// The address in the file.
        named: String,
        /// The key's.
        found: Address,
    },
}

#[derive(Deserialize)]
struct File {
    version: u64,
    #[serde(alias = "Crypto")]
    crypto: Crypto,
    /// geth writes it, Foundry does not.
    address: Option<String>,
}

#[derive(Deserialize)]
struct Crypto {
    cipher: String,
    cipherparams: CipherParams,
    ciphertext: Bytes,
    kdf: String,
    kdfparams: serde_json::Value,
    mac: B256,
}

#[derive(Deserialize)]
struct CipherParams {
    iv: Bytes,
}

#[derive(Deserialize)]
struct Scrypt {
    n: u64,
    r: u32,
    p: u32,
    dklen: usize,
    salt: Bytes,
}

#[derive(Deserialize)]
struct Pbkdf2 {
    c: u32,
    prf: String,
    dklen: usize,
    salt: Bytes,
}

type Derived = Zeroizing<[u8; 32]>;

/// Reads a key; see [`Key::from_keystore`].
pub(super) fn read(json: &str, password: &Secret) -> Result<Key, KeystoreError> {
    // The reader's messages repeat what is of another type. Whoever names the file of a bare key by
    // mistake, be it in quotes, must not find the key in a log.
    let file: serde_json::Value = serde_json::from_str(json).map_err(form)?;
    if !file.is_object() {
        return Err(KeystoreError::Form("it holds no JSON object".to_owned()));
    }
    let File { version, crypto, address } = File::deserialize(file).map_err(form)?;
    if version != 3 {
        return Err(KeystoreError::Version(version));
    }
    if crypto.cipher != "aes-128-ctr" {
        let (found, known) = (crypto.cipher, "aes-128-ctr");
        return Err(KeystoreError::Unknown { what: "the cipher", found, known });
    }
    let iv: [u8; 16] = crypto.cipherparams.iv.as_ref().try_into().map_err(|_| length("iv", 16))?;
    let mut key = Zeroizing::new([0; 32]);
    if crypto.ciphertext.len() != key.len() {
        return Err(length("ciphertext", 32));
    }
    key.copy_from_slice(&crypto.ciphertext);

    let derived = derive(&crypto, password.expose().as_bytes())?;
    let (for_cipher, for_mac) = derived.split_at(16);
    let mut mac = Keccak256::new();
    mac.update(for_mac);
    mac.update(&crypto.ciphertext);
    if mac.finalize() != crypto.mac {
        return Err(KeystoreError::Password);
    }
    Ctr128BE::<Aes128>::new(for_cipher.into(), &iv.into()).apply_keystream(key.as_mut());
    let key = Key::from_bytes((&*key).into())?;
    match address.filter(|address| !address.is_empty()) {
        Some(named) if named.parse() != Ok(key.address()) => {
            Err(KeystoreError::Address { named, found: key.address() })
        }
        _ => Ok(key),
    }
}

fn derive(crypto: &Crypto, password: &[u8]) -> Result<Derived, KeystoreError> {
    let mut key = Derived::default();
    match crypto.kdf.as_str() {
        "scrypt" => {
            let wrong = KeystoreError::Parameters("scrypt");
            let Scrypt { n, r, p, dklen, salt } =
                Scrypt::deserialize(&crypto.kdfparams).map_err(form)?;
            let memory = n.checked_mul(u64::from(r)).and_then(|blocks| blocks.checked_mul(128));
            let work = memory.and_then(|memory| memory.checked_mul(u64::from(p)));
            let bounded = memory.is_some_and(|memory| memory <= MAX_MEMORY)
                && work.is_some_and(|work| work <= MAX_WORK);
            if !bounded || !n.is_power_of_two() || dklen != key.len() {
                return Err(wrong);
            }
            // A power of two below the bound has fewer than 32 zeros.
            let log_n = n.trailing_zeros() as u8;
            let params = scrypt::Params::new(log_n, r, p, dklen).map_err(|_| wrong.clone())?;
            scrypt::scrypt(password, &salt, &params, key.as_mut()).map_err(|_| wrong)?;
        }
        "pbkdf2" => {
            let wrong = || KeystoreError::Parameters("PBKDF2");
            let Pbkdf2 { c, prf, dklen, salt } =
                Pbkdf2::deserialize(&crypto.kdfparams).map_err(form)?;
            if prf != "hmac-sha256" {
                let (what, known) = ("the function of PBKDF2", "hmac-sha256");
                return Err(KeystoreError::Unknown { what, found: prf, known });
            }
            let rounds = NonZeroU32::new(c).filter(|_| c <= MAX_ROUNDS && dklen == key.len());
            let rounds = rounds.ok_or_else(wrong)?;
            pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, password, key.as_mut());
        }
        other => {
            let (what, known) = ("the key derivation", "scrypt or pbkdf2");
            return Err(KeystoreError::Unknown { what, found: other.to_owned(), known });
        }
    }
    Ok(key)
}

fn form(error: serde_json::Error) -> KeystoreError {
    KeystoreError::Form(error.to_string())
}

fn length(field: &str, bytes: usize) -> KeystoreError {
    KeystoreError::Form(format!("its {field} must have {bytes} bytes"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use alloy_primitives::address;
    use serde_json::{Value, json};

    use super::*;

    /// The test vector of the format's definition for PBKDF2; the password is `testpassword`.
    fn pbkdf2_vector() -> Value {
        json!({
            "crypto": {
                "cipher": "aes-128-ctr",
                "cipherparams": { "iv": "6087dab2f9fdbbfaddc31a909735c1e6" },
                "ciphertext": "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
                "kdf": "pbkdf2",
                "kdfparams": {
                    "c": 262_144,
                    "dklen": 32,
                    "prf": "hmac-sha256",
                    "salt": "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd"
                },
                "mac": "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2"
            },
            "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
            "version": 3
        })
    }

    /// As geth writes it, made by ethers, of the first account of the test mnemonic.
    fn scrypt_file() -> Value {
        json!({
            "address": "f39fd6e51aad88f6f4ce6ab8827279cfffb92266",
            "id": "e8b437ee-5036-43b2-a5ca-5a9086a61b65",
            "version": 3,
            "Crypto": {
                "cipher": "aes-128-ctr",
                "cipherparams": { "iv": "d3c4a90d982745bf5c0ea0f7c7ae16f4" },
                "ciphertext": "b5fd6b5e107651c728ef9767a4844ecf3a5e537d08a2baa1f21b22b75395d395",
                "kdf": "scrypt",
                "kdfparams": {
                    "salt": "63b4257d81ca63b1fe00a64b47ad87ec967940b6b565b07aaa2d37a51fd7b414",
                    "n": 262_144,
                    "dklen": 32,
                    "p": 1,
                    "r": 8
                },
                "mac": "afd6603ddd06d0ff1b65770be7297ddc607847f6f9c99a783ca425e0ac2877c9"
            }
        })
    }

    fn read(file: &Value) -> Result<Address, KeystoreError> {
        Key::from_keystore(&file.to_string(), &"testpassword".into()).map(|key| key.address())
    }

    const ADDRESS: Address = address!("008aeeda4d805471df9b2a5b0f38a0c3bcba786b");

    #[test]
    fn the_example_of_the_definition_gives_its_key() {
        assert_eq!(read(&pbkdf2_vector()), Ok(ADDRESS));
        let mut of_geth = pbkdf2_vector();
        of_geth["address"] = json!("008aeeda4d805471df9b2a5b0f38a0c3bcba786b");
        assert_eq!(read(&of_geth), Ok(ADDRESS));
    }

    #[test]
    fn a_file_of_geths_form_gives_its_key() {
        let expected = address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
        assert_eq!(read(&scrypt_file()), Ok(expected));
    }

    #[test]
    fn another_password_or_address_is_told() {
        let file = pbkdf2_vector().to_string();
        let error = Key::from_keystore(&file, &"other".into()).unwrap_err();
        assert_eq!(error, KeystoreError::Password);
        let mut of_another = pbkdf2_vector();
        of_another["address"] = json!("0x4200000000000000000000000000000000000007");
        assert!(matches!(read(&of_another), Err(KeystoreError::Address { found: ADDRESS, .. })));
    }

    #[test]
    fn hostile_files_are_refused_before_any_work() {
        let cases: [(&str, Value, &str); 14] = [
            ("/version", json!(1), "version 1"),
            ("/version", json!("3"), "not a keystore file"),
            ("/Crypto/cipher", json!("aes-128-cbc"), "aes-128-cbc"),
            ("/Crypto/cipherparams/iv", json!("00"), "iv must have 16 bytes"),
            ("/Crypto/ciphertext", json!("00"), "ciphertext must have 32 bytes"),
            ("/Crypto/mac", json!("00"), "not a keystore file"),
            ("/Crypto/kdf", json!("argon2"), "argon2"),
            ("/Crypto/kdfparams/n", json!(u64::MAX), "not to be trusted"),
            ("/Crypto/kdfparams/n", json!(1u64 << 60), "not to be trusted"),
            ("/Crypto/kdfparams/n", json!(262_143), "not to be trusted"),
            ("/Crypto/kdfparams/r", json!(1), "not to be trusted"),
            ("/Crypto/kdfparams/p", json!(0), "not to be trusted"),
            ("/Crypto/kdfparams/p", json!(1 << 20), "not to be trusted"),
            ("/Crypto/kdfparams/dklen", json!(16), "not to be trusted"),
        ];
        for (place, value, expected) in cases {
            let mut file = scrypt_file();
            *file.pointer_mut(place).unwrap() = value;
            let error = read(&file).unwrap_err().to_string();
            assert!(error.contains(expected), "{place}: {error}");
        }
        for (place, value) in [("c", json!(0)), ("c", json!(u32::MAX)), ("dklen", json!(64))] {
            let mut file = pbkdf2_vector();
            file["crypto"]["kdfparams"][place] = value;
            assert_eq!(read(&file), Err(KeystoreError::Parameters("PBKDF2")), "{place}");
        }
        let mut file = pbkdf2_vector();
        file["crypto"]["kdfparams"]["prf"] = json!("hmac-md5");
        assert!(matches!(read(&file), Err(KeystoreError::Unknown { .. })));
        // Keys, in the forms that people keep them in.
        for text in [format!("{:?}", "0xac09".repeat(11)), "1".repeat(64), "\"7\"".to_owned()] {
            let error = Key::from_keystore(&text, &"".into()).unwrap_err().to_string();
            assert_eq!(error, "not a keystore file: it holds no JSON object");
        }
        for text in ["", "null", "[]", "{}"] {
            assert!(matches!(Key::from_keystore(text, &"".into()), Err(KeystoreError::Form(_))));
        }
    }
}
