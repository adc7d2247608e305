//! Human-readable counts, sizes and times.

/// A number with a comma after each thousand: `2,113,502`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

/// A count with its noun: `1 file`, `2 files`.
pub fn plural(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// Bytes in a suitable unit: `612 B`, `15 kB`, `9.0 GB`.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if value < 9.95 { format!("{value:.1} {}", UNITS[unit]) } else { format!("{value:.0} {}", UNITS[unit]) }
}

/// Bytes exactly, in the largest unit that fits: `4 GiB`, `1536 bytes`.
pub fn exact_size(bytes: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let fits = units.iter().find(|(_, shift)| bytes > 0 && bytes.is_multiple_of(1 << shift));
    fits.map_or_else(|| format!("{bytes} bytes"), |(unit, shift)| format!("{} {unit}", bytes >> shift))
}

/// A duration in seconds: `0.02 s`, `1.1 s`, `41 s`, `7 min 02 s`, `2 h 05 min`.
#[expect(clippy::cast_sign_loss, reason = "it is not negative")]
pub fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    match whole {
        0 if seconds < 0.095 => format!("{:.2} s", seconds.max(0.0)),
        0..10 => format!("{seconds:.1} s"),
        10..60 => format!("{seconds:.0} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped() {
        let counts = [0, 7, 999, 1000, 10_000, 2_113_502].map(count);
        assert_eq!(counts, ["0", "7", "999", "1,000", "10,000", "2,113,502"]);
        assert_eq!(count(u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!([plural(1, "file", "files"), plural(0, "file", "files")], ["1 file", "0 files"]);
    }

    #[test]
    fn sizes_have_two_or_three_digits() {
        let cases = [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (15_400, "15 kB"),
            (999_600, "1.0 MB"),
            (9_050_000_000, "9.1 GB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(size(u64::MAX), "18 EB");
    }

    #[test]
    fn exact_sizes_lose_no_byte() {
        for (bytes, expected) in
            [(64 << 20, "64 MiB"), (3 << 30, "3 GiB"), (1536, "1536 bytes"), (64_000_000, "62500 KiB"), (0, "0 bytes")]
        {
            assert_eq!(exact_size(bytes), expected);
        }
    }

    #[test]
    fn durations_are_told_in_two_units_at_most() {
        let cases = [
            (0.021, "0.02 s"),
            (0.4, "0.4 s"),
            (9.94, "9.9 s"),
            (41.2, "41 s"),
            (422.0, "7 min 02 s"),
            (7_530.0, "2 h 05 min"),
        ];
        for (seconds, text) in cases {
            assert_eq!(duration(seconds), text);
        }
    }
}
