//! Random numbers from the operating system.

/// 128 random bits.
pub fn bytes() -> [u8; 16] {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// 128 random bits as 32 hex digits.
pub fn hex() -> String {
    specs::RunId::from_bytes(bytes()).to_string()
}
