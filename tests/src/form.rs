//! Bodies with files.

use bytes::Bytes;

/// A `multipart/form-data` body.
#[derive(Clone, Debug, Default)]
pub struct Form(Vec<u8>);

impl Form {
    /// The content type of every form.
    pub const CONTENT_TYPE: &str = "multipart/form-data; boundary=----form-0123456789";

    /// A form without fields.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a text.
    #[must_use]
    pub fn field(self, name: &str, value: &str) -> Self {
        self.part(&format!("name=\"{name}\""), value.as_bytes())
    }

    /// Adds a file.
    #[must_use]
    pub fn file(self, name: &str, bytes: &[u8]) -> Self {
        let head = format!("name=\"{name}\"; filename=\"{name}.bin\"");
        self.part(
            &format!("{head}\r\nContent-Type: application/octet-stream"),
            bytes,
        )
    }

    fn part(mut self, head: &str, value: &[u8]) -> Self {
        let head =
            format!("------form-0123456789\r\nContent-Disposition: form-data; {head}\r\n\r\n");
        self.0.extend_from_slice(head.as_bytes());
        self.0.extend_from_slice(value);
        self.0.extend_from_slice(b"\r\n");
        self
    }

    /// The body.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        [&self.0[..], b"------form-0123456789--\r\n"]
            .concat()
            .into()
    }
}
