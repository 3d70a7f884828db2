//! What is kept of a key.

use std::fmt;

use ring::digest::{SHA256, digest};

/// The SHA-256 of a caller's key: all that is kept of it.
///
/// There is no salt, so that a key is found by one look-up: keys are to be random and long, as those
/// that `ziggurat hash-key --generate` makes. It cannot be formatted by accident.
///
/// ```
/// use ziggurat_config::KeyHash;
///
/// let hash = KeyHash::of(b"sk-abc");
/// assert_eq!(KeyHash::parse(&hash.reveal()), Some(hash));
/// assert_eq!(format!("{hash:?}"), "KeyHash");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash([u8; 32]);

const PREFIX: &str = "sha256:";

impl KeyHash {
    /// The hash of a key.
    #[must_use]
    pub fn of(key: &[u8]) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, key).as_ref());
        Self(hash)
    }

    /// Reads `sha256:` and 64 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(PREFIX)?.as_bytes();
        let mut hash = [0; 32];
        if digits.len() != 2 * hash.len() {
            return None;
        }
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |at: usize| char::from(pair[at]).to_digit(16);
            *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
        }
        Some(Self(hash))
    }

    /// The text that [`parse`](Self::parse) reads, for the file of whoever made the key.
    #[must_use]
    pub fn reveal(&self) -> String {
        let digits = self.0.iter().map(|byte| format!("{byte:02x}"));
        digits.fold(PREFIX.to_owned(), |text, digits| text + &digits)
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_sha_256_of_the_key() {
        // The example of FIPS 180-4.
        let digits = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let text = format!("sha256:{digits}");
        assert_eq!(KeyHash::of(b"abc").reveal(), text);
        let upper = format!("sha256:{}", digits.to_uppercase());
        assert_eq!(KeyHash::parse(&upper), Some(KeyHash::of(b"abc")));
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        let digits = "0".repeat(64);
        for text in [
            digits.clone(),
            format!("sha256:{digits}0"),
            format!("sha256:{}", &digits[1..]),
            format!("sha256:{}g", &digits[1..]),
            format!("sha256:{}+f", &digits[2..]),
            format!("sha256:{}é", &digits[2..]),
            format!("SHA256:{digits}"),
            "sha256:".to_owned(),
            String::new(),
        ] {
            assert_eq!(KeyHash::parse(&text), None, "{text}");
        }
    }
}
