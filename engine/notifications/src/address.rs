//! Which addresses of the network are nobody else's business, and which of them a target may be.
//!
//! A URL that a user names is called by this machine, which may reach what the user may not: services of its own, of its network, of its cloud. So
//! only addresses of the public Internet are called, unless somebody said that private ones are meant.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which addresses may be connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Reach {
    /// Only those of the public Internet.
    Public,
    /// Only private ones: for `http`, which is not encrypted.
    Private,
    /// All.
    Any,
}

impl Reach {
    /// Why this address may not be connected to; `None` if it may.
    pub(crate) fn objection(self, address: IpAddr) -> Option<Objection> {
        match (self, private(address)) {
            (Self::Any, _) | (Self::Public, None) | (Self::Private, Some(_)) => None,
            (Self::Public, Some(kind)) => Some(Objection::Private { address, kind }),
            (Self::Private, None) => Some(Objection::Public { address }),
        }
    }
}

/// An address that may not be connected to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Objection {
    #[error("{address} is {kind}, which is refused without --allow-private")]
    Private { address: IpAddr, kind: &'static str },
    #[error("{address} is a public address, which is only called over https")]
    Public { address: IpAddr },
}

/// What kind of address it is, if it is none of the public Internet; with an article.
///
/// As in the registries of special-purpose addresses of IANA, with addresses of IPv4 within those of IPv6 unpacked, and the address by which
/// Azure's machines reach their host, which looks public.
pub(crate) fn private(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => private_v4(address),
        IpAddr::V6(address) => private_v6(address),
    }
}

fn private_v4(address: Ipv4Addr) -> Option<&'static str> {
    match address.octets() {
        [127, ..] => Some("an address of this machine"),
        [0, ..] => Some("an address of this network"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Some("a private address"),
        [169, 254, ..] | [168, 63, 129, 16] => Some("a link-local or metadata address"),
        [100, 64..=127, ..] => Some("an address shared by customers of a provider"),
        [192, 0, 0, _] | [192, 88, 99, _] | [198, 18..=19, ..] => Some("an address of a protocol"),
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Some("an address for documentation"),
        [224..=239, ..] => Some("a multicast address"),
        [240..=255, ..] => Some("a reserved address"),
        _ => None,
    }
}

fn private_v6(address: Ipv6Addr) -> Option<&'static str> {
    let packed = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        private_v4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("an address of this machine"),
        // Mapped, translated (NAT64) and tunnelled (6to4) addresses of IPv4.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => packed(high, low),
        [0x2002, high, low, ..] => packed(high, low),
        [0xfc00..=0xfdff, ..] => Some("a private address"),
        [0xfe80..=0xfebf, ..] => Some("a link-local address"),
        [0xff00..=0xffff, ..] => Some("a multicast address"),
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Some("an address for documentation"),
        [0x2001, 0..=0x1ff, ..] => Some("an address of a protocol"),
        [0x2000..=0x3fff, ..] => None,
        _ => Some("a reserved address"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIVATE: &[&str] = &[
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.127.255.254",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.0.9",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.0.2.1",
        "192.168.0.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:0:127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::808:808",
        "100::1",
        "2001::1",
        "2001:2::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:a00:1::1",
        "3fff::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ];
    const PUBLIC: &[&str] = &[
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.167.255.255",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "2002:808:808::1",
        "2606:4700::1111",
        "2a00:1450:4001::1",
    ];

    #[test]
    fn only_addresses_of_the_public_internet_are_public() {
        for text in PRIVATE {
            let address: IpAddr = text.parse().unwrap();
            assert!(private(address).is_some(), "{text}");
            assert!(Reach::Public.objection(address).is_some() && Reach::Any.objection(address).is_none(), "{text}");
            assert!(Reach::Private.objection(address).is_none(), "{text}");
        }
        for text in PUBLIC {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(private(address), None, "{text}");
            assert!(Reach::Public.objection(address).is_none(), "{text}");
            assert!(Reach::Private.objection(address).is_some(), "{text}: http is for private addresses");
        }
    }

    #[test]
    fn an_objection_says_what_it_is() {
        let said = Reach::Public.objection("169.254.169.254".parse().unwrap()).unwrap().to_string();
        assert_eq!(
            said,
            "169.254.169.254 is a link-local or metadata address, which is refused without --allow-private"
        );
    }
}
