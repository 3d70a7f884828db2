//! Builds a form with files.

use std::{
    fmt,
    hash::{BuildHasher as _, RandomState},
};

use bytes::Bytes;
use ziggurat_core::{Error, LlmRequest, Operation, ReadOptions};

/// A form, `multipart/form-data`, for the operations that take files.
///
/// ```
/// use ziggurat::{Operation, client::Form};
///
/// let form = Form::new("whisper")
///     .file("file", "talk.wav", &b"RIFF"[..])
///     .field("language", "en");
/// let request = form.to_request(Operation::Transcription)?;
/// assert_eq!(request.group().as_str(), "whisper");
/// # Ok::<(), ziggurat::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Form {
    parts: Vec<Part>,
}

#[derive(Clone)]
struct Part {
    name: String,
    file_name: Option<String>,
    value: Bytes,
}

impl Form {
    /// A form for that model group.
    #[must_use]
    pub fn new(model: &str) -> Self {
        Self { parts: Vec::new() }.field("model", model)
    }

    /// Adds a field with a text.
    #[must_use]
    pub fn field(self, name: &str, text: impl Into<String>) -> Self {
        self.part(name, None, Bytes::from(text.into()))
    }

    /// Adds a file. From the end of its name providers tell what it is.
    #[must_use]
    pub fn file(self, name: &str, file_name: &str, bytes: impl Into<Bytes>) -> Self {
        self.part(name, Some(file_name.to_owned()), bytes.into())
    }

    fn part(mut self, name: &str, file_name: Option<String>, value: Bytes) -> Self {
        self.parts.push(Part {
            name: name.to_owned(),
            file_name,
            value,
        });
        self
    }

    /// The request that sends it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadRequest`](ziggurat_core::ErrorKind::BadRequest), saying what and where, as
    /// [`LlmRequest::read_multipart`].
    pub fn to_request(&self, operation: Operation) -> Result<LlmRequest, Error> {
        // Nobody who writes a file can know it.
        let random = || RandomState::new().hash_one(0);
        let boundary = format!("form-{:016x}{:016x}", random(), random());
        let length: usize = self.parts.iter().map(|part| part.value.len() + 256).sum();
        let mut body = Vec::with_capacity(length);
        for part in &self.parts {
            let name = quoted(&part.name);
            let head = match &part.file_name {
                None => format!(
                    "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n"
                ),
                Some(file) => format!(
                    "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{}\"\r\n\
                     Content-Type: application/octet-stream\r\n\r\n",
                    quoted(file)
                ),
            };
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(&part.value);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        let content_type = format!("multipart/form-data; boundary={boundary}");
        LlmRequest::read_multipart(operation, body, &content_type, ReadOptions::new())
    }
}

impl fmt::Debug for Part {
    /// Shows no file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part")
            .field("name", &self.name)
            .field("file_name", &self.file_name)
            .field("bytes", &self.value.len())
            .finish()
    }
}

/// A name as forms of HTML write it; control characters and backslashes are for no name.
fn quoted(name: &str) -> String {
    let written = |c: char| match c {
        '"' => "%22".to_owned(),
        '\\' => "%5C".to_owned(),
        c if c.is_control() => "_".to_owned(),
        c => c.to_string(),
    };
    name.chars().map(written).collect()
}
