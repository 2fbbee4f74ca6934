//! The secret and the tokens that guard the Engine API.
//!
//! Both sides read one file with 32 bytes in hex. Each request carries an HS256 token that says
//! when it was made; the server takes it for a minute. Spec: execution-apis,
//! `engine/authentication.md`. Texts of refusals are geth's.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonrpsee::server::{HttpBody, HttpRequest, HttpResponse};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::Deserialize;
use tower::{Layer, Service};
use tracing::{info, warn};
use zeroize::Zeroizing;

/// Longest distance between a token's time and now, in seconds.
const MAX_SKEW: u64 = 60;

/// Bytes of a secret file that are read at most: 64 digits, a prefix, and some white space.
const MAX_FILE: u64 = 1_024;

/// Why a secret can't be used. Never repeats what the file holds.
#[derive(Debug, thiserror::Error)]
pub enum JwtSecretError {
    /// The file can't be read.
    #[error("cannot read the JWT secret {path}: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The file does not exist and can't be made.
    #[error("cannot make the JWT secret {path}: {error}")]
    Create {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The file holds something else.
    #[error("{path} holds no JWT secret: it must be 32 bytes in hex (64 digits)")]
    NotASecret {
        /// The file.
        path: PathBuf,
    },
}

/// The secret of an Engine API; its `Debug` shows nothing. Cheap to clone.
#[derive(Clone)]
pub struct JwtSecret(Arc<hmac::Key>);

impl fmt::Debug for JwtSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JwtSecret(..)")
    }
}

impl From<[u8; 32]> for JwtSecret {
    fn from(bytes: [u8; 32]) -> Self {
        Self(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }
}

/// Why a request is not let in, in geth's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// No `Authorization: Bearer` header.
    #[error("missing token")]
    Missing,
    /// Not three parts.
    #[error("token contains an invalid number of segments")]
    Segments,
    /// A part that is not base64 or not the JSON expected.
    #[error("token is malformed: {0}")]
    Malformed(&'static str),
    /// Another algorithm than HS256.
    #[error("signing method {0} is invalid")]
    Method(String),
    /// Signed by another secret.
    #[error("signature is invalid")]
    Signature,
    /// It says of itself that it is too old.
    #[error("token is expired")]
    Expired,
    /// It does not say when it was made.
    #[error("missing issued-at")]
    NoIssuedAt,
    /// Made more than a minute ago; the clocks of the two machines may differ.
    #[error("stale token")]
    Stale,
    /// Made more than a minute from now; the clocks of the two machines may differ.
    #[error("future token")]
    Future,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

/// Other claims are allowed and ignored. Times may have fractions (RFC 7519, `NumericDate`).
#[derive(Deserialize)]
struct Claims {
    iat: Option<f64>,
    exp: Option<f64>,
}

impl JwtSecret {
    /// Reads a secret from hex, with or without `0x`; `None` if it is not 32 bytes.
    pub fn from_hex(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let mut bytes = Zeroizing::new([0_u8; 32]);
        alloy_primitives::hex::decode_to_slice(digits, &mut *bytes).ok()?;
        Some(Self(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &*bytes))))
    }

    /// Reads the secret in a file.
    ///
    /// # Errors
    /// When the file can't be read or holds no secret.
    pub fn read(path: &Path) -> Result<Self, JwtSecretError> {
        let fail = |error| JwtSecretError::Read { path: path.to_owned(), error };
        let file = File::open(path).map_err(fail)?;
        warn_if_open_to_others(&file, path);
        let mut text = Zeroizing::new(String::new());
        let not_text = || JwtSecretError::NotASecret { path: path.to_owned() };
        match file.take(MAX_FILE).read_to_string(&mut text) {
            Ok(_) => Self::from_hex(&text).ok_or_else(not_text),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(not_text()),
            Err(error) => Err(fail(error)),
        }
    }

    /// Reads the secret in a file, which is made, for its owner's eyes only, if there is none.
    ///
    /// # Errors
    /// When the file can't be read or made, or holds no secret.
    pub fn read_or_create(path: &Path) -> Result<Self, JwtSecretError> {
        if !path.exists() {
            let made = create(path);
            let made =
                made.map_err(|error| JwtSecretError::Create { path: path.to_owned(), error });
            if made? {
                info!(target: "opal::service", path = %path.display(), "made a JWT secret");
            }
        }
        Self::read(path)
    }

    /// A token for a request that is sent now.
    pub fn token(&self) -> String {
        self.token_at(now())
    }

    fn token_at(&self, issued_at: u64) -> String {
        let header = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"HS256"}"#);
        let claims = URL_SAFE_NO_PAD.encode(format!(r#"{{"iat":{issued_at}}}"#));
        let signed = format!("{header}.{claims}");
        let signature = hmac::sign(&self.0, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Checks the value of an `Authorization` header.
    ///
    /// # Errors
    /// When the request must not be let in.
    pub fn check(&self, authorization: Option<&[u8]>) -> Result<(), JwtError> {
        self.check_at(authorization, now())
    }

    fn check_at(&self, authorization: Option<&[u8]>, now: u64) -> Result<(), JwtError> {
        let token = authorization.and_then(|value| value.strip_prefix(b"Bearer "));
        let token = token.filter(|token| !token.is_empty()).ok_or(JwtError::Missing)?;
        let token = str::from_utf8(token).map_err(|_| JwtError::Malformed("not text"))?;
        let mut parts = token.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(JwtError::Segments);
        };
        let decode = |part: &str| {
            URL_SAFE_NO_PAD.decode(part).map_err(|_| JwtError::Malformed("not base64"))
        };
        let parsed: Header = serde_json::from_slice(&decode(header)?)
            .map_err(|_| JwtError::Malformed("not a header"))?;
        if parsed.alg != "HS256" {
            return Err(JwtError::Method(parsed.alg.chars().take(32).collect()));
        }
        // Compares in constant time, and before anything of the claims is believed.
        let signed = &token[..header.len() + 1 + claims.len()];
        hmac::verify(&self.0, signed.as_bytes(), &decode(signature)?)
            .map_err(|_| JwtError::Signature)?;
        let claims: Claims = serde_json::from_slice(&decode(claims)?)
            .map_err(|_| JwtError::Malformed("not claims"))?;
        let now = now as f64;
        if claims.exp.is_some_and(|exp| now >= exp) {
            return Err(JwtError::Expired);
        }
        let issued_at = claims.iat.ok_or(JwtError::NoIssuedAt)?;
        if now - issued_at > MAX_SKEW as f64 {
            return Err(JwtError::Stale);
        }
        if issued_at - now > MAX_SKEW as f64 {
            return Err(JwtError::Future);
        }
        Ok(())
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Makes the file at once or not at all; false if another process was faster.
fn create(path: &Path) -> io::Result<bool> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    SystemRandom::new()
        .fill(&mut *bytes)
        .map_err(|_| io::Error::other("the system gives no random bytes"))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let name = path.file_name().ok_or_else(|| io::Error::other("the path names no file"))?;
    let partial = folder.join(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let text = Zeroizing::new(alloy_primitives::hex::encode(*bytes));
    let linked = options.open(&partial).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::hard_link(&partial, path)
    });
    let _ = fs::remove_file(&partial);
    match linked {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.exists() => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(unix)]
fn warn_if_open_to_others(file: &File, path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = file.metadata().map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o077 != 0 {
        warn!(target: "opal::service", path = %path.display(), mode = format!("{:o}", mode & 0o777),
            "other users may read the JWT secret (chmod 600)");
    }
}

#[cfg(not(unix))]
fn warn_if_open_to_others(_: &File, _: &Path) {}

/// Lets nothing through to the server but requests with a valid token; the others get a 401 that
/// says why.
#[derive(Clone, Debug)]
pub struct JwtLayer(pub JwtSecret);

impl<S> Layer<S> for JwtLayer {
    type Service = JwtGuard<S>;

    fn layer(&self, inner: S) -> JwtGuard<S> {
        JwtGuard { inner, secret: self.0.clone() }
    }
}

/// The service that a [`JwtLayer`] makes.
#[derive(Clone, Debug)]
pub struct JwtGuard<S> {
    inner: S,
    secret: JwtSecret,
}

impl<S, B> Service<HttpRequest<B>> for JwtGuard<S>
where
    S: Service<HttpRequest<B>, Response = HttpResponse>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = HttpResponse;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: HttpRequest<B>) -> Self::Future {
        let value = request.headers().get("authorization").map(|value| value.as_bytes());
        match self.secret.check(value) {
            Ok(()) => Box::pin(self.inner.call(request)),
            Err(error) => {
                // Geth's texts end with a line feed.
                let mut response = HttpResponse::new(HttpBody::from(format!("{error}\n")));
                *response.status_mut() = axum::http::StatusCode::UNAUTHORIZED;
                let plain = axum::http::HeaderValue::from_static("text/plain; charset=utf-8");
                response.headers_mut().insert("content-type", plain);
                Box::pin(async { Ok(response) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn secret() -> JwtSecret {
        JwtSecret::from([7; 32])
    }

    fn sign(header: &str, claims: &str) -> String {
        let signed =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = hmac::sign(&secret().0, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn check(token: &str) -> Result<(), JwtError> {
        secret().check_at(Some(format!("Bearer {token}").as_bytes()), NOW)
    }

    #[test]
    fn tokens_are_taken_for_a_minute_around_their_time() {
        for (time, expected) in [
            (NOW, Ok(())),
            (NOW - 60, Ok(())),
            (NOW + 60, Ok(())),
            (NOW - 61, Err(JwtError::Stale)),
            (NOW + 61, Err(JwtError::Future)),
        ] {
            assert_eq!(check(&secret().token_at(time)), expected, "{time}");
        }
    }

    #[test]
    fn claims_and_headers_are_judged_as_by_geth() {
        let header = r#"{"typ":"JWT","alg":"HS256"}"#;
        let now = format!(r#"{{"iat":{NOW}.25,"id":"node 1","clv":"x","exp":{}}}"#, NOW + 1);
        assert_eq!(check(&sign(header, &now)), Ok(()));
        let expired = format!(r#"{{"iat":{NOW},"exp":{NOW}}}"#);
        assert_eq!(check(&sign(header, &expired)), Err(JwtError::Expired));
        assert_eq!(check(&sign(header, "{}")), Err(JwtError::NoIssuedAt));
        assert_eq!(check(&sign(header, "[]")), Err(JwtError::Malformed("not claims")));
        let none = Err(JwtError::Method("none".into()));
        assert_eq!(check(&sign(r#"{"alg":"none"}"#, &now)), none);
        assert_eq!(check("a.b"), Err(JwtError::Segments));
        assert_eq!(check("a.b.c.d"), Err(JwtError::Segments));
        assert_eq!(check("%.b.c"), Err(JwtError::Malformed("not base64")));
        let other = JwtSecret::from([8; 32]).token_at(NOW);
        assert_eq!(check(&other), Err(JwtError::Signature));
        for value in [None, Some(&b"Bearer "[..]), Some(b"Basic abc")] {
            assert_eq!(secret().check_at(value, NOW), Err(JwtError::Missing));
        }
    }

    #[test]
    fn secrets_are_read_made_and_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("below/jwt.hex");
        assert!(matches!(JwtSecret::read(&path), Err(JwtSecretError::Read { .. })));
        let made = JwtSecret::read_or_create(&path).unwrap();
        let again = JwtSecret::read_or_create(&path).unwrap();
        assert_eq!(again.check(Some(format!("Bearer {}", made.token()).as_bytes())), Ok(()));
        assert_eq!(format!("{made:?}"), "JwtSecret(..)");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let digits = "ab".repeat(32);
        for good in [format!("0x{digits}\n"), format!(" {digits} ")] {
            fs::write(&path, good).unwrap();
            JwtSecret::read(&path).unwrap();
        }
        for bad in ["", "0x12", &"zz".repeat(32), &"ab".repeat(33)] {
            fs::write(&path, bad).unwrap();
            let error = JwtSecret::read_or_create(&path).unwrap_err();
            assert!(matches!(error, JwtSecretError::NotASecret { .. }), "{error}");
            assert!(bad.is_empty() || !error.to_string().contains(bad), "{error}");
        }
    }
}
