//! What the fuzz targets run: whatever comes in, these promises hold.
//!
//! Each function takes the bytes of one try, and panics where a promise is broken. The targets in
//! `fuzz/` call them, and so does a test with what they have found worth keeping.

mod answers;
mod errors;
mod events;
mod frames;
mod input;
mod multipart;
mod requests;
mod sse;
mod subject;

#[cfg(test)]
mod replay;

pub use self::{
    answers::answers, errors::errors, events::events, frames::frames, multipart::multipart,
    requests::requests, sse::sse,
};
