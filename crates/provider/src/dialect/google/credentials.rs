//! Who asks at Vertex AI: a service account, or a user who once agreed, as Google's credential
//! files describe them.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Uri, header::CONTENT_TYPE};
use ring::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use serde::Deserialize;
use serde_json::json;
use ziggurat_core::{Deployment, Error, ErrorKind, Secret};

use crate::tokens::{Issuer, TokenRequest, TokenSource, form};

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
/// How long the proof is good that a token is asked for with, in seconds.
const PROOF_TIME: u64 = 3600;

/// A credential file, as far as it is used.
#[derive(Deserialize)]
#[serde(default)]
struct File {
    #[serde(rename = "type")]
    kind: String,
    project_id: Option<String>,
    quota_project_id: Option<String>,
    private_key_id: Option<String>,
    private_key: String,
    client_email: String,
    client_id: String,
    client_secret: String,
    refresh_token: String,
    token_uri: String,
}

impl Default for File {
    fn default() -> Self {
        Self {
            kind: String::new(),
            project_id: None,
            quota_project_id: None,
            private_key_id: None,
            private_key: String::new(),
            client_email: String::new(),
            client_id: String::new(),
            client_secret: String::new(),
            refresh_token: String::new(),
            token_uri: TOKEN_URI.to_owned(),
        }
    }
}

const PARAM: &str = "vertex_credentials";

fn text(deployment: &Deployment) -> Option<&str> {
    let text = deployment.param(PARAM).map(str::trim);
    text.filter(|text| !text.is_empty())
}

/// Whether the deployment has credentials that give tokens.
pub(super) fn are_given(deployment: &Deployment) -> bool {
    text(deployment).is_some()
}

/// The project of the credentials.
pub(super) fn project(deployment: &Deployment) -> Option<String> {
    let file: File = serde_json::from_str(text(deployment)?).ok()?;
    file.project_id.or(file.quota_project_id)
}

/// Where the deployment gets its tokens from: the file whose text is `vertex_credentials`.
///
/// # Errors
///
/// [`ErrorKind::Internal`] if that is no such file.
pub(super) fn token(deployment: &Deployment) -> Result<Option<TokenSource>, Error> {
    let wrong = |what: &str| {
        let message = format!("`{PARAM}` {what}");
        Error::new(ErrorKind::Internal, message).with_deployment(deployment.id().clone())
    };
    let Some(text) = text(deployment) else {
        return Ok(None);
    };
    let file: File = serde_json::from_str(text)
        .map_err(|_| wrong("is not the text of a credential file, which is JSON"))?;
    let uri: Uri = file
        .token_uri
        .parse()
        .map_err(|_| wrong("has no address for tokens"))?;
    if !is_safe(&uri) {
        return Err(wrong("has an address for tokens that is not https"));
    }
    let asks = match file.kind.as_str() {
        "service_account" => Asks::Account {
            key: key(&file.private_key)
                .map(Box::new)
                .ok_or_else(|| wrong("has no private key of RSA"))?,
            key_id: file.private_key_id,
            email: file.client_email,
        },
        "authorized_user" => Asks::User(Secret::new(form(&[
            ("grant_type", "refresh_token"),
            ("client_id", &file.client_id),
            ("client_secret", &file.client_secret),
            ("refresh_token", &file.refresh_token),
        ]))),
        _ => {
            return Err(wrong(
                "is of a type other than `service_account` or `authorized_user`",
            ));
        }
    };
    let identity = Secret::new(text);
    let party = Party {
        uri,
        asks,
        identity,
    };
    Ok(Some(TokenSource::new(party)))
}

/// A proof is not shown to whoever listens, but on this very machine.
fn is_safe(uri: &Uri) -> bool {
    let is_here = matches!(uri.host(), Some("localhost" | "127.0.0.1" | "[::1]"));
    uri.scheme_str() == Some("https") || (uri.scheme_str() == Some("http") && is_here)
}

fn key(pem: &str) -> Option<RsaKeyPair> {
    match PrivateKeyDer::from_pem_slice(pem.as_bytes()).ok()? {
        PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).ok(),
        PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()).ok(),
        _ => None,
    }
}

/// Somebody who gets tokens.
#[derive(Debug)]
struct Party {
    uri: Uri,
    asks: Asks,
    identity: Secret,
}

#[derive(Debug)]
enum Asks {
    /// With a proof that it signs.
    Account {
        key: Box<RsaKeyPair>,
        key_id: Option<String>,
        email: String,
    },
    /// With a form that says that somebody agreed.
    User(Secret),
}

impl Issuer for Party {
    fn identity(&self) -> String {
        self.identity.expose().to_owned()
    }

    fn request(&self, now: u64) -> Result<TokenRequest, Error> {
        let body = match &self.asks {
            Asks::User(form) => form.expose().to_owned(),
            Asks::Account { key, key_id, email } => {
                let proof = proof(key, key_id.as_deref(), email, &self.uri, now)?;
                let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
                form(&[("grant_type", grant), ("assertion", &proof)])
            }
        };
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        Ok(TokenRequest {
            uri: self.uri.clone(),
            headers: HeaderMap::from_iter([(CONTENT_TYPE, form)]),
            body: Bytes::from(body),
        })
    }
}

/// A JSON Web Token (RFC 7519) for the JWT bearer grant (RFC 7523), signed with RS256.
fn proof(
    key: &RsaKeyPair,
    key_id: Option<&str>,
    email: &str,
    audience: &Uri,
    now: u64,
) -> Result<String, Error> {
    let mut header = json!({"alg": "RS256", "typ": "JWT"});
    if let Some(id) = key_id {
        header["kid"] = id.into();
    }
    let claims = json!({
        "iss": email,
        "scope": SCOPE,
        "aud": audience.to_string(),
        "iat": now,
        "exp": now + PROOF_TIME,
    });
    let encode = |json: serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let mut proof = format!("{}.{}", encode(header), encode(claims));
    let mut signature = vec![0; key.public().modulus_len()];
    let random = SystemRandom::new();
    key.sign(&RSA_PKCS1_SHA256, &random, proof.as_bytes(), &mut signature)
        .map_err(|_| {
            Error::new(
                ErrorKind::Internal,
                "the proof for a token cannot be signed",
            )
        })?;
    proof.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut proof);
    Ok(proof)
}
