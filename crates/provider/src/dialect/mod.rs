//! What providers speak, without I/O.

pub(crate) mod openai;
