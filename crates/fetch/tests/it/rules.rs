//! What may be reached.

use std::net::IpAddr;

use crate::peer::{Peer, answer, client, here};
use fetch::{Addresses, Client, Kind, Options, Plain, Request};

/// Addresses in every spelling are judged before anything is sent.
#[tokio::test]
async fn spellings_of_addresses() {
    let client = Client::new(Options {
        plain: Plain::Permitted,
        addresses: Addresses::Public,
        ..here()
    });
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "localhost",
        "127.0.0.1.",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "10.0.0.1",
        "100.64.0.1",
        "0.0.0.0",
        "[::]",
        "１２７.0.0.1",
    ] {
        let error = client
            .send(Request::get(&format!("http://{host}/")).unwrap())
            .await
            .unwrap_err();
        assert!(matches!(error.kind, Kind::Forbidden { .. }), "{host}: {error}");
        assert!(!error.may_have_happened());
    }
}

#[tokio::test]
async fn a_name_is_what_it_resolves_to() {
    let peer = Peer::start(|seen| vec![answer("200 OK", "", seen.header("host").unwrap())]).await;
    let with = |addresses: &[&str], rule: Addresses, plain| {
        let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
        let client = Client::new(Options {
            hosts: [("name.example".to_owned(), addresses)].into(),
            addresses: rule,
            plain,
            ..here()
        });
        let request = Request::get(&format!("http://Name.example:{}/", peer.port)).unwrap();
        async move { client.send(request).await?.text().await }
    };
    let only = |range: &str| Addresses::Only(vec![range.parse().unwrap()]);

    // Rebinding: a public name with an address of this machine.
    let error = with(&["127.0.0.1"], Addresses::Public, Plain::Permitted)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "http://name.example:{}/: name.example has the address 127.0.0.1, which is this machine; that is not \
             permitted here",
            peer.port
        )
    );
    let error = with(&[], Addresses::Public, Plain::Permitted).await.unwrap_err();
    assert!(matches!(error.kind, Kind::Resolve { .. }), "{error}");
    // Of several addresses only the permitted ones are tried.
    let host = format!("name.example:{}", peer.port);
    let mixed = ["169.254.169.254", "127.0.0.1"];
    assert_eq!(
        with(&mixed, Addresses::Private, Plain::Permitted).await.unwrap(),
        host
    );
    assert_eq!(
        with(&mixed, only("127.0.0.0/8"), Plain::Permitted).await.unwrap(),
        host
    );
    assert!(
        with(&["127.0.0.1"], only("10.0.0.0/8"), Plain::Permitted)
            .await
            .is_err()
    );
    // Without TLS to this machine alone, whatever else the name says.
    assert_eq!(
        with(&["10.9.9.9", "127.0.0.1"], Addresses::Private, Plain::Loopback)
            .await
            .unwrap(),
        host
    );
    let error = with(&["10.9.9.9"], Addresses::Private, Plain::Loopback)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("plain HTTP is not permitted"),
        "{error}"
    );
    let error = with(&["127.0.0.1"], Addresses::Private, Plain::Refused)
        .await
        .unwrap_err();
    assert!(matches!(error.kind, Kind::Refused(_)), "{error}");
    // An address that does not answer holds up the next for a moment only.
    assert_eq!(
        with(&["127.0.0.9", "127.0.0.1"], Addresses::Private, Plain::Loopback)
            .await
            .unwrap(),
        host
    );
}

#[tokio::test]
async fn what_is_no_request() {
    for (url, reason) in [
        ("", "relative URL without a base"),
        ("https://", "empty host"),
        ("https://a b/?token=x", "invalid international domain name"),
        ("https://host:99999/", "invalid port number"),
    ] {
        let error = Request::get(url).unwrap_err().to_string();
        assert!(error.contains(reason), "{url}: {error}");
        assert!(!error.contains("token"), "{error}");
    }
    for url in [
        "ftp://a.example/",
        "file:///etc/passwd",
        "data:,x",
        "https://user@a.example/",
        "https://:pw@a.example/",
    ] {
        let error = client().send(Request::get(url).unwrap()).await.unwrap_err();
        assert!(matches!(error.kind, Kind::Refused(_)), "{url}: {error}");
        assert!(!error.to_string().contains("pw"), "{error}");
    }
    let request = || Request::get("https://a.example").unwrap();
    let error = request().header("X-Token", "se\ncret").unwrap_err().to_string();
    assert!(error.contains("X-Token") && !error.contains("cret"), "{error}");
    assert!(request().header("a b", "c").is_err());
}

#[tokio::test]
async fn rules_can_be_changed_for_a_copy() {
    let peer = Peer::start(|_| vec![answer("200 OK", "", "")]).await;
    let strict = Client::new(Options::default());
    assert!(strict.send(Request::get(&peer.url("/")).unwrap()).await.is_err());
    let lax = strict.with_rules(Addresses::Private, Plain::Loopback);
    assert!(lax.send(Request::get(&peer.url("/")).unwrap()).await.is_ok());
    assert!(strict.send(Request::get(&peer.url("/")).unwrap()).await.is_err());
}

#[tokio::test]
async fn dialling_follows_the_rules_too() {
    let peer = Peer::start(|_| vec![]).await;
    let limit = std::time::Duration::from_secs(5);
    let error = fetch::dial("localhost", peer.port, &Addresses::Public, limit)
        .await
        .unwrap_err();
    assert!(matches!(error, Kind::Forbidden { .. }), "{error}");
    fetch::dial("127.0.0.1", peer.port, &Addresses::Private, limit)
        .await
        .unwrap();
}
