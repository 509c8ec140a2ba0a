//! Hosts that are known, unknown, changed, revoked, or vouched for.

use crate::support::*;
use ssh::{Error, Host, Trust};
use testkit::Sshd;

async fn check(sshd: &Sshd, trust: Trust) -> (Result<String, Error>, Vec<String>) {
    let person = Person::new(trust, &[]);
    let host = Host::new(target(sshd.port()), options(sshd, &person));
    let result = hello(&host).await;
    host.close().await;
    (result, person.asked())
}

fn known(sshd: &Sshd, text: &str) {
    let text = text.replace("{key}", sshd.read("host_key.pub").trim());
    fs_err::write(path(sshd, ".ssh/known_hosts"), text).unwrap();
}

#[tokio::test]
async fn unknown_hosts() {
    let sshd = Sshd::start("").await;
    known(&sshd, "# nobody");
    let (result, asked) = check(&sshd, Trust::Refuse).await;
    insta::assert_snapshot!(told(&sshd, &result.unwrap_err()), @"the key of 127.0.0.1 port PORT is not known: it shows ssh-ed25519 SHA256:… Compare that with what the host's owner says (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub over there); if it is the same, log in once with the system's ssh, or add this line to ~/.ssh/known_hosts: [127.0.0.1]:PORT ssh-ed25519 AAAA…");
    assert_eq!(asked.len(), 1, "{asked:?}");
    // Once: this host, not the next one.
    let person = Person::new(Trust::Once, &[]);
    let host = Host::new(target(sshd.port()), options(&sshd, &person));
    assert_eq!(hello(&host).await.unwrap(), "hello\n");
    host.close().await;
    assert_eq!(sshd.read(".ssh/known_hosts"), "# nobody");
    // Remembered: from then on nobody is asked.
    let (result, asked) = check(&sshd, Trust::Remember).await;
    assert_eq!((result.unwrap(), asked.len()), ("hello\n".into(), 1));
    let file = sshd.read(".ssh/known_hosts");
    assert!(
        file.starts_with(&format!("# nobody\n[127.0.0.1]:{} ssh-ed25519 ", sshd.port())),
        "{file}"
    );
    let (result, asked) = check(&sshd, Trust::Refuse).await;
    assert_eq!((result.unwrap(), asked.len()), ("hello\n".into(), 0));
    // The system's ssh reads what we have written.
    let found = std::process::Command::new("ssh-keygen")
        .args(["-F", &format!("[127.0.0.1]:{}", sshd.port()), "-f"])
        .arg(path(&sshd, ".ssh/known_hosts"))
        .output()
        .unwrap();
    assert!(found.status.success());

    known(&sshd, "");
    configure(&sshd, "StrictHostKeyChecking yes");
    let (result, asked) = check(&sshd, Trust::Remember).await;
    assert!(matches!(result, Err(Error::UnknownHost { .. })) && asked.is_empty());
    configure(&sshd, "StrictHostKeyChecking accept-new");
    let (result, asked) = check(&sshd, Trust::Refuse).await;
    assert_eq!((result.unwrap(), asked.len()), ("hello\n".into(), 0));
}

#[tokio::test]
async fn hosts_that_are_not_to_be_trusted() {
    let sshd = Sshd::start("").await;
    sshd.key("ed25519", "other", "").await;
    let other = sshd.read("other.pub");
    // Nobody may agree to these, and no option lets them pass.
    configure(&sshd, "StrictHostKeyChecking no");
    known(&sshd, &format!("[127.0.0.1]:{} {other}", sshd.port()));
    let (result, asked) = check(&sshd, Trust::Once).await;
    insta::assert_snapshot!(told(&sshd, &result.unwrap_err()), @"the key of 127.0.0.1 has changed: it shows SHA256:… and ~/.ssh/known_hosts line 1 has SHA256:… Someone may be in between. If the host was set up anew, ask its owner for the new fingerprint, and have `ssh-keygen -R '[127.0.0.1]:PORT'` remove the old key");
    assert!(asked.is_empty());
    known(
        &sshd,
        &format!("[127.0.0.1]:{} {{key}}\n@revoked * {{key}}", sshd.port()),
    );
    let (result, asked) = check(&sshd, Trust::Once).await;
    insta::assert_snapshot!(told(&sshd, &result.unwrap_err()), @"the key of 127.0.0.1 is revoked by ~/.ssh/known_hosts line 2: it is not to be trusted. Ask the host's owner for a new key");
    assert!(asked.is_empty());
}

#[tokio::test]
async fn the_key_that_is_known_is_asked_for() {
    // It has two keys; the one that we know is not the one it would show.
    let sshd = Sshd::start("HostKey {home}/second\nHostKeyAlgorithms +rsa-sha2-512").await;
    let mut sshd = sshd;
    sshd.stop().await;
    sshd.key("rsa", "second", "").await;
    sshd.run().await;
    let second = sshd.read("second.pub");
    known(&sshd, &format!("[127.0.0.1]:{} {second}", sshd.port()));
    let (result, asked) = check(&sshd, Trust::Refuse).await;
    assert_eq!((result.unwrap(), asked.len()), ("hello\n".into(), 0));
}

#[tokio::test]
async fn authorities() {
    let mut sshd = Sshd::start("HostCertificate {home}/host_key-cert.pub").await;
    sshd.stop().await;
    sshd.key("ed25519", "ca", "").await;
    let sign = async |name: &str, validity: &str| {
        sshd.keygen(&[
            "-s",
            "ca",
            "-h",
            "-I",
            "box",
            "-n",
            name,
            "-V",
            validity,
            "host_key.pub",
        ])
        .await;
    };
    sign("127.0.0.1", "-1h:+1h").await;
    sshd.run().await;
    let ca = sshd.read("ca.pub");
    known(&sshd, &format!("@cert-authority [127.0.0.*]:* {ca}"));
    let (result, asked) = check(&sshd, Trust::Refuse).await;
    assert_eq!((result.unwrap(), asked.len()), ("hello\n".into(), 0));
    known(&sshd, &format!("@cert-authority * {ca}@revoked * {ca}"));
    let (result, _) = check(&sshd, Trust::Once).await;
    assert!(matches!(result, Err(Error::RevokedHost { .. })), "{result:?}");
    sshd.stop().await;
    sshd.keygen(&[
        "-s",
        "ca",
        "-h",
        "-I",
        "box",
        "-n",
        "127.0.0.1",
        "-V",
        "-2h:-1h",
        "host_key.pub",
    ])
    .await;
    sshd.run().await;
    known(&sshd, &format!("@cert-authority * {ca}"));
    let (result, _) = check(&sshd, Trust::Once).await;
    let text = told(&sshd, &result.unwrap_err());
    assert!(text.ends_with("does not hold: it has expired"), "{text}");
}
