//! Every kind of key that lets someone in, and what is said when none does.

use crate::support::*;
use ssh::{Host, Trust};
use std::process::Stdio;
use std::sync::Arc;
use testkit::Sshd;
use tokio::process::Command;

/// Logs in with the key at `id` alone.
async fn check(sshd: &Sshd, person: &Arc<Person>) -> Result<String, String> {
    let host = Host::new(target(sshd.port()), options(sshd, person));
    let result = hello(&host).await;
    host.close().await;
    result.map_err(|error| told(sshd, &error))
}

#[tokio::test]
async fn kinds() {
    let sshd = Sshd::start("").await;
    let nobody = Person::new(Trust::Refuse, &[]);
    for kind in ["ed25519", "ecdsa", "rsa"] {
        sshd.key(kind, kind, "").await;
        configure(&sshd, &format!("IdentityFile ~/{kind}"));
        let error = check(&sshd, &nobody).await.unwrap_err();
        assert!(
            error.contains(&format!("~/{kind}: not taken. Put a public key of yours")),
            "{error}"
        );
        sshd.allow(&format!("{kind}.pub"));
        assert_eq!(check(&sshd, &nobody).await.unwrap(), "hello\n", "{kind}");
    }
    // The formats of before: PEM (PKCS 1), PKCS 8.
    for (name, format) in [("pem", "PEM"), ("pkcs8", "PKCS8")] {
        let file = path(&sshd, name);
        sshd.keygen(&["-t", "rsa", "-m", format, "-N", "", "-f", &file.to_string_lossy()])
            .await;
        sshd.allow(&format!("{name}.pub"));
        configure(&sshd, &format!("IdentityFile ~/{name}"));
        assert_eq!(check(&sshd, &nobody).await.unwrap(), "hello\n", "{name}");
    }
}

#[tokio::test]
async fn encrypted_keys_are_asked_for_when_they_would_be_taken() {
    let sshd = Sshd::start("").await;
    sshd.key("ed25519", "locked", "correct horse").await;
    configure(&sshd, "IdentityFile ~/locked");
    let person = Person::new(Trust::Refuse, &["wrong", "correct horse"]);
    let error = check(&sshd, &person).await.unwrap_err();
    assert!(error.contains("~/locked: not taken"), "{error}");
    assert_eq!(person.asked(), Vec::<String>::new(), "nobody is asked in vain");
    sshd.allow("locked.pub");
    assert_eq!(check(&sshd, &person).await.unwrap(), "hello\n");
    assert_eq!(person.asked(), ["passphrase locked 1", "passphrase locked 2"]);
    let nobody = Person::new(Trust::Refuse, &[]);
    let error = check(&sshd, &nobody).await.unwrap_err();
    assert!(
        error.contains("~/locked: it is encrypted, and nobody gave its passphrase; add it to the agent"),
        "{error}"
    );
}

#[tokio::test]
async fn certificates() {
    let sshd = Sshd::start("TrustedUserCAKeys {home}/ca.pub").await;
    sshd.key("ed25519", "ca", "").await;
    let nobody = Person::new(Trust::Refuse, &[]);
    for kind in ["ed25519", "ecdsa", "rsa"] {
        sshd.key(kind, kind, "").await;
        configure(&sshd, &format!("IdentityFile ~/{kind}"));
        assert!(check(&sshd, &nobody).await.is_err(), "{kind}");
        sshd.keygen(&[
            "-s",
            "ca",
            "-I",
            "me",
            "-n",
            &Sshd::user(),
            &format!("{kind}.pub"),
        ])
        .await;
        assert_eq!(check(&sshd, &nobody).await.unwrap(), "hello\n", "{kind}");
    }
    // Named on its own.
    fs_err::rename(path(&sshd, "ed25519-cert.pub"), path(&sshd, "mine")).unwrap();
    configure(&sshd, "IdentityFile ~/ed25519\nCertificateFile ~/mine");
    assert_eq!(check(&sshd, &nobody).await.unwrap(), "hello\n");
}

#[tokio::test]
async fn agents() {
    let sshd = Sshd::start("").await;
    let socket = path(&sshd, "agent");
    let _agent = Command::new("ssh-agent")
        .args(["-D", "-a"])
        .arg(&socket)
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("ssh-agent is missing; install openssh-client");
    testkit::eventually("the agent", || async { socket.exists().then_some(()) }).await;
    let add = |file: &'static str| {
        let (socket, home) = (socket.clone(), sshd.home());
        async move {
            let mut command = Command::new("ssh-add");
            command
                .arg("-q")
                .arg(file)
                .current_dir(home)
                .env("SSH_AUTH_SOCK", socket);
            assert!(command.status().await.unwrap().success());
        }
    };
    let login = |config: &'static str| {
        configure(&sshd, config);
        let host = host_with(&sshd, |options| options.agent = Some(socket.clone()));
        async move { hello(&host).await.map_err(|error| error.to_string()) }
    };
    for kind in ["ed25519", "rsa"] {
        sshd.key(kind, kind, "").await;
        sshd.allow(&format!("{kind}.pub"));
    }
    fs_err::rename(path(&sshd, ".ssh/id_ed25519"), path(&sshd, "away")).unwrap();
    fs_err::rename(path(&sshd, ".ssh/id_ed25519.pub"), path(&sshd, "away.pub")).unwrap();
    assert!(login("").await.is_err(), "the agent is empty");
    add("rsa").await;
    assert_eq!(login("").await.unwrap(), "hello\n");
    let error = login("IdentitiesOnly yes\nIdentityFile ~/none")
        .await
        .unwrap_err();
    assert!(error.contains("~/none is not there"), "{error}");
    // The public half names one of the agent's.
    fs_err::remove_file(path(&sshd, "rsa")).unwrap();
    assert_eq!(
        login("IdentitiesOnly yes\nIdentityFile ~/rsa").await.unwrap(),
        "hello\n"
    );
    assert_eq!(
        login("IdentitiesOnly yes\nIdentityFile ~/rsa.pub").await.unwrap(),
        "hello\n"
    );
    assert!(login("IdentityAgent none").await.is_err());
    configure(&sshd, "IdentityAgent ~/agent");
    assert_eq!(hello(&host(&sshd)).await.unwrap(), "hello\n");
}

#[tokio::test]
async fn what_is_said_when_no_key_is_taken() {
    let sshd = Sshd::start("MaxAuthTries 2").await;
    let nobody = Person::new(Trust::Refuse, &[]);
    for name in ["a", "b", "c"] {
        sshd.key("ed25519", name, "").await;
    }
    fs_err::write(path(&sshd, "broken"), "no key").unwrap();
    configure(
        &sshd,
        "IdentityFile ~/broken\nIdentityFile ~/none\nIdentityFile ~/a",
    );
    insta::assert_snapshot!(check(&sshd, &nobody).await.unwrap_err(), @"127.0.0.1 does not let USER in: ~/a: not taken; ~/broken: others can read it (mode 644); chmod 600 it; ~/none is not there. Put a public key of yours into ~USER/.ssh/authorized_keys over there (ssh-copy-id), name another with IdentityFile in ~/.ssh/config, or start an agent that has it");
    configure(&sshd, "IdentityFile ~/a\nIdentityFile ~/b\nIdentityFile ~/c");
    insta::assert_snapshot!(check(&sshd, &nobody).await.unwrap_err(), @"127.0.0.1 does not let USER in: ~/a: not taken; ~/b: the host ended the connection. It may take fewer keys at a time than there are: name the right one with IdentityFile, and write 'IdentitiesOnly yes', in ~/.ssh/config");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        configure(&sshd, "IdentityFile ~/a");
        fs_err::set_permissions(path(&sshd, "a"), std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = check(&sshd, &nobody).await.unwrap_err();
        assert!(
            error.contains("~/a: others can read it (mode 644); chmod 600 it"),
            "{error}"
        );
    }
    let sshd = Sshd::start("PubkeyAuthentication no\nPasswordAuthentication yes").await;
    let error = check(&sshd, &nobody).await.unwrap_err();
    assert!(
        error.contains("The host takes no keys, only password, which is not done here"),
        "{error}"
    );
}
