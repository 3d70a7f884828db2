//! What a deployment signs its calls with.

use http::{HeaderName, HeaderValue, Uri, header::AUTHORIZATION};
use ziggurat_core::{Deployment, Error, ErrorKind};

use super::{Bedrock, model, sigv4};
use crate::dialect::{Dialect, credential::secret};

const DATE: &str = "x-amz-date";
const HASH: &str = "x-amz-content-sha256";
const TOKEN: &str = "x-amz-security-token";

/// Makes sure that calls can be signed. A deployment that has an `authorization` header of its own
/// need not.
pub(super) fn check(deployment: &Deployment) -> Result<(), Error> {
    match has_own(deployment) {
        true => Ok(()),
        false => headers(deployment, "/", b"", 0).map(drop),
    }
}

fn has_own(deployment: &Deployment) -> bool {
    let mut headers = deployment.headers().iter();
    headers.any(|(name, _)| name.eq_ignore_ascii_case(AUTHORIZATION.as_str()))
}

/// The headers that sign a POST to a path under the deployment's base, at a time in seconds since
/// 1970.
///
/// # Errors
///
/// [`ErrorKind::Internal`] if the deployment has not all that it takes. The message repeats nothing
/// of it.
pub(super) fn headers(
    deployment: &Deployment,
    path: &str,
    body: &[u8],
    now: u64,
) -> Result<Vec<(HeaderName, HeaderValue)>, Error> {
    if has_own(deployment) {
        return Ok(Vec::new());
    }
    let needs = |what: &str| {
        let message = format!("a deployment on Bedrock needs {what}");
        Error::new(ErrorKind::Internal, message).with_deployment(deployment.id().clone())
    };
    let param = |name: &str| {
        let value = deployment.param(name).map(str::trim);
        value.filter(|value| !value.is_empty())
    };
    let key_id = param("aws_access_key_id")
        .ok_or_else(|| needs("an API key, or `aws_access_key_id` and `aws_secret_access_key`"))?;
    let key = param("aws_secret_access_key").ok_or_else(|| needs("`aws_secret_access_key`"))?;
    let token = param("aws_session_token");
    let region = model::region(deployment).ok_or_else(|| needs("`aws_region_name`"))?;
    let base = Bedrock.base(deployment).and_then(|base| place(&base));
    let (host, before) = base.ok_or_else(|| needs("a plain http or https address"))?;

    let path = format!("{before}{path}");
    let (date, hash) = (sigv4::timestamp(now), sigv4::sha256(body));
    let mut signed = vec![("host", host.as_str()), (HASH, &hash), (DATE, &date)];
    signed.extend(token.map(|token| (TOKEN, token)));
    let signer = sigv4::Signer {
        key_id,
        secret: key,
        region,
        service: "bedrock",
    };
    let authorization = signer.sign("POST", &path, &signed, &hash, &date);
    let value = |value: &str| {
        secret(value).ok_or_else(|| needs("credentials of characters that a header may have"))
    };
    let mut headers = vec![
        (AUTHORIZATION, value(&authorization)?),
        (HeaderName::from_static(HASH), value(&hash)?),
        (HeaderName::from_static(DATE), value(&date)?),
    ];
    if let Some(token) = token {
        headers.push((HeaderName::from_static(TOKEN), value(token)?));
    }
    Ok(headers)
}

/// The host as a client sends it, without the port that is usual, and what the path begins with.
fn place(base: &str) -> Option<(String, String)> {
    let uri: Uri = base.trim().parse().ok()?;
    let host = uri.host()?;
    let host = match (uri.port_u16(), uri.scheme_str()?) {
        (None, _) | (Some(443), "https") | (Some(80), "http") => host.to_owned(),
        (Some(port), _) => format!("{host}:{port}"),
    };
    Some((host, uri.path().trim_end_matches('/').to_owned()))
}

#[cfg(test)]
mod tests {
    use ziggurat_core::Secret;

    use super::*;

    fn deployment() -> Deployment {
        let param = |deployment: Deployment, (name, value): (&'static str, &'static str)| {
            deployment.with_param(name, Secret::new(value))
        };
        let params = [
            ("aws_access_key_id", "AKIDEXAMPLE"),
            ("aws_secret_access_key", "secret-canary\n"),
            ("aws_region_name", "us-east-1"),
        ];
        let deployment = Deployment::new("a", "gpt", "anthropic.claude-v2:1");
        params.into_iter().fold(deployment, param)
    }

    fn signed(deployment: &Deployment) -> Vec<(HeaderName, HeaderValue)> {
        headers(deployment, "/model/a%3A1/converse", b"{}", 1_440_938_160).expect("can be signed")
    }

    fn value<'a>(headers: &'a [(HeaderName, HeaderValue)], name: &str) -> Option<&'a str> {
        let found = headers.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.to_str().expect("is text"))
    }

    /// The signatures were made with an implementation of its own, in another language.
    #[test]
    fn a_call_is_signed_with_all_that_it_says() {
        let headers = signed(&deployment());
        assert_eq!(
            value(&headers, "authorization"),
            Some(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/bedrock/aws4_request, \
                    SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=e81aeb415e4e58e15fba259202d817d29ca764bf3c0ffa0569e56e1a5ceb23a4"
            )
        );
        assert_eq!(value(&headers, "x-amz-date"), Some("20150830T123600Z"));
        assert_eq!(
            value(&headers, "x-amz-content-sha256"),
            Some("44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a")
        );

        let temporary = deployment()
            .with_param("aws_session_token", Secret::new("token-canary"))
            .with_base_url("http://localhost:8080/bedrock/");
        let headers = signed(&temporary);
        assert_eq!(
            value(&headers, "x-amz-security-token"),
            Some("token-canary")
        );
        let authorization = value(&headers, "authorization").expect("is signed");
        assert!(
            authorization.ends_with(
                "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token, \
                    Signature=16f85552a0e357e081d23cb7318b0bae2468b73d34224584293c7f40553a0da8"
            ),
            "{authorization}"
        );
        assert!(!format!("{headers:?}").contains("canary"));
    }

    #[test]
    fn what_is_missing_is_told_before_the_first_call() {
        let key = |name: &'static str| {
            Deployment::new("a", "gpt", "m")
                .with_base_url("http://localhost")
                .with_param(name, Secret::new("canary"))
        };
        for (deployment, word) in [
            (key("other"), "an API key"),
            (key("aws_access_key_id"), "`aws_secret_access_key`"),
            (
                key("aws_access_key_id").with_param("aws_secret_access_key", Secret::new("canary")),
                "`aws_region_name`",
            ),
            (
                deployment().with_param("aws_session_token", Secret::new("a\ncanary")),
                "a header may have",
            ),
        ] {
            let error = check(&deployment).expect_err("cannot be signed");
            assert!(error.message().contains(word), "{error}");
            assert!(!format!("{error:?}").contains("canary"), "{error}");
            assert_eq!(error.deployment(), Some(deployment.id()));
        }
    }

    #[test]
    fn a_header_of_its_own_takes_the_place_of_a_signature() {
        let own = Deployment::new("a", "gpt", "m").with_header("Authorization", "Basic x");
        check(&own).expect("needs no keys");
        assert!(
            headers(&own, "/", b"", 0)
                .expect("needs no keys")
                .is_empty()
        );
    }

    #[test]
    fn the_host_is_signed_as_it_is_sent() {
        let host = |base| place(base).expect("is an address").0;
        assert_eq!(host("https://x.test:443/"), "x.test");
        assert_eq!(host("http://x.test:443"), "x.test:443");
        assert_eq!(host("http://[::1]:80/a"), "[::1]");
        assert_eq!(place("x.test/v1"), None);
    }
}
