//! Numbers as written, compared exactly: `1`, `1.0` and `10e-1` are equal, 2^64 and 2^64 + 1 are not.

use std::cmp::Ordering;

/// Maximum number of digits for an exact difference; for longer numbers their floats are subtracted.
const DIGITS: i64 = 38;

/// A number exactly: digits × 10^exponent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Exact {
    /// NaN; equal to itself here, so that a value that stays NaN has not changed.
    Nan,
    /// Infinity; whether it is negative.
    Infinite(bool),
    /// Digits without zeros at either end; empty for zero, which has neither sign nor exponent.
    Finite { negative: bool, digits: Box<str>, exponent: i64 },
}

impl Exact {
    /// Parses `NaN`, `Infinity`, `-Infinity` or a JSON number; `None` for everything else, and for exponents out of range.
    ///
    /// A text with leading zeros (`007`) or a leading `+` is not a number.
    pub(crate) fn of(text: &str) -> Option<Self> {
        match text {
            "NaN" => return Some(Self::Nan),
            "Infinity" => return Some(Self::Infinite(false)),
            "-Infinity" => return Some(Self::Infinite(true)),
            _ => {}
        }
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let whole = unsigned.bytes().take_while(u8::is_ascii_digit).count();
        if whole == 0 || whole > 1 && unsigned.starts_with('0') {
            return None;
        }
        let (whole, rest) = unsigned.split_at(whole);
        let (fraction, rest) = match rest.strip_prefix('.') {
            Some(rest) => rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count()),
            None => ("", rest),
        };
        let has_point = unsigned.len() > whole.len() && unsigned.as_bytes()[whole.len()] == b'.';
        if has_point && fraction.is_empty() {
            return None;
        }
        let exponent = if rest.is_empty() { 0 } else { exponent(rest.strip_prefix(['e', 'E'])?)? };
        Some(Self::finite(text.len() > unsigned.len(), whole, fraction, exponent))
    }

    fn finite(negative: bool, whole: &str, fraction: &str, exponent: i64) -> Self {
        let digits = [whole, fraction].concat();
        let digits = digits.trim_start_matches('0');
        let short = digits.trim_end_matches('0');
        if short.is_empty() {
            return Self::Finite { negative: false, digits: "".into(), exponent: 0 };
        }
        let exponent = exponent - length(fraction) + length(digits) - length(short);
        Self::Finite { negative, digits: short.into(), exponent }
    }

    /// The canonical form: equal numbers have equal texts.
    pub(crate) fn canonical(&self) -> String {
        match self {
            Self::Nan => "NaN".to_owned(),
            Self::Infinite(negative) => if *negative { "-Infinity" } else { "Infinity" }.to_owned(),
            Self::Finite { digits, .. } if digits.is_empty() => "0".to_owned(),
            Self::Finite { negative, digits, exponent } => {
                format!("{}{digits}e{exponent}", if *negative { "-" } else { "" })
            }
        }
    }

    /// The usual notation: `1`, `0.25`; with an exponent if that would be long.
    pub(crate) fn plain(&self) -> String {
        let Self::Finite { negative, digits, exponent } = self else { return self.canonical() };
        let sign = if *negative { "-" } else { "" };
        let length = length(digits);
        match *exponent {
            _ if digits.is_empty() => "0".to_owned(),
            zeros @ 0..=40 => format!("{sign}{digits}{}", "0".repeat(zeros as usize)),
            exponent if exponent < 0 && length + exponent > 0 => {
                let (whole, fraction) = digits.split_at((length + exponent) as usize);
                format!("{sign}{whole}.{fraction}")
            }
            exponent @ -20..0 => format!("{sign}0.{}{digits}", "0".repeat((-exponent - length) as usize)),
            _ => self.canonical(),
        }
    }

    /// Whether it is an integer.
    pub(crate) fn is_whole(&self) -> bool {
        matches!(self, Self::Finite { exponent, .. } if *exponent >= 0)
    }

    /// The nearest float.
    pub(crate) fn float(&self) -> f64 {
        match self {
            Self::Nan => f64::NAN,
            Self::Infinite(negative) => {
                if *negative {
                    f64::NEG_INFINITY
                } else {
                    f64::INFINITY
                }
            }
            Self::Finite { .. } => self.canonical().parse().unwrap_or(f64::NAN),
        }
    }

    /// `new` minus `old`, computed exactly and then rounded to a float; `None` if the result is not finite, or rounds to 0 without being 0.
    pub(crate) fn difference(old: &Self, new: &Self) -> Option<f64> {
        let (Self::Finite { exponent: one, .. }, Self::Finite { exponent: other, .. }) = (old, new) else {
            return None;
        };
        let scale = *one.min(other);
        let difference = match (old.scaled(scale), new.scaled(scale)) {
            (Some(old), Some(new)) => format!("{}e{scale}", new.checked_sub(old)?).parse().ok()?,
            _ => new.float() - old.float(),
        };
        let is_lost = difference == 0.0 && old != new;
        (difference.is_finite() && !is_lost).then_some(difference)
    }

    /// The number as a multiple of 10^scale, where `scale` is at most its exponent; `None` if that has too many digits.
    fn scaled(&self, scale: i64) -> Option<i128> {
        let Self::Finite { negative, digits, exponent } = self else { return None };
        let zeros = exponent.checked_sub(scale)?;
        if digits.is_empty() {
            return Some(0);
        }
        if length(digits).checked_add(zeros)? > DIGITS {
            return None;
        }
        let sign = if *negative { "-" } else { "" };
        format!("{sign}{digits}{}", "0".repeat(zeros as usize)).parse().ok()
    }

    /// The JSON number for it, if every JSON reader understands it the same way; `None` if floats would round it.
    pub(crate) fn json(&self, text: &str) -> Option<serde_json::Number> {
        let Self::Finite { .. } = self else { return None };
        if let Ok(integer) = text.parse::<i64>() {
            return Some(integer.into());
        }
        if let Ok(integer) = text.parse::<u64>() {
            return Some(integer.into());
        }
        let number = serde_json::Number::from_f64(self.float())?;
        (Self::of(&number.to_string()).as_ref() == Some(self)).then_some(number)
    }
}

/// Length of a text in bytes: no file is too long for the type.
fn length(text: &str) -> i64 {
    i64::try_from(text.len()).unwrap_or(i64::MAX)
}

fn exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_number = !digits.is_empty() && digits.len() <= 15 && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

/// The number in a table cell, if it is one in JSON's notation.
pub(crate) fn of_cell(cell: &[u8]) -> Option<Exact> {
    let starts_so = cell.first().is_some_and(|byte| byte.is_ascii_digit() || *byte == b'-');
    if !starts_so || cell.len() > 400 {
        return None;
    }
    Exact::of(std::str::from_utf8(cell).ok()?).filter(|number| matches!(number, Exact::Finite { .. }))
}

/// Whether a text beyond the range of floats is written as a float: with a decimal point or an exponent.
pub(crate) fn is_beyond_floats(text: &str, number: &Exact) -> bool {
    text.contains(['.', 'e', 'E']) && matches!(number, Exact::Finite { .. }) && number.float().is_infinite()
}

impl PartialOrd for Exact {
    /// By size, for numbers that have one.
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        if self == other { Some(Ordering::Equal) } else { self.float().partial_cmp(&other.float()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> Option<String> {
        Exact::of(text).map(|number| number.canonical())
    }

    #[test]
    fn equal_numbers_have_one_canonical_text() {
        for group in [
            &["1", "1.0", "10e-1", "0.1E+1", "1e0"][..],
            &["0", "-0", "0.0", "-0e5", "0e-9"],
            &["1200", "12e2", "1.2e3"],
        ] {
            assert!(group.iter().all(|text| canonical(text) == canonical(group[0])), "{group:?}");
        }
        let distinct = [
            "18446744073709551616",
            "18446744073709551617",
            "0.1",
            "0.10000000000000001",
            "1",
            "-1",
            "NaN",
            "Infinity",
        ];
        for (at, one) in distinct.iter().enumerate() {
            assert!(distinct[at + 1..].iter().all(|other| canonical(one) != canonical(other)), "{one}");
        }
        assert!(
            ["", "-", "01", "+1", ".5", "5.", "1e", "1e+", "0x1", "1 ", "1_000", "1e9999999999999999"]
                .iter()
                .all(|text| Exact::of(text).is_none())
        );
    }

    #[test]
    fn differences_are_exact_before_they_are_rounded() {
        let difference = |old: &str, new: &str| Exact::difference(&Exact::of(old).unwrap(), &Exact::of(new).unwrap());
        assert_eq!(difference("123456789012345678901234", "123456789012345678901235"), Some(1.0));
        assert_eq!(difference("0.1", "0.3"), Some(0.2));
        assert_eq!(difference("1e300", "1"), Some(-1e300));
        assert_eq!(difference("1e39", "1000000000000000000000000000000000000001"), None, "it rounds to 0 and is not");
        assert_eq!(difference("NaN", "1"), None);
    }

    #[test]
    fn numbers_are_shown_plainly() {
        let shown = |text: &str| Exact::of(text).unwrap().plain();
        assert_eq!(
            ["1.0", "0.250", "-12e2", "1.5e-3", "0", "1e60"].map(shown),
            ["1", "0.25", "-1200", "0.0015", "0", "1e60"]
        );
    }
}
