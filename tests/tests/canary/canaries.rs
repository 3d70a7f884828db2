//! The secrets, and how they would be seen.

use std::sync::LazyLock;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};

pub(crate) const API_KEY: &str = "Cnry0key/Qx+Zt=91jfoa\"PLmW7u";
pub(crate) const OAUTH: &str = "sk-ant-oatCnry1/Zw+38hdTqLm";
pub(crate) const AWS_ID: &str = "AKIACNRY2ID0123QX5TR";
pub(crate) const AWS_SECRET: &str = "Cnry3aws/sec+retKd82hfLpQ0zYw71mRtBn";
pub(crate) const AWS_SESSION: &str = "Cnry4ses//sion+token==Lk29fhQ";
pub(crate) const CLIENT_SECRET: &str = "Cnry5~client.secret_91hfKq+&=";
pub(crate) const REFRESH: &str = "1//Cnry6-refresh-Ht72kdPq";
pub(crate) const AD_TOKEN: &str = "eyJCnry7.adtoken.Gs81hfLq";
pub(crate) const ORGANIZATION: &str = "org-Cnry8Kd82hfLp";
pub(crate) const HEADER: &str = "Cnry9header/Yt+51kdHq";
pub(crate) const MINTED: &str = "ya29.CnryAminted-Wz63lqPf";
pub(crate) const CLIENT_KEY: &str = "CnryBclient/Mn+84hdKw";
pub(crate) const MASTER: &str = "sk-CnryCmaster-Vb37hfQz";
pub(crate) const CALLER: &str = "sk-CnryDcaller-Rt58kdWq";
/// A caller's key, of which the configuration has the hash, and the hash.
pub(crate) const HASHED: &str = "sk-CnryEhashed-Yx29mfLs";
pub(crate) const HASH: &str = "2ebe12aa657a5c01ea778276736ee9de22b259dc0b5c1cd6279d0f8263fa4bd6";
/// The hash of the other.
const HASH_OF_CALLER: &str = "866bb6606f5948c71cdb2fd24e9f9af6a486d676e1fcfb73cb44f106f65da30b";
/// A key that opens nothing.
pub(crate) const PRIVATE_KEY: &str =
    include_str!("../../../crates/provider/src/dialect/google/tests/key.pem");

/// All of them; of the private key each line.
pub(crate) fn all() -> Vec<&'static str> {
    let lines = PRIVATE_KEY.lines().filter(|line| !line.contains("-----"));
    let whole = [
        API_KEY,
        OAUTH,
        AWS_ID,
        AWS_SECRET,
        AWS_SESSION,
        CLIENT_SECRET,
        REFRESH,
        AD_TOKEN,
        ORGANIZATION,
        HEADER,
        MINTED,
        CLIENT_KEY,
        MASTER,
        CALLER,
        HASHED,
        HASH,
        HASH_OF_CALLER,
    ];
    whole.into_iter().chain(lines).collect()
}

/// The ways in which a server may repeat a secret.
pub(crate) fn repeated(secret: &str) -> String {
    format!(
        "{secret} {} {} {} {}*** ",
        STANDARD_NO_PAD.encode(format!("user:{secret}")),
        URL_SAFE_NO_PAD.encode(secret),
        in_address(secret),
        &secret[..12],
    )
}

/// Why a text is not clean: the canary that is in it, and where.
pub(crate) fn seen(text: &str) -> Option<String> {
    static FORMS: LazyLock<Vec<(&str, Vec<String>)>> =
        LazyLock::new(|| all().into_iter().map(|it| (it, forms(it))).collect());
    FORMS.iter().find_map(|(canary, forms)| {
        let at = forms.iter().find_map(|form| text.find(form))?;
        let from = text.floor_char_boundary(at.saturating_sub(200));
        let to = text.ceil_char_boundary(text.len().min(at + 100));
        Some(format!("{canary}: …{}…", &text[from..to]))
    })
}

fn forms(canary: &str) -> Vec<String> {
    let json = serde_json::Value::from(canary).to_string();
    let mut forms = vec![
        // Whatever has all of it has the beginning of it.
        canary[..8].to_owned(),
        json[1..9].to_owned(),
        in_address(canary)[..12].to_owned(),
    ];
    for before in 0..3 {
        let padded = [&[0; 3][..before], canary.as_bytes()].concat();
        let (start, end) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
        for encoded in [
            STANDARD_NO_PAD.encode(&padded),
            URL_SAFE_NO_PAD.encode(&padded),
        ] {
            forms.push(encoded[start..end].to_owned());
        }
    }
    forms.sort_unstable();
    forms.dedup();
    forms
}

fn in_address(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[test]
fn a_canary_is_seen_in_every_form() {
    for canary in all() {
        assert!(seen(&format!("<{canary}>")).is_some(), "{canary}");
        assert!(seen(&format!("<{}...", &canary[..9])).is_some(), "{canary}");
        for before in ["", ":", "::", ":::"] {
            let basic = STANDARD_NO_PAD.encode(format!("{before}{canary}{before}"));
            assert!(seen(&basic).is_some(), "{canary} behind {before}");
        }
        assert!(seen(&in_address(canary)).is_some(), "{canary}");
    }
    assert_eq!(seen("nothing of all this"), None);
}
