//! Images, documents, sound and film, as Converse takes them: a format, and the bytes in base64 or
//! an object in S3. It fetches nothing from anywhere else.

use serde_json::Value;
use ziggurat_core::Error;

use super::messages::block;
use crate::chat::{Media, unsupported};

/// What kind of block a part becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Image,
    Document,
    Audio,
    Video,
}

/// Formats: what a file is called, and what its content type is.
const IMAGES: &[(&str, &str)] = &[
    ("png", "image/png"),
    ("jpeg", "image/jpeg"),
    ("jpeg", "image/jpg"),
    ("jpg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
];
const DOCUMENTS: &[(&str, &str)] = &[
    ("pdf", "application/pdf"),
    ("csv", "text/csv"),
    ("doc", "application/msword"),
    (
        "docx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ),
    ("xls", "application/vnd.ms-excel"),
    (
        "xlsx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ),
    ("html", "text/html"),
    ("md", "text/markdown"),
    ("md", "text/x-markdown"),
    ("txt", "text/plain"),
    ("txt", "application/json"),
];
const VIDEOS: &[(&str, &str)] = &[
    ("mp4", "video/mp4"),
    ("mov", "video/quicktime"),
    ("mkv", "video/x-matroska"),
    ("webm", "video/webm"),
    ("flv", "video/x-flv"),
    ("mpeg", "video/mpeg"),
    ("wmv", "video/x-ms-wmv"),
    ("three_gp", "video/3gpp"),
];

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Document => "document",
            Self::Audio => "audio",
            Self::Video => "video",
        }
    }

    fn formats(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Image => IMAGES,
            Self::Document => DOCUMENTS,
            Self::Audio => &[],
            Self::Video => VIDEOS,
        }
    }

    /// The kind of a file of that content type.
    pub(super) fn of_mime(mime: &str) -> Self {
        match mime.split('/').next() {
            Some("image") => Self::Image,
            Some("video") => Self::Video,
            _ => Self::Document,
        }
    }

    fn by_mime(self, mime: &str) -> Option<&'static str> {
        let mime = mime.to_ascii_lowercase();
        let mut formats = self.formats().iter();
        formats
            .find(|(_, known)| *known == mime)
            .map(|(format, _)| *format)
    }

    fn by_name(self, name: &str) -> Option<&'static str> {
        let (_, ending) = name.rsplit_once('.')?;
        let mut formats = self.formats().iter();
        let (format, mime) = formats.find(|(known, _)| known.eq_ignore_ascii_case(ending))?;
        self.by_mime(mime).or(Some(*format))
    }
}

/// The block of a part; `name` is what a file is called, if it is called anything. `at` is its place
/// in the request.
///
/// # Errors
///
/// A refusal if its format is none that Bedrock takes, or it is somewhere else.
pub(super) fn write(
    kind: Kind,
    media: Media,
    name: Option<&str>,
    at: &str,
) -> Result<Value, Error> {
    let word = kind.word();
    let (format, source) = match media {
        Media::Data { mime, data } => {
            let format = kind.by_mime(&mime);
            let format = format.or_else(|| kind.by_name(name?));
            (format, block("bytes", data))
        }
        Media::Url(uri) | Media::Id(uri) if uri.starts_with("s3://") => {
            let format = kind.by_name(&uri);
            (format, block("s3Location", block("uri", uri)))
        }
        Media::Url(_) => {
            let message = format!(
                "`{at}`: Bedrock fetches no {word} from the web, send it as a data URL in base64"
            );
            return Err(unfit(at, message));
        }
        Media::Id(_) => {
            let message = format!("`{at}`: Bedrock keeps no files, send the {word} in base64");
            return Err(unfit(at, message));
        }
    };
    let Some(format) = format else {
        let message = format!("`{at}`: Bedrock takes no {word} of this type");
        return Err(unfit(at, message));
    };
    Ok(of_format(kind, format, source))
}

/// The block of a sound in base64.
pub(super) fn audio(data: String, format: &str) -> Value {
    of_format(Kind::Audio, format, block("bytes", data))
}

fn of_format(kind: Kind, format: &str, source: Value) -> Value {
    let mut media = block("format", format);
    media["source"] = source;
    block(kind.word(), media)
}

fn unfit(at: &str, message: String) -> Error {
    unsupported::content(at, message)
}

/// Names for documents: of the characters that Bedrock takes, and each only once.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<String>);

impl Names {
    /// The name for a file that is called so.
    pub(super) fn name(&mut self, called: Option<&str>) -> String {
        const LONGEST: usize = 180;
        let called = called.unwrap_or_default();
        let stem = called.rsplit_once('.').map_or(called, |(stem, _)| stem);
        let fits = |c: char| c.is_ascii_alphanumeric() || "-()[]".contains(c);
        let words = stem.split(|c| !fits(c)).filter(|word| !word.is_empty());
        let mut name = words.collect::<Vec<_>>().join(" ");
        name.truncate(LONGEST);
        if name.is_empty() {
            name.push_str("document");
        }
        if self.0.contains(&name) {
            name = format!("{name} ({})", self.0.len() + 1);
        }
        self.0.push(name.clone());
        name
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use ziggurat_core::ErrorKind;

    use super::*;

    fn data(mime: &str) -> Media {
        Media::of(format!("data:{mime};base64,AAAA"))
    }

    #[test]
    fn the_format_is_that_of_the_type_or_else_of_the_name() {
        for (kind, media, name, expected) in [
            (Kind::Image, data("image/jpg"), None, "jpeg"),
            (Kind::Image, data("IMAGE/PNG"), None, "png"),
            (
                Kind::Document,
                data("application/pdf"),
                Some("a.txt"),
                "pdf",
            ),
            (
                Kind::Document,
                data("application/octet-stream"),
                Some("a.b.XLSX"),
                "xlsx",
            ),
            (Kind::Video, data("video/quicktime"), None, "mov"),
        ] {
            let block = write(kind, media, name, "x").expect("is taken");
            assert_eq!(block[kind.word()]["format"], expected);
            assert_eq!(block[kind.word()]["source"], json!({"bytes": "AAAA"}));
        }
        let s3 = Media::of("s3://bucket/a.JPG".to_owned());
        let expected =
            json!({"format": "jpeg", "source": {"s3Location": {"uri": "s3://bucket/a.JPG"}}});
        assert_eq!(
            write(Kind::Image, s3, None, "x").expect("is taken"),
            json!({ "image": expected })
        );
    }

    #[test]
    fn what_bedrock_cannot_take_is_refused_and_says_why() {
        let url = |url: &str| Media::of(url.to_owned());
        for (kind, media, word) in [
            (Kind::Image, url("https://x/y.png"), "from the web"),
            (
                Kind::Document,
                Media::Id("file-1".to_owned()),
                "keeps no files",
            ),
            (Kind::Image, data("image/tiff"), "of this type"),
            (Kind::Document, data("application/zip"), "of this type"),
            (Kind::Image, url("s3://bucket/a"), "of this type"),
        ] {
            let error = write(kind, media, None, "messages[0].content[1]").expect_err("is not");
            assert!(error.message().contains(word), "{error}");
            assert_eq!(
                (error.kind(), error.param()),
                (ErrorKind::Rejected, Some("messages[0].content[1]"))
            );
        }
    }

    #[test]
    fn names_of_documents_are_plain_and_differ() {
        let mut names = Names::default();
        let made = [
            Some("Q3_report  (final).v2.pdf"),
            Some("Q3/report (final) v2.txt"),
            Some("ü.md"),
            None,
            None,
        ]
        .map(|called| names.name(called));
        assert_eq!(
            made,
            [
                "Q3 report (final) v2",
                "Q3 report (final) v2 (2)",
                "document",
                "document (4)",
                "document (5)"
            ]
        );
        assert_eq!(names.name(Some(&"x".repeat(500))).len(), 180);
    }
}
