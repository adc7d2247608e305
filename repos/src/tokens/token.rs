//! The text of a token.

use std::fmt;
use std::str::FromStr;

use specs::Digest;

use crate::base::hash::digest_of;

/// What every token begins with, so that scanners for secrets recognise one.
const PREFIX: &str = "pv_";
/// Digits of 32 random bytes in base 62.
const DIGITS: usize = 43;
/// Digits of the checksum.
const CHECK_DIGITS: usize = 6;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A token. Whoever has its text has its rights, so it is never printed by accident.
///
/// Shape: `pv_`, 32 random bytes as 43 digits in base 62, then the CRC-32 of these digits as 6 digits in base 62. The checksum only tells
/// a typing error from a token that is not valid (any more).
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// Why a text is not a token. It never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It has another shape.
    #[error("this is not a token: a token is `pv_` and 49 letters and digits")]
    Shape,
    /// The checksum does not match.
    #[error("this token is mistyped or cut off: its checksum does not match")]
    Checksum,
}

impl Token {
    /// A new token.
    pub fn random() -> Self {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        Self::of(&bytes)
    }

    fn of(bytes: &[u8; 32]) -> Self {
        let digits = base62(bytes, DIGITS);
        let check = checksum(&digits);
        Self(format!("{PREFIX}{digits}{check}"))
    }

    /// The text, for the one who may have it.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// SHA-256 of the text: all that is stored.
    pub fn digest(&self) -> Digest {
        digest_of(self.0.as_bytes())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let rest = text.strip_prefix(PREFIX).ok_or(TokenError::Shape)?;
        if rest.len() != DIGITS + CHECK_DIGITS || !rest.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(TokenError::Shape);
        }
        let (digits, check) = rest.split_at(DIGITS);
        if checksum(digits) == check { Ok(Self(text.to_owned())) } else { Err(TokenError::Checksum) }
    }
}

/// The CRC-32 of a text, in base 62.
fn checksum(text: &str) -> String {
    let mut crc = flate2::Crc::new();
    crc.update(text.as_bytes());
    base62(&crc.sum().to_be_bytes(), CHECK_DIGITS)
}

/// A big-endian number in base 62, with leading zeros.
fn base62(bytes: &[u8], digits: usize) -> String {
    let mut number = bytes.to_vec();
    let mut text = vec![0; digits];
    for place in text.iter_mut().rev() {
        let mut rest = 0_u32;
        for byte in &mut number {
            let value = (rest << 8) | u32::from(*byte);
            *byte = (value / 62) as u8;
            rest = value % 62;
        }
        *place = ALPHABET[rest as usize];
    }
    text.into_iter().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_token_has_one_fixed_form() {
        // Computed with Python: int.from_bytes(bytes) in base 62, zlib.crc32 of the digits in base 62.
        let zero = Token::of(&[0; 32]);
        assert_eq!(zero.text(), "pv_00000000000000000000000000000000000000000002CZclj");
        assert_eq!(Token::of(&[255; 32]).text(), "pv_yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp13sRzl1");
        assert_eq!(zero.text().len(), 52);
    }

    #[test]
    fn a_token_is_never_printed_by_accident() {
        let token = Token::random();
        assert_eq!(format!("{token:?}"), "Token(…)");
        assert_ne!(token, Token::random());
        let cut = &token.text()[..51];
        assert!(!cut.parse::<Token>().unwrap_err().to_string().contains(&cut[3..]));
    }

    #[test]
    fn other_texts_are_no_tokens() {
        let text = Token::of(&[7; 32]).text().to_owned();
        for bad in ["", "pv_", &text[3..], &text[..51], &format!("{text}0"), &format!("gh{}", &text[2..]), "pv_é"] {
            assert_eq!(bad.parse::<Token>(), Err(TokenError::Shape), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_token_parses_back_and_a_wrong_letter_is_noticed(bytes: [u8; 32], at in 3_usize..52, by in 1_usize..62) {
            let token = Token::of(&bytes);
            prop_assert_eq!(token.text().parse::<Token>().unwrap(), token.clone());
            let mut text = token.text().as_bytes().to_vec();
            let digit = ALPHABET.iter().position(|digit| *digit == text[at]).unwrap();
            text[at] = ALPHABET[(digit + by) % 62];
            let text = String::from_utf8(text).unwrap();
            prop_assert_eq!(text.parse::<Token>(), Err(TokenError::Checksum));
        }
    }
}
