//! Signed statements: the Dead Simple Signing Envelope, version 1.
//!
//! The signature is not over the payload itself but over its *pre-authentication encoding*, which binds its type: `DSSEv1`, then type and
//! payload, each preceded by its length in bytes, all separated by single spaces (github.com/secure-systems-lab/dsse, `protocol.md`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use repos::keys::{PublicKey, Signature};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::Digest;

use super::Statement;
use engine::Result;

/// The type of the payload: an in-toto statement.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// A payload with its signatures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// Base64 of the statement's JSON.
    pub payload: String,
    /// The type of the payload.
    pub payload_type: String,
    /// At least one signature.
    pub signatures: Vec<EnvelopeSignature>,
}

/// A signature of an envelope.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EnvelopeSignature {
    /// Fingerprint of the key: SHA-256 of its DER form, in hex.
    pub keyid: String,
    /// Base64 of the 64 bytes of an Ed25519 signature.
    pub sig: String,
}

impl Envelope {
    /// Signs a statement: `sign` returns a key's fingerprint and its signature of the bytes.
    pub fn seal(statement: &Statement, sign: impl FnOnce(&[u8]) -> Result<(Digest, Signature)>) -> Result<Self> {
        let payload = serde_json::to_vec(statement).expect("a statement has a JSON form");
        let (key, signature) = sign(&authenticated(PAYLOAD_TYPE, &payload))?;
        let signature = EnvelopeSignature { keyid: key.to_string(), sig: STANDARD.encode(signature.as_bytes()) };
        let payload_type = PAYLOAD_TYPE.to_owned();
        Ok(Self { payload: STANDARD.encode(payload), payload_type, signatures: vec![signature] })
    }

    /// The payload's bytes; `None` if it is not base64.
    pub fn payload(&self) -> Option<Vec<u8>> {
        STANDARD.decode(&self.payload).ok()
    }

    /// Whether a key has signed this payload with its type.
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        let Some(payload) = self.payload() else { return false };
        let bytes = authenticated(&self.payload_type, &payload);
        let signatures = self.signatures.iter().filter_map(|one| STANDARD.decode(&one.sig).ok());
        signatures.filter_map(|sig| Signature::from_bytes(&sig).ok()).any(|sig| key.has_signed(&bytes, &sig))
    }
}

/// The bytes to sign.
pub fn authenticated(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example from the protocol's specification.
    #[test]
    fn what_is_signed_is_bound_to_its_type() {
        let signed = authenticated("http://example.com/HelloWorld", b"hello world");
        assert_eq!(signed, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }
}
