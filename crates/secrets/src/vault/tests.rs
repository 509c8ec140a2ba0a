use super::*;

fn name(text: &str) -> SecretName {
    SecretName::parse(text).unwrap()
}

struct Rig {
    folder: tempfile::TempDir,
}

impl Rig {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("state/secrets.vault")
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("keys/secrets.key")
    }

    fn vault(&self) -> Vault {
        Vault::new(self.path(), VaultKey::File(self.key()))
    }

    fn with_passphrase(&self, passphrase: &str) -> Vault {
        Vault::new(self.path(), VaultKey::Passphrase(Secret::new(passphrase)))
    }

    /// What an error says, with this folder's name taken out.
    fn told(&self, error: &Error) -> String {
        error
            .to_string()
            .replace(&self.folder.path().display().to_string(), "DIR")
    }

    async fn filled(&self) -> Vault {
        let vault = self.vault();
        vault
            .set(&name("a.key"), Secret::new("value of a"))
            .await
            .unwrap();
        vault
    }
}

#[tokio::test]
async fn a_value_comes_back_and_is_nowhere_in_the_file() {
    let rig = Rig::new();
    let vault = rig.vault();
    assert!(vault.get(&name("a")).await.unwrap().is_none() && vault.names().await.unwrap().is_empty());
    assert!(!vault.remove(&name("a")).await.unwrap());
    assert!(
        !rig.path().exists() && !rig.key().exists(),
        "reading makes nothing"
    );

    for (secret, value) in [
        ("b", "zweite: ü\n\"quoted\""),
        ("a", "hunter22 first"),
        ("a", "hunter22 second"),
    ] {
        vault.set(&name(secret), Secret::new(value)).await.unwrap();
    }
    let other = rig.vault();
    assert_eq!(
        other.get(&name("a")).await.unwrap(),
        Some(Secret::new("hunter22 second"))
    );
    assert_eq!(
        other.get(&name("b")).await.unwrap(),
        Some(Secret::new("zweite: ü\n\"quoted\""))
    );
    assert_eq!(other.names().await.unwrap(), [name("a"), name("b")]);
    let text = fs_err::read_to_string(rig.path()).unwrap();
    assert!(!text.contains("hunter22") && !text.contains("\"b\""), "{text}");

    assert!(other.remove(&name("a")).await.unwrap() && !other.remove(&name("a")).await.unwrap());
    assert_eq!(vault.get(&name("a")).await.unwrap(), None);
    assert_eq!(vault.names().await.unwrap(), [name("b")]);
}

#[cfg(unix)]
#[tokio::test]
async fn files_are_the_users_alone_and_a_key_that_is_not_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let rig = Rig::new();
    let vault = rig.filled().await;
    let mode = |path: &Path| fs_err::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (
            mode(&rig.path()),
            mode(&rig.key()),
            mode(rig.path().parent().unwrap())
        ),
        (0o600, 0o600, 0o700)
    );
    fs_err::set_permissions(rig.key(), std::fs::Permissions::from_mode(0o640)).unwrap();
    let told = rig.told(&vault.get(&name("a.key")).await.unwrap_err());
    insta::assert_snapshot!(told, @"the encrypted file DIR/state/secrets.vault: reading a.key failed: its key DIR/keys/secrets.key: others can read it (mode 640); run `chmod 600 DIR/keys/secrets.key`, and store anew what others may have read");
}

#[tokio::test]
async fn every_change_to_the_file_is_seen() {
    let rig = Rig::new();
    let vault = rig.filled().await;
    let good = fs_err::read_to_string(rig.path()).unwrap();
    let value: serde_json::Value = serde_json::from_str(&good).unwrap();
    let flip = |text: &str| {
        let last = if text.starts_with('A') { "B" } else { "A" };
        format!("{last}{}", &text[1..])
    };
    for place in ["/nonce", "/content", "/head/check"] {
        let mut changed = value.clone();
        let field = changed.pointer_mut(place).unwrap();
        *field = flip(field.as_str().unwrap()).into();
        fs_err::write(rig.path(), changed.to_string()).unwrap();
        assert!(vault.get(&name("a.key")).await.is_err(), "{place}");
        assert!(
            vault.set(&name("b"), Secret::new("x")).await.is_err(),
            "nothing is written over a file that is not understood"
        );
        assert_eq!(fs_err::read_to_string(rig.path()).unwrap(), changed.to_string());
    }
    for (content, wanted) in [
        (
            "",
            "it was damaged, or changed by something other than dockmaster",
        ),
        (
            "{}",
            "it was damaged, or changed by something other than dockmaster",
        ),
        (
            &good[..good.len() / 2],
            "it was damaged, or changed by something other than dockmaster",
        ),
        (
            &good.replacen('1', "2", 1),
            "it has version 2, and this dockmaster knows version 1",
        ),
        (
            &good.replacen("\"nonce\"", "\"more\": 1, \"nonce\"", 1),
            "it was damaged, or changed by something other than dockmaster",
        ),
    ] {
        fs_err::write(rig.path(), content).unwrap();
        let told = rig.told(&vault.get(&name("a.key")).await.unwrap_err());
        assert!(told.contains(wanted), "{told}");
    }
    fs_err::write(rig.path(), &good).unwrap();
    assert!(vault.get(&name("a.key")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_key_that_is_gone_or_another_is_told() {
    let rig = Rig::new();
    let vault = rig.filled().await;
    let key = fs_err::read_to_string(rig.key()).unwrap();
    fs_err::remove_file(rig.key()).unwrap();
    for attempt in [
        vault.get(&name("a.key")).await.map(drop),
        vault.set(&name("b"), Secret::new("x")).await,
    ] {
        let told = rig.told(&attempt.unwrap_err());
        assert!(
            told.contains("its key DIR/keys/secrets.key: it does not exist; restore the key"),
            "{told}"
        );
    }
    assert!(!rig.key().exists(), "no new key for an old file");
    let other = Rig::new();
    other.filled().await;
    fs_err::copy(other.key(), rig.key()).unwrap();
    let told = rig.told(&vault.get(&name("a.key")).await.unwrap_err());
    assert!(
        told.contains(
            "it was sealed with another key; restore the key that belongs to it as DIR/keys/secrets.key"
        ),
        "{told}"
    );
    fs_err::write(rig.key(), "short\n").unwrap();
    assert!(vault.get(&name("a.key")).await.is_err());
    fs_err::write(rig.key(), key).unwrap();
    assert!(vault.get(&name("a.key")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_passphrase() {
    let rig = Rig::new();
    let vault = rig.with_passphrase("correct horse");
    vault.set(&name("a"), Secret::new("value")).await.unwrap();
    assert!(!rig.key().exists());
    assert_eq!(
        rig.with_passphrase("correct horse")
            .get(&name("a"))
            .await
            .unwrap(),
        Some(Secret::new("value"))
    );
    let told = rig.told(
        &rig.with_passphrase("wrong horse")
            .get(&name("a"))
            .await
            .unwrap_err(),
    );
    assert!(
        told.contains("sealed with another key; give the passphrase that it was made with"),
        "{told}"
    );
    let told = rig.told(&rig.vault().get(&name("a")).await.unwrap_err());
    assert!(
        told.contains("it was sealed with a passphrase, and a key file is configured"),
        "{told}"
    );
    let forged = fs_err::read_to_string(rig.path())
        .unwrap()
        .replace("65536", "4294967295");
    fs_err::write(rig.path(), forged).unwrap();
    let told = rig.told(
        &rig.with_passphrase("correct horse")
            .get(&name("a"))
            .await
            .unwrap_err(),
    );
    assert!(told.contains("out of bounds"), "{told}");
}

#[tokio::test]
async fn writers_take_turns() {
    let rig = Rig::new();
    let writers = (0..20).map(|n| {
        let vault = rig.vault();
        async move { vault.set(&name(&format!("n{n}")), Secret::new("value")).await }
    });
    let mut set = tokio::task::JoinSet::new();
    for writer in writers {
        set.spawn(writer);
    }
    while let Some(result) = set.join_next().await {
        result.unwrap().unwrap();
    }
    assert_eq!(rig.vault().names().await.unwrap().len(), 20);
}

#[test]
fn nothing_prints_a_key() {
    let vault = Vault::new("x", VaultKey::Passphrase(Secret::new("hunter22")));
    assert!(!format!("{vault:?}").contains("hunter22"));
}
