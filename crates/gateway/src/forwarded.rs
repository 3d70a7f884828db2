//! Where a request comes from, if proxies stand before the gateway.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue, header::FORWARDED};
use ziggurat::{ClientAddress, config::AddressRange};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// How many proxies one behind the other are looked at.
const MOST: usize = 32;

/// The client of a connection: its other end, unless that is a trusted proxy. Then it is who that one
/// says, in the way of `X-Forwarded-For` or of `Forwarded` (RFC 7239): the last of the addresses that
/// is no trusted proxy, since what stands before it anybody may have written. If all are trusted, it
/// is the first.
///
/// What cannot be read ends the way, at the proxy that wrote it. If the two headers say different
/// things, one of them came through a proxy that does not know it, and neither is believed.
pub(crate) fn client(
    connected: ClientAddress,
    headers: &HeaderMap,
    trusted: &[AddressRange],
) -> ClientAddress {
    let is_trusted = |address| trusted.iter().any(|range| range.contains(address));
    if !is_trusted(connected.0) {
        return connected;
    }
    let told = |name: &HeaderName, read: fn(&str) -> Option<IpAddr>| {
        let mut hops = hops(headers, name).take(MOST).peekable();
        hops.peek()?;
        let mut client = connected.0;
        for hop in hops {
            let Some(address) = hop.and_then(read) else {
                break;
            };
            client = address.to_canonical();
            if !is_trusted(client) {
                break;
            }
        }
        Some(client)
    };
    let usual = told(&X_FORWARDED_FOR, address);
    match (usual, told(&FORWARDED, element)) {
        (Some(one), None) | (None, Some(one)) => ClientAddress(one),
        (Some(one), Some(other)) if one == other => ClientAddress(one),
        _ => connected,
    }
}

/// What a list in headers holds, the last first. `None` for what is no text.
fn hops<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = Option<&'a str>> {
    let lines = headers.get_all(name).into_iter().rev();
    lines.flat_map(|line: &HeaderValue| {
        let text = line.to_str().ok();
        let parts = text.into_iter().flat_map(|text| text.rsplit(','));
        let broken = text.is_none().then_some(None);
        broken.into_iter().chain(parts.map(|it| Some(it.trim())))
    })
}

/// An address, perhaps with a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || text.parse().ok().map(|socket: SocketAddr| socket.ip());
    text.parse().ok().or_else(with_port).or_else(bare)
}

/// The address in an element of `Forwarded`, if the whole of it can be read. Quotes hold neither quotes
/// nor what separates elements, so none can be forged within them.
fn element(text: &str) -> Option<IpAddr> {
    let mut found = None;
    for pair in text.split(';') {
        let (name, value) = pair.trim().split_once('=')?;
        let value = match value.strip_prefix('"') {
            Some(quoted) => quoted.strip_suffix('"')?,
            None => value,
        };
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'=');
        if name.is_empty() || !name.bytes().all(is_plain) || !value.bytes().all(is_plain) {
            return None;
        }
        if name.eq_ignore_ascii_case("for") && found.replace(address(value)?).is_some() {
            return None;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(connected: &str, headers: &[(&'static str, &str)]) -> String {
        let trusted = ["10.0.0.0/8", "2001:db8::/32"].map(|it| it.parse().expect("is a range"));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().expect("is a value"));
        }
        let connected = ClientAddress(connected.parse().expect("is an address"));
        client(connected, &map, &trusted).0.to_string()
    }

    const XFF: &str = "x-forwarded-for";
    const FWD: &str = "forwarded";

    #[test]
    fn the_last_address_that_is_no_trusted_proxy_counts() {
        for (headers, expected) in [
            (&[][..], "10.0.0.1"),
            (&[(XFF, "192.0.2.7")], "192.0.2.7"),
            (&[(XFF, "6.6.6.6, 192.0.2.7")], "192.0.2.7"),
            (&[(XFF, "192.0.2.7, 10.0.0.9, 10.0.0.8")], "192.0.2.7"),
            (
                &[(XFF, "6.6.6.6"), (XFF, "192.0.2.7,10.0.0.9")],
                "192.0.2.7",
            ),
            (&[(XFF, "10.0.0.3, 10.0.0.2")], "10.0.0.3"),
            (&[(XFF, "192.0.2.7:4711")], "192.0.2.7"),
            (&[(XFF, "::ffff:192.0.2.7")], "192.0.2.7"),
            (&[(XFF, "[2001:db9::1]:80, 2001:db8::5")], "2001:db9::1"),
            (
                &[(
                    FWD,
                    "for=6.6.6.6, for=192.0.2.7;proto=https, For=\"[2001:db8::5]\"",
                )],
                "192.0.2.7",
            ),
            (
                &[(FWD, "proto=https;for=\"[2001:db9::1]:4711\";by=_a")],
                "2001:db9::1",
            ),
            (&[(XFF, "192.0.2.7"), (FWD, "for=192.0.2.7")], "192.0.2.7"),
        ] {
            assert_eq!(from("10.0.0.1", headers), expected, "{headers:?}");
        }
        let mapped = from("::ffff:10.0.0.1", &[(XFF, "192.0.2.7")]);
        assert_eq!(mapped, "192.0.2.7");
    }

    #[test]
    fn whoever_is_no_trusted_proxy_is_not_asked() {
        for header in [(XFF, "192.0.2.7"), (FWD, "for=192.0.2.7")] {
            assert_eq!(from("192.0.2.1", &[header]), "192.0.2.1");
        }
    }

    #[test]
    fn what_cannot_be_read_ends_the_way_at_who_wrote_it() {
        for (headers, expected) in [
            (&[(XFF, "6.6.6.6, unknown")][..], "10.0.0.1"),
            (&[(XFF, "6.6.6.6, nonsense, 10.0.0.9")], "10.0.0.9"),
            (&[(XFF, "6.6.6.6,")], "10.0.0.1"),
            (&[(XFF, "")], "10.0.0.1"),
            (&[(XFF, "6.6.6.6, fe80::1%eth0")], "10.0.0.1"),
            (&[(XFF, "6.6.6.6"), (FWD, "for=192.0.2.7")], "10.0.0.1"),
            (&[(FWD, "for=6.6.6.6, for=_hidden")], "10.0.0.1"),
            (&[(FWD, "for=192.0.2.7;for=6.6.6.6")], "10.0.0.1"),
            (
                &[(FWD, "for=192.0.2.7;host=\"x, for=6.6.6.6\"")],
                "10.0.0.1",
            ),
            (
                &[(FWD, "for=192.0.2.7;host=\"x\\\", for=6.6.6.6;y=\\\"\"")],
                "10.0.0.1",
            ),
            (&[(FWD, "host=x")], "10.0.0.1"),
        ] {
            assert_eq!(from("10.0.0.1", headers), expected, "{headers:?}");
        }
        let mut map = HeaderMap::new();
        let odd = HeaderValue::from_bytes(b"6.6.6.6, \xff").expect("is a value");
        map.append(X_FORWARDED_FOR, odd);
        let trusted = ["10.0.0.0/8".parse().expect("is a range")];
        let connected = ClientAddress([10, 0, 0, 1].into());
        assert_eq!(client(connected, &map, &trusted), connected);
    }

    #[test]
    fn a_long_way_is_followed_so_far_and_no_further() {
        let long = format!("6.6.6.6{}", ", 10.0.0.9".repeat(5_000));
        assert_eq!(from("10.0.0.1", &[(XFF, &long)]), "10.0.0.9");
    }

    proptest::proptest! {
        /// Whatever stands before what the last proxy wrote changes nothing.
        #[test]
        fn nobody_can_say_who_he_is_to_a_proxy_that_says_it(before in "[ -~]{0,60}") {
            let usual = format!("{before}, 192.0.2.7, 10.0.0.9");
            proptest::prop_assert_eq!(from("10.0.0.1", &[(XFF, &usual)]), "192.0.2.7");
            let other = format!("{before}, for=192.0.2.7;proto=https, for=10.0.0.9");
            proptest::prop_assert_eq!(from("10.0.0.1", &[(FWD, &other)]), "192.0.2.7");
        }
    }
}
