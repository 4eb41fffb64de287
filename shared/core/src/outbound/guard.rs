//! Which addresses may be requested: those of the public internet.
//!
//! A URL that names an address is checked as it is. A name is resolved by [`Guarded`], and only the addresses that it
//! returns are connected to. So an address cannot change between the check and the connection.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::LazyLock,
};

use ipnet::{Ipv4Net, Ipv6Net};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// The IPv4 networks that are not requested. From the
/// [IANA IPv4 Special-Purpose Address Registry](https://www.iana.org/assignments/iana-ipv4-special-registry) those that
/// are not globally reachable, and the networks named below.
const FORBIDDEN_V4: &[&str] = &[
    // "This network" (RFC 791), and the unspecified address, which Linux connects to itself.
    "0.0.0.0/8",
    // Private use (RFC 1918).
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    // Shared address space (RFC 6598). Alibaba Cloud's metadata service is in it.
    "100.64.0.0/10",
    // Loopback (RFC 1122).
    "127.0.0.0/8",
    // Link-local (RFC 3927). The metadata services of AWS, Azure, Google Cloud and others are in it.
    "169.254.0.0/16",
    // IETF protocol assignments (RFC 6890). Of these, the two globally reachable addresses are anycast addresses of PCP and
    // TURN, which are no web servers. Oracle Cloud's metadata service is in it.
    "192.0.0.0/24",
    // Documentation (RFC 5737).
    "192.0.2.0/24",
    "198.51.100.0/24",
    "203.0.113.0/24",
    // The deprecated anycast addresses of 6to4 relays (RFC 7526).
    "192.88.99.0/24",
    // Benchmarks (RFC 2544).
    "198.18.0.0/15",
    // Multicast (RFC 5771): not in the registry of special-purpose addresses.
    "224.0.0.0/4",
    // Reserved (RFC 1112), and the limited broadcast (RFC 919).
    "240.0.0.0/4",
    // Azure's platform, seen from its virtual machines: a public address that is not reached over the internet.
    // https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
    "168.63.129.16/32",
];

/// IANA allocates global unicast addresses from this network only (RFC 4291, section 2.4). Outside it are, among others,
/// the unspecified and the loopback address, IPv4-compatible (`::/96`) and IPv4-mapped addresses (`::ffff:0:0/96`), NAT64
/// (`64:ff9b::/96`, `64:ff9b:1::/48`), discard-only (`100::/64`), segment routing (`5f00::/16`), unique local addresses
/// with AWS's metadata service (`fc00::/7`), link-local (`fe80::/10`), site-local (`fec0::/10`) and multicast (`ff00::/8`).
const GLOBAL_UNICAST_V6: &str = "2000::/3";

/// The networks within [`GLOBAL_UNICAST_V6`] that are not requested, from the
/// [IANA IPv6 Special-Purpose Address Registry](https://www.iana.org/assignments/iana-ipv6-special-registry).
const FORBIDDEN_V6: &[&str] = &[
    // IETF protocol assignments (RFC 2928): Teredo, benchmarks, ORCHID. Of these, the globally reachable ones are anycast
    // addresses and identifiers, which are no web servers.
    "2001::/23",
    // Documentation (RFC 3849, RFC 9637).
    "2001:db8::/32",
    "3fff::/20",
    // 6to4 (RFC 3056): contains an IPv4 address.
    "2002::/16",
];

static V4: LazyLock<Vec<Ipv4Net>> = LazyLock::new(|| parse(FORBIDDEN_V4));
static V6: LazyLock<Vec<Ipv6Net>> = LazyLock::new(|| parse(FORBIDDEN_V6));
static GLOBAL_V6: LazyLock<Vec<Ipv6Net>> = LazyLock::new(|| parse(&[GLOBAL_UNICAST_V6]));

#[expect(clippy::expect_used, reason = "the networks are constants, and a test reads all of them")]
fn parse<N: std::str::FromStr<Err: std::fmt::Debug>>(networks: &[&str]) -> Vec<N> {
    networks.iter().map(|network| network.parse().expect("a network")).collect()
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !V4.iter().any(|network| network.contains(&address))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    GLOBAL_V6.iter().any(|network| network.contains(&address)) && !V6.iter().any(|network| network.contains(&address))
}

/// Which addresses may be connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Public addresses.
    Public,
    /// Public addresses and those of this machine: `WEBHOOK_ALLOW_LOOPBACK` or `LOGO_ALLOW_LOOPBACK`.
    PublicAndLoopback,
    /// Those of this machine: a URL with `http`, so that an event is never sent over a network without TLS.
    Loopback,
}

/// The error of a URL or a name without an address that may be connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the address is not a public one")]
pub(crate) struct AddressRefused;

/// Why a URL is not requested. The text does not contain the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    #[error("must be an absolute URL")]
    NoUrl,
    #[error("must be an https URL")]
    NotHttps,
    #[error("must be an https URL, or an http URL of a loopback address")]
    NotHttpsOrLoopback,
    #[error("must have no user name and no password")]
    Userinfo,
    #[error("must not name an address that is not public, such as a private, link-local or loopback address")]
    NotPublic,
}

impl Reach {
    /// Of the addresses that `url` may lead to. `allow_loopback` permits loopback addresses, and `http` to these only.
    pub(crate) fn of(url: &Url, allow_loopback: bool) -> Result<Self, InvalidUrl> {
        let reach = match (url.scheme(), allow_loopback) {
            ("https", false) => Self::Public,
            ("https", true) => Self::PublicAndLoopback,
            ("http", true) => Self::Loopback,
            (_, false) => return Err(InvalidUrl::NotHttps),
            (_, true) => return Err(InvalidUrl::NotHttpsOrLoopback),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidUrl::Userinfo);
        }
        match reach.check(url) {
            Ok(()) => Ok(reach),
            Err(AddressRefused) if reach == Self::Loopback => Err(InvalidUrl::NotHttpsOrLoopback),
            Err(AddressRefused) => Err(InvalidUrl::NotPublic),
        }
    }

    /// Checks the address or the name in a URL. An address is never resolved, so that [`Guarded`] does not see it.
    pub(crate) fn check(self, url: &Url) -> Result<(), AddressRefused> {
        let allowed = match url.host() {
            Some(Host::Ipv4(address)) => self.allows(address.into()),
            Some(Host::Ipv6(address)) => self.allows(address.into()),
            // Any other name is checked when it is resolved. `http` is for `localhost` only.
            Some(Host::Domain(name)) => self != Self::Loopback || name == "localhost",
            None => false,
        };
        allowed.then_some(()).ok_or(AddressRefused)
    }

    pub(crate) fn allows(self, address: IpAddr) -> bool {
        let is_public = match address {
            IpAddr::V4(address) => is_public_v4(address),
            IpAddr::V6(address) => is_public_v6(address),
        };
        match self {
            Self::Public => is_public,
            Self::PublicAndLoopback => is_public || address.is_loopback(),
            Self::Loopback => address.is_loopback(),
        }
    }
}

/// Resolves names to the addresses that may be connected to.
///
/// The others are dropped. If a name has both kinds, the allowed ones are used: nothing is connected to that was not
/// checked, and in a network with DNS64 each name has an address of NAT64 beside its public one. If none is left, the
/// error is [`AddressRefused`].
#[derive(Debug)]
pub(crate) struct Guarded<R> {
    reach: Reach,
    resolver: R,
}

impl<R> Guarded<R> {
    pub(crate) fn new(reach: Reach, resolver: R) -> Self {
        Self { reach, resolver }
    }
}

impl<R: Resolve> Resolve for Guarded<R> {
    fn resolve(&self, name: Name) -> Resolving {
        let (reach, resolving) = (self.reach, self.resolver.resolve(name));
        Box::pin(async move {
            let (allowed, forbidden): (Vec<_>, Vec<_>) = resolving.await?.partition(|found| reach.allows(found.ip()));
            if allowed.is_empty() && !forbidden.is_empty() {
                return Err(AddressRefused.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// The operating system's resolver.
#[derive(Debug)]
pub(crate) struct System;

impl Resolve for System {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // The port is that of the URL: reqwest replaces 0.
            let found: io::Result<Vec<SocketAddr>> =
                tokio::net::lookup_host((name.as_str(), 0)).await.map(Iterator::collect);
            Ok(Box::new(found?.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ipnet::IpNet;

    use super::*;

    const CASES: &str = include_str!("ssrf_cases.txt");

    /// The lines of a kind, without the kind.
    fn cases(kind: &str) -> Vec<&'static str> {
        let cases: Vec<_> = CASES.lines().filter_map(|line| line.strip_prefix(kind)?.strip_prefix(' ')).collect();
        assert!(!cases.is_empty(), "{kind}");
        cases
    }

    fn reach_of(url: &str, allow_loopback: bool) -> Option<Reach> {
        Reach::of(&Url::parse(url).ok()?, allow_loopback).ok()
    }

    fn url_of(address: IpAddr) -> String {
        format!("https://{}/hooks", if address.is_ipv6() { format!("[{address}]") } else { address.to_string() })
    }

    /// Answers each name with these addresses.
    struct Fixed(Vec<IpAddr>);

    impl Resolve for Fixed {
        fn resolve(&self, _: Name) -> Resolving {
            let found: Vec<_> = self.0.iter().map(|address| SocketAddr::new(*address, 0)).collect();
            Box::pin(async { Ok(Box::new(found.into_iter()) as Addrs) })
        }
    }

    /// The addresses that remain, or `None` if the name is refused.
    async fn resolved(reach: Reach, name: &str, addresses: &[IpAddr]) -> Option<Vec<IpAddr>> {
        let resolving = Guarded::new(reach, Fixed(addresses.to_vec())).resolve(name.parse().unwrap());
        match resolving.await {
            Ok(allowed) => Some(allowed.map(|allowed| allowed.ip()).collect()),
            Err(error) => {
                assert!(error.is::<AddressRefused>());
                None
            }
        }
    }

    #[test]
    fn every_line_of_the_list_is_of_a_kind() {
        let kinds = ["url", "address", "name", "public"];
        let lines: Vec<_> = CASES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        assert_eq!(kinds.iter().map(|kind| cases(kind).len()).sum::<usize>(), lines.len());
    }

    /// So a network that is missing is noticed.
    #[test]
    fn each_network_has_an_address_in_the_list_that_no_other_network_contains() {
        let addresses: Vec<IpAddr> = cases("address").iter().map(|text| text.parse().unwrap()).collect();
        let networks = FORBIDDEN_V4.iter().chain(FORBIDDEN_V6).map(|text| text.parse::<IpNet>().unwrap());
        let networks: Vec<_> = networks.collect();
        for network in &networks {
            let only_here = |address: &IpAddr| networks.iter().all(|one| one.contains(address) == (one == network));
            assert!(addresses.iter().any(only_here), "{network}");
        }
    }

    #[test]
    fn a_url_that_leads_inside_is_refused_in_any_spelling() {
        for url in cases("url") {
            assert_eq!(reach_of(url, false), None, "{url}");
        }
    }

    #[tokio::test]
    async fn addresses_that_are_not_public_are_refused_in_urls_and_behind_names() {
        for text in cases("address") {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(reach_of(&url_of(address), false), None, "{text}");
            assert_eq!(resolved(Reach::Public, "app.example", &[address]).await, None, "{text}");
            let with_loopback = resolved(Reach::PublicAndLoopback, "app.example", &[address]).await;
            assert_eq!(with_loopback.is_some(), address.is_loopback(), "{text}");
        }
    }

    #[tokio::test]
    async fn public_addresses_are_accepted() {
        for text in cases("public") {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(reach_of(&url_of(address), false), Some(Reach::Public), "{text}");
            assert_eq!(resolved(Reach::Public, "app.example", &[address]).await, Some(vec![address]), "{text}");
        }
    }

    #[tokio::test]
    async fn a_name_is_refused_for_what_it_resolves_to() {
        for line in cases("name") {
            let (name, address) = line.split_once(' ').unwrap();
            let url = format!("https://{name}/hooks");
            assert_eq!(reach_of(&url, false), Some(Reach::Public), "{name}");
            let host = Url::parse(&url).unwrap().host_str().unwrap().to_owned();
            assert_eq!(resolved(Reach::Public, &host, &[address.parse().unwrap()]).await, None, "{name}");
        }
    }

    #[tokio::test]
    async fn of_several_addresses_only_the_public_ones_are_used() {
        let [public, private, nat64, loopback] =
            ["1.1.1.1", "10.0.0.1", "64:ff9b::101:101", "127.0.0.1"].map(|text| text.parse::<IpAddr>().unwrap());
        let all = [private, nat64, public, loopback];
        assert_eq!(resolved(Reach::Public, "app.example", &all).await, Some(vec![public]));
        assert_eq!(resolved(Reach::PublicAndLoopback, "app.example", &all).await, Some(vec![public, loopback]));
        assert_eq!(resolved(Reach::Loopback, "localhost", &all).await, Some(vec![loopback]));
        assert_eq!(resolved(Reach::Public, "app.example", &[private, nat64]).await, None);
        // A name without addresses is another error: nobody can be connected to.
        assert_eq!(resolved(Reach::Public, "app.example", &[]).await, Some(Vec::new()));
    }

    #[test]
    fn loopback_is_allowed_where_it_is_permitted_and_nothing_else() {
        let cases = BTreeMap::from([
            ("http://127.0.0.1:8000/hooks", Some(Reach::Loopback)),
            ("http://127.1/", Some(Reach::Loopback)),
            ("http://localhost:3000/", Some(Reach::Loopback)),
            ("http://[::1]/", Some(Reach::Loopback)),
            ("https://127.0.0.1/", Some(Reach::PublicAndLoopback)),
            ("https://localhost/", Some(Reach::PublicAndLoopback)),
            ("https://app.example/", Some(Reach::PublicAndLoopback)),
            ("http://app.example/", None),
            ("http://app.localhost/", None),
            ("http://localhost./", None),
            ("http://1.1.1.1/", None),
            ("http://0.0.0.0/", None),
            ("http://[::ffff:127.0.0.1]/", None),
            ("http://[::127.0.0.1]/", None),
            ("http://[64:ff9b::7f00:1]/", None),
            ("https://[::ffff:127.0.0.1]/", None),
            ("https://10.0.0.1/", None),
            ("https://169.254.169.254/", None),
            ("https://u:p@127.0.0.1/", None),
            ("ftp://127.0.0.1/", None),
        ]);
        for (url, reach) in cases {
            assert_eq!(reach_of(url, true), reach, "{url}");
        }
    }

    #[test]
    fn a_refusal_says_what_is_wrong_without_the_url() {
        let refusal = |url: &str, allow_loopback| Reach::of(&Url::parse(url).unwrap(), allow_loopback).unwrap_err();
        assert_eq!(refusal("http://app.example/", false), InvalidUrl::NotHttps);
        assert_eq!(refusal("http://app.example/", true), InvalidUrl::NotHttpsOrLoopback);
        assert_eq!(refusal("https://u@app.example/", true), InvalidUrl::Userinfo);
        assert_eq!(refusal("https://127.0.0.1/", false), InvalidUrl::NotPublic);
    }
}
