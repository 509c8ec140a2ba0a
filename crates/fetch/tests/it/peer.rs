//! Clients for servers of the test.

use fetch::{Addresses, Client, Options, Plain};

pub(crate) use testkit::{Peer, Step, answer, send};

/// Options for servers of the test: this machine, without TLS.
pub(crate) fn here() -> Options {
    Options {
        user_agent: "test/1".to_owned(),
        addresses: Addresses::Private,
        plain: Plain::Loopback,
        ..Options::default()
    }
}

pub(crate) fn client() -> Client {
    Client::new(here())
}
