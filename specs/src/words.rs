//! Human-readable counts.

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
}
