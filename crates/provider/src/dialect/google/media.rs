//! Images, audio and files, here or elsewhere.

use serde_json::{Value, json};
use ziggurat_core::Error;

use super::{Host, object};
use crate::chat::{Media, unsupported};

/// Where AI Studio keeps the files that were given to it.
const FILES: &str = "https://generativelanguage.googleapis.com/";
/// What AI Studio fetches from elsewhere.
const FETCHED: &[&str] = &[
    FILES,
    "gs://",
    "https://www.youtube.com/",
    "https://youtube.com/",
    "https://youtu.be/",
];

/// The part that shows a medium; `usual` is its type if nothing tells it.
///
/// # Errors
///
/// A refusal if the host does not get at it.
pub(super) fn part(media: Media, usual: &str, host: Host) -> Result<Value, Error> {
    match media {
        Media::Data { mime, data } => {
            let mime = if mime.is_empty() { usual } else { &mime };
            Ok(inline(mime, data))
        }
        Media::Id(id) if id.starts_with("files/") => {
            Ok(json!({"fileData": {"fileUri": format!("{FILES}v1beta/{id}")}}))
        }
        Media::Id(address) | Media::Url(address) => elsewhere(&address, usual, host),
    }
}

/// A part that holds the medium itself.
pub(super) fn inline(mime: &str, data: String) -> Value {
    let data = object([("mimeType", mime.into()), ("data", data.into())]);
    object([("inlineData", data)])
}

fn elsewhere(address: &str, usual: &str, host: Host) -> Result<Value, Error> {
    let fetches = |prefix: &&str| address.starts_with(*prefix);
    let is_web = ["http://", "https://", "gs://"].iter().any(fetches);
    let refused = match host {
        _ if !is_web => "an image or a file is neither data in base64 nor an address",
        Host::Studio if !FETCHED.iter().any(fetches) => {
            "the provider fetches no images or files from the web: send them as `data:` in base64"
        }
        _ => {
            let mut file = json!({"fileUri": address});
            if !address.starts_with(FILES) {
                file["mimeType"] = by_ending(address).unwrap_or(usual).into();
            }
            return Ok(json!({ "fileData": file }));
        }
    };
    Err(unsupported::content("messages", refused))
}

/// The type that the end of an address tells.
fn by_ending(address: &str) -> Option<&'static str> {
    if address.contains("youtube.com/") || address.contains("youtu.be/") {
        return Some("video/mp4");
    }
    let path = address.split(['?', '#']).next()?;
    let ending = path.rsplit('/').next()?.rsplit_once('.')?.1;
    Some(match ending.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "heic" => "image/heic",
        "heif" => "image/heif",
        "pdf" => "application/pdf",
        "txt" | "md" => "text/plain",
        "csv" => "text/csv",
        "html" => "text/html",
        "json" => "application/json",
        "mp3" => "audio/mp3",
        "wav" => "audio/wav",
        "flac" => "audio/flac",
        "ogg" => "audio/ogg",
        "aac" => "audio/aac",
        "mp4" => "video/mp4",
        "mov" => "video/mov",
        "webm" => "video/webm",
        "mpeg" | "mpg" => "video/mpeg",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use ziggurat_core::ErrorKind;

    use super::*;

    const VERTEX: Host = Host::Vertex { version: "v1" };

    fn url(address: &str, host: Host) -> Result<Value, Error> {
        part(Media::of(address.to_owned()), "image/jpeg", host)
    }

    #[test]
    fn data_goes_inside_and_addresses_where_they_are_fetched() {
        let data = url("data:image/png;base64,AAAA", Host::Studio).expect("is data");
        assert_eq!(
            data,
            json!({"inlineData": {"mimeType": "image/png", "data": "AAAA"}})
        );
        for (address, mime) in [
            ("https://x/y.PNG?z=1", "image/png"),
            ("https://x/y", "image/jpeg"),
            ("gs://bucket/y.pdf", "application/pdf"),
        ] {
            let part = url(address, VERTEX).expect("is fetched");
            assert_eq!(
                part,
                json!({"fileData": {"fileUri": address, "mimeType": mime}})
            );
        }
        let video = url("https://youtu.be/x", Host::Studio).expect("is fetched");
        assert_eq!(video["fileData"]["mimeType"], "video/mp4");
        let id = part(Media::Id("files/a".to_owned()), "", Host::Studio).expect("is kept");
        assert_eq!(id["fileData"]["fileUri"], format!("{FILES}v1beta/files/a"));
    }

    #[test]
    fn what_cannot_be_had_is_refused_in_words() {
        let web = url("https://x/y.png", Host::Studio).expect_err("is not fetched");
        assert!(web.message().contains("base64"));
        for host in [Host::Studio, VERTEX] {
            let error = url("iVBORw0KGgo", host).expect_err("is no address");
            assert_eq!(
                (error.kind(), error.param()),
                (ErrorKind::Rejected, Some("messages"))
            );
        }
    }
}
