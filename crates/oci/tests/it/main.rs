//! The client against a real registry, and against token servers as registries have them.
#![expect(clippy::unwrap_used, reason = "tests fail loudly")]

mod artifacts;
mod content;
mod keyless;
mod login;
mod scripted;
mod tokens;

use std::collections::BTreeSet;

use base::Secret;
use fetch::{Addresses, Client, Plain};
use oci::{Credentials, Limits, Login, Options, Reference, Registries, Repository};

/// A client that may reach this machine, as somebody.
fn client(credentials: Credentials) -> Registries {
    let options = fetch::Options {
        addresses: Addresses::Private,
        plain: Plain::Loopback,
        ..fetch::Options::default()
    };
    Registries::new(Options {
        http: Client::new(options),
        credentials,
        insecure: BTreeSet::new(),
        limits: Limits {
            manifest: 64 << 10,
            blob: 1 << 20,
            list: 50,
            redirects: 3,
        },
    })
}

fn anyone() -> Registries {
    client(Credentials::none())
}

fn password(user: &str, password: &str) -> Login {
    Login::Password {
        user: user.to_owned(),
        password: Secret::new(password),
    }
}

fn reference(registry: &testkit::Registry, rest: &str) -> Reference {
    Reference::parse(&format!("{}/{rest}", registry.authority())).unwrap()
}

fn repository(registry: &testkit::Registry, path: &str) -> Repository {
    reference(registry, path).repository
}
