//! Secrets and signatures, as *Standard Webhooks* has them (<https://www.standardwebhooks.com>).
//!
//! The signature is HMAC-SHA-256 of `ID.SECONDS.BODY`; the header has one for each secret that still counts, so that a receiver may change to a
//! new secret before the old one ends.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use repos::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// What the text of each secret begins with.
const PREFIX: &str = "whsec_";

/// A secret that pv and a receiver share. Its text is neither in `Debug` nor in any error.
///
/// Shape: 24 to 64 bytes; as text `whsec_` and their base64.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    key: Key,
    /// When it ends, if another took its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Key(Vec<u8>);

/// The error for a text that is not a webhook secret. It does not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret of a webhook is `whsec_` and the base64 of 24 to 64 bytes")]
pub struct NoSecret;

impl Secret {
    /// 32 random bytes.
    pub fn new() -> Self {
        Self { key: Key([repos::random_bytes(), repos::random_bytes()].concat()), until: None }
    }

    /// Reads `whsec_…`.
    pub fn parse(text: &str) -> Result<Self, NoSecret> {
        Ok(Self { key: Key::try_from(text.to_owned())?, until: None })
    }

    /// The text that a receiver needs. For nobody else.
    pub fn reveal(&self) -> String {
        self.key.clone().into()
    }

    /// When it ends.
    pub fn until(&self) -> Option<Timestamp> {
        self.until
    }

    /// Ends it at this time, if it does not end before.
    pub(crate) fn end(&mut self, at: Timestamp) {
        self.until = Some(self.until.map_or(at, |until| until.min(at)));
    }

    /// Whether it still counts.
    pub(crate) fn counts(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let mut code = Hmac::<Sha256>::new_from_slice(&self.key.0).expect("HMAC takes a key of any length");
        code.update(format!("{id}.{seconds}.").as_bytes());
        code.update(body);
        format!("v1,{}", STANDARD.encode(code.finalize().into_bytes()))
    }
}

impl Default for Secret {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").field("until", &self.until).finish_non_exhaustive()
    }
}

impl TryFrom<String> for Key {
    type Error = NoSecret;
    fn try_from(text: String) -> Result<Self, NoSecret> {
        let bytes = text.strip_prefix(PREFIX).and_then(|base64| STANDARD.decode(base64).ok());
        bytes.filter(|bytes| (24..=64).contains(&bytes.len())).map(Self).ok_or(NoSecret)
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        format!("{PREFIX}{}", STANDARD.encode(key.0))
    }
}

/// The header `webhook-signature`: a signature by each secret that counts at `now`, in the order of the secrets.
pub(crate) fn signatures(secrets: &[Secret], id: &str, now: Timestamp, body: &[u8]) -> String {
    let seconds = seconds(now);
    let counting = secrets.iter().filter(|secret| secret.counts(now));
    counting.map(|secret| secret.sign(id, seconds, body)).collect::<Vec<_>>().join(" ")
}

/// The header `webhook-timestamp`.
pub(crate) fn seconds(now: Timestamp) -> i64 {
    now.as_micros().div_euclid(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the specification and the tests of its reference libraries.
    const VECTOR: (&str, &str, i64, &str, &str) = (
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1_614_265_330,
        r#"{"test": 2432232314}"#,
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    );

    #[test]
    fn the_vector_of_the_specification_holds() {
        let (secret, id, seconds, body, signature) = VECTOR;
        let now = Timestamp::from_micros(seconds * 1_000_000 + 999_999);
        assert_eq!(signatures(&[Secret::parse(secret).unwrap()], id, now, body.as_bytes()), signature);
    }

    #[test]
    fn two_secrets_sign_until_the_older_ends() {
        let end = Timestamp::from_micros(5_000_000);
        let mut secrets = [Secret::new(), Secret::new()];
        secrets[1].end(end);
        let both = signatures(&secrets, "a", Timestamp::from_micros(4_999_999), b"{}");
        let one = signatures(&secrets, "a", end, b"{}");
        assert_eq!((both.split(' ').count(), one.split(' ').count()), (2, 1));
        assert!(
            both.split(' ').all(|part| part.starts_with("v1,")) && !one.contains(both.split(' ').next_back().unwrap())
        );
        secrets[1].end(Timestamp::from_micros(9_000_000));
        assert_eq!(secrets[1].until(), Some(end), "an end does not move away");
    }

    #[test]
    fn a_secret_shows_itself_only_when_asked() {
        let secret = Secret::new();
        let text = secret.reveal();
        assert_eq!((text.len(), Secret::parse(&text).unwrap()), (6 + 44, secret.clone()));
        assert_ne!(text, Secret::new().reveal());
        assert!(!format!("{secret:?}").contains(&text[6..]));
        let stored = serde_json::to_string(&secret).unwrap();
        assert_eq!(serde_json::from_str::<Secret>(&stored).unwrap(), secret);
        for bad in [
            "",
            "whsec_",
            "whsec_AAAA",
            "whsec_%%",
            &text[6..],
            &text[..20],
            &format!("whsec_{}", STANDARD.encode([0; 65])),
        ] {
            let said = Secret::parse(bad).unwrap_err().to_string();
            assert!(!said.contains("AAAA"), "{said}");
            assert!(serde_json::from_str::<Secret>(&format!("{{\"key\":\"{bad}\"}}")).is_err());
        }
    }
}
