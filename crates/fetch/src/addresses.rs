//! Which addresses may be reached. What is none of the known public ranges is special, and what is special is
//! reached only where it is named.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A rule on addresses, applied to what a name resolved to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Addresses {
    /// The public Internet alone.
    #[default]
    Public,
    /// Also private networks and this machine. Still not link-local addresses, metadata services of clouds, and what
    /// is reserved.
    Private,
    /// Exactly these, whatever they are.
    Only(Vec<Range>),
}

impl Addresses {
    /// Whether `address` may be reached.
    #[must_use]
    pub fn permit(&self, address: IpAddr) -> bool {
        match self {
            Self::Public => Class::of(address) == Class::Public,
            Self::Private => !matches!(Class::of(address), Class::Special(_)),
            Self::Only(ranges) => ranges.iter().any(|range| range.contains(address)),
        }
    }
}

/// What kind of address one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// On the Internet.
    Public,
    /// In a private network: RFC 1918, RFC 4193 (unique local), RFC 6598 (shared by a carrier, also used by overlay
    /// networks).
    Private,
    /// This machine.
    Loopback,
    /// Neither: what it is.
    Special(&'static str),
}

impl Class {
    /// The class of `address`. IPv6 forms of an IPv4 address (mapped, NAT64, 6to4) are what that is.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => of_v6(address),
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Private => "in a private network",
            Self::Loopback => "this machine",
            Self::Special(what) => what,
        })
    }
}

const METADATA: Class = Class::Special("a cloud's metadata service");
const LINK_LOCAL: Class = Class::Special("link-local");
const RESERVED: Class = Class::Special("reserved");

/// IANA's registry of special-purpose IPv4 addresses, plus the metadata services that lie in other ranges: Azure's
/// in a public one, Alibaba's and Oracle's in shared and reserved ones.
fn of_v4(address: Ipv4Addr) -> Class {
    match address.octets() {
        [169, 254, 169, 254] | [168, 63, 129, 16] | [100, 100, 100, 200] | [192, 0, 0, 192] => METADATA,
        [127, ..] => Class::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Class::Private,
        [169, 254, ..] => LINK_LOCAL,
        [0, ..] => Class::Special("unspecified"),
        [224..=239, ..] => Class::Special("multicast"),
        // Protocol assignments, documentation (three), 6to4 relays, benchmarks, future use and broadcast.
        [192, 0, 0 | 2, _]
        | [198, 51, 100, _]
        | [203, 0, 113, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..]
        | [240..=255, ..] => RESERVED,
        _ => Class::Public,
    }
}

fn of_v6(address: Ipv6Addr) -> Class {
    let v4 = |high: u16, low: u16| of_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Class::Special("unspecified"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Class::Loopback,
        // IPv4-mapped, NAT64 (RFC 6052), 6to4 (RFC 3056): a packet ends at the IPv4 address.
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => v4(high, low),
        // Metadata services of AWS and Google, inside the unique-local range.
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254] => METADATA,
        [0xfc00..=0xfdff, ..] => Class::Private,
        [0xfe80..=0xfebf, ..] => LINK_LOCAL,
        [0xff00..=0xffff, ..] => Class::Special("multicast"),
        // Protocol assignments (Teredo, ORCHID and others), documentation (two).
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => RESERVED,
        // Global unicast; all else is not assigned.
        [0x2000..=0x3fff, ..] => Class::Public,
        _ => RESERVED,
    }
}

/// Addresses with a common prefix: `10.0.0.0/8`, `fd00::/8`, `192.0.2.7`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct Range {
    first: IpAddr,
    bits: u8,
}

impl Range {
    /// Whether `address` lies in it. An IPv4-mapped IPv6 address counts as the IPv4 address that it is.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.first, address.to_canonical()) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                u32::from(first) & mask == u32::from(address) & mask
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
                u128::from(first) & mask == u128::from(address) & mask
            }
            _ => false,
        }
    }

    /// Whether every address of it lies in `outer`.
    #[must_use]
    pub fn is_within(&self, outer: &Self) -> bool {
        self.bits >= outer.bits && outer.contains(self.first)
    }
}

impl TryFrom<String> for Range {
    type Error = RangeError;

    fn try_from(text: String) -> Result<Self, RangeError> {
        text.parse()
    }
}

impl From<IpAddr> for Range {
    fn from(address: IpAddr) -> Self {
        let first = address.to_canonical();
        let bits = if first.is_ipv4() { 32 } else { 128 };
        Self { first, bits }
    }
}

impl FromStr for Range {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let fail = || RangeError(text.to_owned());
        let (first, bits) = text
            .split_once('/')
            .map_or((text, None), |(first, bits)| (first, Some(bits)));
        let whole = Self::from(first.parse::<IpAddr>().map_err(|_| fail())?);
        let Some(bits) = bits else { return Ok(whole) };
        let bits = bits
            .parse()
            .ok()
            .filter(|&bits| bits <= whole.bits)
            .ok_or_else(fail)?;
        Ok(Self { bits, ..whole })
    }
}

/// A text that is no [`Range`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address and no range of addresses like 10.0.0.0/8")]
pub struct RangeError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes() {
        const UNSPECIFIED: Class = Class::Special("unspecified");
        const MULTICAST: Class = Class::Special("multicast");
        for (address, class) in [
            ("8.8.8.8", Class::Public),
            ("1.1.1.1", Class::Public),
            ("172.15.255.255", Class::Public),
            ("172.32.0.0", Class::Public),
            ("100.63.255.255", Class::Public),
            ("100.128.0.0", Class::Public),
            ("192.0.1.0", Class::Public),
            ("223.255.255.255", Class::Public),
            ("10.0.0.0", Class::Private),
            ("10.255.255.255", Class::Private),
            ("172.16.0.1", Class::Private),
            ("172.31.255.255", Class::Private),
            ("192.168.1.1", Class::Private),
            ("100.64.0.1", Class::Private),
            ("100.127.255.255", Class::Private),
            ("127.0.0.1", Class::Loopback),
            ("127.255.255.254", Class::Loopback),
            ("169.254.169.254", METADATA),
            ("100.100.100.200", METADATA),
            ("168.63.129.16", METADATA),
            ("192.0.0.192", METADATA),
            ("169.254.0.1", LINK_LOCAL),
            ("0.0.0.0", UNSPECIFIED),
            ("0.1.2.3", UNSPECIFIED),
            ("224.0.0.1", MULTICAST),
            ("239.255.255.255", MULTICAST),
            ("240.0.0.1", RESERVED),
            ("255.255.255.255", RESERVED),
            ("192.0.2.1", RESERVED),
            ("198.18.0.1", RESERVED),
            ("198.19.255.255", RESERVED),
            ("198.51.100.1", RESERVED),
            ("203.0.113.1", RESERVED),
            ("192.88.99.1", RESERVED),
            ("2606:4700::1111", Class::Public),
            ("2001:4860:4860::8888", Class::Public),
            ("::1", Class::Loopback),
            ("::", UNSPECIFIED),
            ("::2", RESERVED),
            ("::127.0.0.1", RESERVED),
            ("::ffff:127.0.0.1", Class::Loopback),
            ("::ffff:10.1.2.3", Class::Private),
            ("::ffff:169.254.169.254", METADATA),
            ("::ffff:8.8.8.8", Class::Public),
            ("64:ff9b::10.0.0.1", Class::Private),
            ("64:ff9b::8.8.8.8", Class::Public),
            ("64:ff9b:1::8.8.8.8", RESERVED),
            ("2002:7f00:1::", Class::Loopback),
            ("2002:0808:0808::1", Class::Public),
            ("2001::1", RESERVED),
            ("2001:20::1", RESERVED),
            ("2001:db8::1", RESERVED),
            ("3fff:1::", RESERVED),
            ("3fff:1000::", Class::Public),
            ("fc00::1", Class::Private),
            ("fdff::1", Class::Private),
            ("fd00:ec2::254", METADATA),
            ("fd20:ce::254", METADATA),
            ("fe80::1", LINK_LOCAL),
            ("febf::1", LINK_LOCAL),
            ("fec0::1", RESERVED),
            ("ff02::1", MULTICAST),
            ("100::1", RESERVED),
            ("4000::1", RESERVED),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(Class::of(address), class, "{address}");
            assert_eq!(
                Addresses::Public.permit(address),
                class == Class::Public,
                "{address}"
            );
            let usual = !matches!(class, Class::Special(_));
            assert_eq!(Addresses::Private.permit(address), usual, "{address}");
        }
    }

    #[test]
    fn ranges() {
        for (range, address, inside) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.0.0.1", true),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "fe80::1", true),
            ("169.254.169.254", "169.254.169.254", true),
            ("169.254.169.254", "169.254.169.253", false),
            ("fd00::/8", "fdff::1", true),
            ("fd00::/8", "fc00::1", false),
            ("192.168.7.0/25", "192.168.7.127", true),
            ("192.168.7.0/25", "192.168.7.128", false),
        ] {
            let range: Range = range.parse().unwrap();
            let address = address.parse().unwrap();
            assert_eq!(range.contains(address), inside, "{range:?} {address}");
            assert_eq!(Addresses::Only(vec![range]).permit(address), inside);
        }
        for (inner, outer, within) in [
            ("10.9.0.0/16", "10.0.0.0/8", true),
            ("10.0.0.0/8", "10.0.0.0/8", true),
            ("10.0.0.0/7", "10.0.0.0/8", false),
            ("11.0.0.0/16", "10.0.0.0/8", false),
            ("fd12::/64", "fc00::/7", true),
            ("::/0", "fc00::/7", false),
            ("10.0.0.1", "::/0", false),
        ] {
            let range = |text: &str| text.parse::<Range>().unwrap();
            assert_eq!(range(inner).is_within(&range(outer)), within, "{inner} {outer}");
        }
        for bad in [
            "",
            "10.0.0.0/33",
            "::/129",
            "10.0.0/8",
            "10.0.0.0/",
            "10.0.0.0/-1",
            "example.com",
        ] {
            assert!(bad.parse::<Range>().is_err(), "{bad}");
        }
    }
}
