//! A canary in the place of every secret: on no way out is it seen, whatever goes wrong, in whatever
//! form.
//!
//! The provider is a small server of its own that repeats all that it was shown: as it is, in base64,
//! as in an address, and cut off; in the body, in headers, and in the middle of a stream.

mod canaries;
mod configuration;
mod deployments;
mod errors;
mod listings;
mod provider;
mod said;
mod streams;
mod tokens;
mod world;
