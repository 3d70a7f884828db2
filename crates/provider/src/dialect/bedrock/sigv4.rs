//! AWS's Signature Version 4, as far as a POST without a query needs it.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>

use std::fmt::Write;

use ring::{digest, hmac};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Who signs, and for what.
#[derive(Clone, Copy)]
pub(super) struct Signer<'a> {
    pub(super) key_id: &'a str,
    pub(super) secret: &'a str,
    pub(super) region: &'a str,
    pub(super) service: &'a str,
}

impl Signer<'_> {
    /// The value of `authorization` for a request.
    ///
    /// The path is the one that is sent, percent-encoded. The headers are those to sign: in
    /// alphabetical order, with lower-case names, among them `host` and `x-amz-date` with the same
    /// `date`.
    pub(super) fn sign(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body_hash: &str,
        date: &str,
    ) -> String {
        let mut canonical = format!("{method}\n{}\n\n", encoded(path, b"/"));
        for (name, value) in headers {
            let _ = writeln!(canonical, "{name}:{value}");
        }
        let names: Vec<_> = headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let _ = write!(canonical, "\n{names}\n{body_hash}");

        let Self {
            key_id,
            secret,
            region,
            service,
        } = self;
        let day = &date[..8];
        let scope = format!("{day}/{region}/{service}/aws4_request");
        let hash = sha256(canonical.as_bytes());
        let text = format!("{ALGORITHM}\n{date}\n{scope}\n{hash}");
        let mut key = mac(format!("AWS4{secret}").as_bytes(), day);
        for part in [region, service, "aws4_request"] {
            key = mac(key.as_ref(), part);
        }
        let signature = hex(mac(key.as_ref(), &text).as_ref());
        format!(
            "{ALGORITHM} Credential={key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
        )
    }
}

fn mac(key: &[u8], text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
}

/// The hash of a body, as it is signed.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// A text for a path, without characters that mean something there; those of `kept` stay.
pub(super) fn encoded(text: &str, kept: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ if kept.contains(&byte) => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

/// A time in seconds since 1970 as `x-amz-date` has it: `20150830T123600Z`.
pub(super) fn timestamp(seconds: u64) -> String {
    /// What comes after is no time that a clock shows.
    const LAST: u64 = 253_402_300_799;
    let seconds = seconds.min(LAST);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// Year, month and day of a day since 1970. Years are counted from March, so that a leap day is the
/// last of them: <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let from_march = (5 * day + 2) / 153;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year + era * 400 + u64::from(month <= 2);
    (year, month, day - (153 * from_march + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use proptest::prelude::*;

    use super::*;

    const DATE: &str = "20150830T123600Z";

    fn signature(method: &str, path: &str, more: &[(&str, &str)], body: &str) -> String {
        let signer = Signer {
            key_id: "AKIDEXAMPLE",
            secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            region: "us-east-1",
            service: "service",
        };
        let mut headers = vec![("host", "example.amazonaws.com"), ("x-amz-date", DATE)];
        headers.extend(more);
        headers.sort_unstable();
        signer.sign(method, path, &headers, &sha256(body.as_bytes()), DATE)
    }

    /// The cases `get-vanilla`, `post-vanilla`, `get-utf8`, `post-x-www-form-urlencoded` and
    /// `post-sts-header-before` of the test suite that AWS published.
    #[test]
    fn signatures_are_those_of_the_published_test_suite() {
        let token = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFq\
            wAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZa\
            mpKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0\
            u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";
        let form = ("content-type", "application/x-www-form-urlencoded");
        for (method, path, more, body, expected) in [
            (
                "GET",
                "/",
                None,
                "",
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            (
                "POST",
                "/",
                None,
                "",
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
            (
                "GET",
                "/\u{1234}",
                None,
                "",
                "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
            ),
            (
                "POST",
                "/",
                Some(form),
                "Param1=value1",
                "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            ),
            (
                "POST",
                "/",
                Some(("x-amz-security-token", token)),
                "",
                "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
            ),
        ] {
            let authorization = signature(method, path, more.as_slice(), body);
            let (said, signature) = authorization.split_once("Signature=").expect("is signed");
            assert_eq!(signature, expected, "{method} {path}");
            let begin = "AWS4-HMAC-SHA256 \
                Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=";
            assert!(said.starts_with(begin), "{said}");
        }
        let names = signature("POST", "/", &[form], "");
        assert!(names.contains("SignedHeaders=content-type;host;x-amz-date, "));
    }

    #[test]
    fn a_model_is_encoded_once_to_be_sent_and_twice_to_be_signed() {
        let sent = encoded("arn:aws:x/y ü", b"");
        assert_eq!(sent, "arn%3Aaws%3Ax%2Fy%20%C3%BC");
        assert_eq!(
            encoded(&format!("/model/{sent}"), b"/"),
            "/model/arn%253Aaws%253Ax%252Fy%2520%25C3%25BC"
        );
    }

    #[test]
    fn times_at_the_edges_are_dates() {
        for (seconds, expected) in [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (1_440_938_160, DATE),
            (u64::MAX, "99991231T235959Z"),
        ] {
            assert_eq!(timestamp(seconds), expected);
        }
    }

    proptest! {
        #[test]
        fn a_date_is_the_one_that_http_writes(seconds in 0_u64..253_402_300_799) {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let written = httpdate::fmt_http_date(time);
            let months = "JanFebMarAprMayJunJulAugSepOctNovDec";
            let month = months.find(&written[8..11]).expect("is a month") / 3 + 1;
            let clock = written[17..25].replace(':', "");
            let expected =
                format!("{}{month:02}{}T{clock}Z", &written[12..16], &written[5..7]);
            prop_assert_eq!(timestamp(seconds), expected);
        }
    }
}
