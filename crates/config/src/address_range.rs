//! Ranges of addresses.

use std::{fmt, net::IpAddr, str::FromStr, sync::Arc};

use crate::{problem::Report, read::Section, source::Facts};

/// A range of addresses as CIDR (RFC 4632, RFC 4291) writes it: `10.0.0.0/8`, `2001:db8::/32`, or a
/// single address.
///
/// ```
/// use ziggurat_config::AddressRange;
///
/// let range: AddressRange = "10.0.0.0/8".parse()?;
/// assert!(range.contains("10.1.2.3".parse()?) && !range.contains("11.1.2.3".parse()?));
/// // The same address, as a socket for both families shows it.
/// assert!(range.contains("::ffff:10.1.2.3".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRange {
    base: IpAddr,
    prefix: u8,
}

/// A text that is no [`AddressRange`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NoAddressRange;

impl AddressRange {
    /// Whether an address is in it. One of version 4 that is written as one of version 6 is what it
    /// means.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let shift = bits(self.base) - u32::from(self.prefix);
        let same = |one: u128, other: u128| {
            let differs = one ^ other;
            differs.checked_shr(shift).unwrap_or_default() == 0
        };
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(it)) => same(base.to_bits().into(), it.to_bits().into()),
            (IpAddr::V6(base), IpAddr::V6(it)) => same(base.to_bits(), it.to_bits()),
            _ => false,
        }
    }

    /// Whether every address of its version is in it.
    #[must_use]
    pub const fn is_everything(&self) -> bool {
        self.prefix == 0
    }
}

/// How many bits an address has.
const fn bits(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

impl FromStr for AddressRange {
    type Err = NoAddressRange;

    fn from_str(text: &str) -> Result<Self, NoAddressRange> {
        let (base, prefix) = match text.split_once('/') {
            None => (text, None),
            Some((base, prefix)) => (base, Some(prefix)),
        };
        let written: IpAddr = base.parse().map_err(|_| NoAddressRange)?;
        let base = written.to_canonical();
        let Some(prefix) = prefix else {
            let prefix = bits(base) as u8;
            return Ok(Self { base, prefix });
        };
        let is_number = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix = prefix.parse().ok().filter(|_| is_number);
        let prefix: u8 = prefix.ok_or(NoAddressRange)?;
        // The prefix of a mapped address would count other bits than it says.
        let is_meant = base == written && u32::from(prefix) <= bits(base);
        is_meant
            .then_some(Self { base, prefix })
            .ok_or(NoAddressRange)
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

impl fmt::Display for NoAddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a range of addresses is like 10.0.0.0/8, 2001:db8::/32 or 10.1.2.3")
    }
}

impl std::error::Error for NoAddressRange {}

/// Reads `trusted_proxies`.
pub(crate) fn trusted_proxies(
    own: &Section<'_>,
    facts: &mut Facts,
    report: &mut Report,
) -> Arc<[AddressRange]> {
    const KEY: &str = "trusted_proxies";
    let mut ranges = Vec::new();
    for found in own.one_or_more(KEY, report) {
        match found.value.parse::<AddressRange>() {
            Ok(range) => {
                if range.is_everything() {
                    let message = format!(
                        "`{KEY}`: {range} is everybody: whoever sends a request can say where it comes from"
                    );
                    report.warning(found.at, message);
                }
                facts.note(KEY, &found.value, found.source);
                ranges.push(range);
            }
            Err(wrong) => report.error(found.at, format!("`{KEY}`: {wrong}")),
        }
    }
    ranges.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_what_begins_with_its_bits() {
        for (range, within, without) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.9.9.9/8", "10.0.0.0", "9.255.255.255"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("192.0.2.0/31", "192.0.2.1", "192.0.2.2"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::1", "::1", "::2"),
            ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("::/0", "2001:db8::1", "10.0.0.1"),
        ] {
            let parsed: AddressRange = range.parse().expect(range);
            let has = |it: &str| parsed.contains(it.parse().expect("is an address"));
            assert_eq!((has(within), has(without)), (true, false), "{range}");
            assert_eq!(parsed.to_string().parse(), Ok(parsed));
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in [
            "",
            "/8",
            "10/8",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "::/129",
            "::/256",
            "::ffff:10.0.0.0/104",
            "proxy.example",
            " 10.0.0.1",
        ] {
            let parsed = text.parse::<AddressRange>();
            assert_eq!(parsed, Err(NoAddressRange), "{text:?}");
        }
    }
}
