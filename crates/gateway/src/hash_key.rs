//! `ziggurat hash-key`.

use std::io::{self, IsTerminal as _, Read as _};

use ring::rand::{SecureRandom as _, SystemRandom};
use ziggurat::config::KeyHash;

use crate::cli::HashKey;

/// The longest key that is read, in bytes.
const LONGEST: u64 = 4096;

pub(crate) fn run(args: &HashKey) -> Result<(), String> {
    if args.generate {
        let key = generate()?;
        println!("key:  {key}");
        println!("hash: {}", KeyHash::of(key.as_bytes()).reveal());
        return Ok(());
    }
    if io::stdin().is_terminal() {
        eprintln!("the key, then Enter and Ctrl-D:");
    }
    let mut key = String::new();
    let read = io::stdin().take(LONGEST + 1).read_to_string(&mut key);
    read.map_err(|error| format!("the standard input cannot be read: {error}"))?;
    let key = key.trim_ascii();
    if key.is_empty() || key.len() as u64 > LONGEST {
        return Err(format!(
            "a key is 1 to {LONGEST} bytes; send it to the standard input"
        ));
    }
    println!("{}", KeyHash::of(key.as_bytes()).reveal());
    Ok(())
}

/// A key of 192 random bits.
fn generate() -> Result<String, String> {
    let mut bytes = [0; 24];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| "the system has no random numbers".to_owned())?;
    let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
    Ok(digits.fold("sk-".to_owned(), |key, digits| key + &digits))
}
