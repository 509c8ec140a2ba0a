//! Several sources in a row.

use base::Secret;
use secrets::{DockerPass, EnvFile, Environment, Folder, Source, Sources, Vault, VaultKey};

use crate::{Bench, name};

fn chain(bench: &Bench) -> Sources {
    let environment = [
        ("DOCKMASTER_SECRET_A_KEY", "from the environment"),
        ("DOCKMASTER_SECRET_EMPTY", ""),
        ("PATH", "/usr/bin"),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), Secret::new(value)));
    fs_err::create_dir(bench.path().join("files")).unwrap();
    fs_err::write(bench.path().join("files/b.key"), "from a file\n").unwrap();
    fs_err::write(bench.path().join(".env"), "b.key=from .env\nc.key=from .env\n").unwrap();
    Sources::new([
        Source::Environment(Environment::new(environment)),
        Source::Folder(Folder::new(bench.path().join("files"))),
        Source::EnvFile(EnvFile::new(bench.path().join(".env"))),
        Source::Vault(Vault::new(
            bench.path().join("vault"),
            VaultKey::File(bench.path().join("key")),
        )),
    ])
}

#[tokio::test]
async fn the_first_that_has_a_secret_gives_it() {
    let bench = Bench::new();
    let sources = chain(&bench);
    for secret in ["a.key", "b.key", "c.key", "d.key", "empty"] {
        let place = sources
            .set(&name(secret), &Secret::new("from the vault"))
            .await
            .unwrap();
        assert!(place.starts_with("the encrypted file "), "{place}");
    }
    for (secret, wanted) in [
        ("a.key", "from the environment"),
        ("b.key", "from a file"),
        ("c.key", "from .env"),
        ("d.key", "from the vault"),
        ("empty", "from the vault"),
    ] {
        assert_eq!(
            sources.require(&name(secret)).await.unwrap(),
            Secret::new(wanted),
            "{secret}"
        );
    }
    let listing = sources.list().await;
    let lines: Vec<String> = listing
        .entries
        .iter()
        .map(|entry| {
            let place = entry.place.replace(&bench.path().display().to_string(), "DIR");
            format!(
                "{} in {place}{}",
                entry.name,
                if entry.is_hidden { " (hidden)" } else { "" }
            )
        })
        .collect();
    assert!(listing.faults.is_empty());
    insta::assert_snapshot!(lines.join("\n"), @"
    DOCKMASTER_SECRET_A_KEY in the environment
    a.key in the encrypted file DIR/vault
    b.key in the folder DIR/files
    b.key in the file DIR/.env (hidden)
    b.key in the encrypted file DIR/vault (hidden)
    c.key in the file DIR/.env
    c.key in the encrypted file DIR/vault (hidden)
    d.key in the encrypted file DIR/vault
    empty in the encrypted file DIR/vault
    ");
    let removed = sources.remove(&name("b.key")).await.unwrap();
    let places: Vec<String> = removed
        .still_in
        .iter()
        .map(|place| place.replace(&bench.path().display().to_string(), "DIR"))
        .collect();
    assert!(removed.from.is_some());
    assert_eq!(places, ["the folder DIR/files", "the file DIR/.env"]);
}

#[tokio::test]
async fn errors_say_what_to_do() {
    let bench = Bench::new();
    let sources = chain(&bench);
    insta::assert_snapshot!(sources.require(&name("x.key")).await.unwrap_err(), @"the secret x.key is not set; set it with `dockmaster secret set x.key`");
    insta::assert_snapshot!(sources.set(&name("x"), &Secret::new("")).await.unwrap_err(), @"the value for x can't be stored: it is empty; `dockmaster secret remove` removes a secret");
    insta::assert_snapshot!(sources.set(&name("x"), &Secret::new("a\0b")).await.unwrap_err(), @"the value for x can't be stored: it has a NUL character, which no environment variable can hold");
    assert!(
        sources
            .set(&name("x"), &Secret::new("x".repeat(secrets::LONGEST + 1)))
            .await
            .is_err()
    );
    let read_only = Sources::new([Source::Environment(Environment::default())]);
    insta::assert_snapshot!(read_only.set(&name("x"), &Secret::new("value")).await.unwrap_err(), @"no place to store secrets is configured: the environment can only be read; configure the encrypted file, a credential helper or `docker pass` under [secrets]");
}

#[tokio::test]
async fn a_source_that_fails_is_not_passed_over() {
    let bench = Bench::new();
    bench.program("docker", "echo 'Error: the keyring is locked' >&2; exit 1");
    let file = EnvFile::new(bench.path().join(".env"));
    fs_err::write(bench.path().join(".env"), "a=old value\n").unwrap();
    let sources = Sources::new([
        Source::DockerPass(DockerPass::new(bench.programs())),
        Source::EnvFile(file),
    ]);
    let told = sources.get(&name("a")).await.unwrap_err().to_string();
    assert!(
        told.contains("the keyring is locked") && !told.contains("old value"),
        "{told}"
    );
    let listing = sources.list().await;
    assert_eq!((listing.entries.len(), listing.faults.len()), (1, 1));
    assert!(!format!("{sources:?}").contains("old value"));
}
