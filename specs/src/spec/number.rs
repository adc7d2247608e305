//! Whole numbers as YAML and JSON write them.

/// A whole number as in unquoted YAML: decimal, `0x1f`, `0o17`, `017`, `0b101`, with a sign and with `_` between digits.
pub(super) fn of_yaml(text: &str) -> Option<i64> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.starts_with('_') {
        return None;
    }
    let digits = digits.replace('_', "");
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits.as_str()),
    };
    if !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let number = i64::from_str_radix(digits, radix).ok()?;
    Some(if is_negative { -number } else { number })
}

/// A whole number in JSON, which may have a zero fraction or a power of ten: `3`, `3.0`, `3e1`.
pub(super) fn of_json(text: &str) -> Option<i64> {
    let (number, power) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let power: u32 = power.strip_prefix('+').unwrap_or(power).parse().ok()?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let is_whole = !fraction.is_empty() && fraction.bytes().all(|digit| digit == b'0');
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    if !is_whole || digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    whole.parse::<i64>().ok()?.checked_mul(10_i64.checked_pow(power)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_read_as_pachyderm_reads_them() {
        for (text, number) in [
            ("0", 0),
            ("7", 7),
            ("+7", 7),
            ("-7", -7),
            ("1_000", 1000),
            ("0x1F", 31),
            ("0o17", 15),
            ("017", 15),
            ("0b101", 5),
        ] {
            assert_eq!(of_yaml(text), Some(number), "{text}");
        }
        for text in ["", "-", "08", "_1", "0x", "1.0", "ten", "99999999999999999999"] {
            assert_eq!(of_yaml(text), None, "{text}");
        }
        for (text, number) in [("3", 3), ("-3", -3), ("3.0", 3), ("3e1", 30), ("3.00E+2", 300), ("007", 7)] {
            assert_eq!(of_json(text), Some(number), "{text}");
        }
        for text in ["", "3.5", "3.", ".0", "e3", "3e-1", "1e99", "1_000", "+3"] {
            assert_eq!(of_json(text), None, "{text}");
        }
    }
}
