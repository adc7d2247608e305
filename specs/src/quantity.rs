//! Amounts of a resource as Kubernetes writes them: `500m` cores, `64M`, `1.5Gi`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::digest::serde_as_text;

/// The suffixes with their multipliers in thousandths. Longer ones first.
const SUFFIXES: [(&str, u128); 14] = [
    ("Ki", 1000 << 10),
    ("Mi", 1000 << 20),
    ("Gi", 1000 << 30),
    ("Ti", 1000 << 40),
    ("Pi", 1000 << 50),
    ("m", 1),
    ("k", 1_000_000),
    ("K", 1_000_000),
    ("M", 1_000_000_000),
    ("G", 1_000_000_000_000),
    ("T", 1_000_000_000_000_000),
    ("P", 1_000_000_000_000_000_000),
    ("", 1000),
    ("B", 1000),
];

/// An amount with a precision of a thousandth, such as `500m`, `64M` or `1.5Gi`; a trailing `B` is ignored. Numbers may be written in any
/// form that YAML and Kubernetes accept (`.5`, `1e3`), and are normalized. After that, quantities with equal text are equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantity {
    text: String,
    thousandths: u64,
}

/// Why a text is not a quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not an amount: write a number, alone or with one of `m k M G T P Ki Mi Gi Ti Pi`", .text.escape_debug())]
pub struct QuantityError {
    /// The text.
    pub text: String,
}

impl Quantity {
    /// The amount in thousandths: of a core, or of a byte.
    pub const fn thousandths(&self) -> u64 {
        self.thousandths
    }

    /// The amount in whole units, rounded up: bytes.
    pub const fn whole(&self) -> u64 {
        self.thousandths.div_ceil(1000)
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;
    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let refused = || QuantityError { text: text.to_owned() };
        let plain = plain(text).ok_or_else(refused)?;
        let thousandths = thousandths(&plain).ok_or_else(refused)?;
        Ok(Self { text: plain.into_owned(), thousandths })
    }
}

/// Parses a number, with digits on both sides of any decimal point, and a suffix; the result is in thousandths.
fn thousandths(text: &str) -> Option<u64> {
    let (number, suffix) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len()));
    let suffix = suffix.strip_suffix('B').unwrap_or(suffix);
    let (_, unit) = SUFFIXES.iter().find(|(name, _)| *name == suffix)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if fraction.is_empty() || fraction.len() > 9 || !(whole.to_owned() + fraction).bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let number = whole.parse::<u64>().ok().map(u128::from)? * scale + fraction.parse::<u128>().ok()?;
    u64::try_from((number.checked_mul(*unit)?).div_ceil(scale)).ok()
}

/// The normal form: `0.5` for `.5`, `5` for `5.` and `+5`, `1000` for `1e3`; `None` if it is not a number.
fn plain(text: &str) -> Option<Cow<'_, str>> {
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    let end = unsigned.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    if let Some(power) = suffix.strip_prefix(['e', 'E']).filter(|power| !power.is_empty() && *power != "i") {
        return shifted(number, power.parse().ok()?).map(Cow::Owned);
    }
    let (whole, fraction) = match number.split_once('.') {
        Some(("", "")) => return None,
        Some((whole, fraction)) => (if whole.is_empty() { "0" } else { whole }, Some(fraction)),
        None => (number, None),
    };
    Some(match fraction.filter(|fraction| !fraction.is_empty()) {
        _ if unsigned == text && fraction.is_none() => Cow::Borrowed(text),
        Some(fraction) => Cow::Owned(format!("{whole}.{fraction}{suffix}")),
        None => Cow::Owned(format!("{whole}{suffix}")),
    })
}

/// Multiplies a number by a power of ten, without exponent notation.
fn shifted(number: &str, power: i32) -> Option<String> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || digits.len() > 30 || power.unsigned_abs() > 30 {
        return None;
    }
    let point = i32::try_from(whole.len()).ok()? + power;
    let padded = format!("{}{digits}", "0".repeat(usize::try_from(-point).unwrap_or(0)));
    let point = usize::try_from(point).unwrap_or(0);
    let padded = format!("{padded:0<point$}");
    let (whole, fraction) = padded.split_at(point);
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") })
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}
serde_as_text!(Quantity);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_mean_what_kubernetes_means_by_them() {
        let amount = |text: &str| text.parse::<Quantity>().ok().map(|amount| amount.thousandths());
        for (text, thousandths) in [
            ("1", 1000),
            ("0.5", 500),
            ("500m", 500),
            ("0.1", 100),
            ("64M", 64_000_000_000),
            ("1.5Gi", 1_610_612_736_000),
            ("100MB", 100_000_000_000),
            ("0", 0),
            (".5", 500),
            ("1.", 1000),
            ("+2", 2000),
            (".5Gi", 536_870_912_000),
            ("1e3", 1_000_000),
            ("1.5E2", 150_000),
            ("25e-2", 250),
        ] {
            assert_eq!(amount(text), Some(thousandths), "{text}");
        }
        for (text, kept) in
            [(".5", "0.5"), ("1.", "1"), ("+2", "2"), ("1e3", "1000"), ("25e-2", "0.25"), ("0.50", "0.50")]
        {
            assert_eq!(text.parse::<Quantity>().unwrap().to_string(), kept);
        }
        for text in ["", "-1", "1X", "Gi", ".", ".Gi", "+", "1e", "e3", "1e99", "1e3Gi", "99999999P", "1 G"] {
            assert_eq!(amount(text), None, "{text}");
        }
        assert_eq!("1m".parse::<Quantity>().unwrap().whole(), 1);
    }
}
