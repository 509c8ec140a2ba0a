//! Who is believed: hosts with other keys than before, revoked ones, and keys that nobody lets in.

use std::process::Command;

use serde_json::json;

use super::Far;

/// `SHA256:…` of a public key in a file.
fn fingerprint(file: &std::path::Path) -> String {
    let output = Command::new("ssh-keygen").arg("-lf").arg(file).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split(' ').nth(1).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn on_hosts_a_host_with_another_key_is_refused() {
    let Some(far) = Far::new("", "", "") else { return };
    let key = |host: &str| far.home().parent().unwrap().join(host).join("host_key.pub");
    // Of `three`, the jump host's key counts.
    for (host, over, line) in [("two", "two", 2), ("three", "one", 1)] {
        let known = fingerprint(&key(over));
        let (code, said) = far.call("list_volumes", &json!({"host": host}));
        assert_eq!(code, 0, "{said}");
        far.run(&["rekey", over]);
        let shown = fingerprint(&key(over));
        let (code, said) = far.call("list_volumes", &json!({"host": host}));
        assert_eq!(code, 1, "{said}");
        for part in [
            format!("on host {host}: "),
            format!("the key of {over} ("),
            format!(
                "has changed: it shows {shown}, and HOME/.ssh/known_hosts line {line} has {known}. Someone may be in between"
            ),
            "have `ssh-keygen -R '198.18.".to_owned(),
        ] {
            assert!(said.contains(&part), "{part}: {said}");
        }
    }
    // Configuring the question away does not help.
    let config = fs_err::read_to_string(far.ssh("config")).unwrap();
    fs_err::write(far.ssh("config"), format!("StrictHostKeyChecking no\n{config}")).unwrap();
    let (code, said) = far.call("list_volumes", &json!({"host": "two"}));
    assert!(code == 1 && said.contains("has changed"), "{said}");

    // Whoever has learnt the new keys is there again.
    fs_err::copy(far.home().join(".ssh/known_hosts"), far.ssh("known_hosts")).unwrap();
    let (code, said) = far.call("list_volumes", &json!({"host": "*"}));
    assert!(code == 0 && !said.contains("did not answer"), "{said}");

    // Revoked beats known.
    let known = fs_err::read_to_string(far.ssh("known_hosts")).unwrap();
    let revoked = fs_err::read_to_string(key("two")).unwrap();
    fs_err::write(far.ssh("known_hosts"), format!("{known}@revoked * {revoked}")).unwrap();
    let (code, said) = far.call("list_volumes", &json!({"host": "two"}));
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("is revoked by HOME/.ssh/known_hosts line 4: it is not to be trusted"),
        "{said}"
    );
    let (code, said) = far.call("list_volumes", &json!({"host": "one"}));
    assert_eq!(code, 0, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_hosts_wrong_keys_are_named() {
    let Some(far) = Far::new("", "", "") else { return };
    fs_err::copy(far.home().join("stranger"), far.ssh("id_ed25519")).unwrap();
    fs_err::copy(far.home().join("stranger"), far.ssh("other")).unwrap();
    for (host, who) in [("two", "two"), ("three", "one")] {
        let (code, said) = far.call("list_volumes", &json!({"host": host}));
        assert_eq!(code, 1, "{said}");
        for part in [
            format!("{who} (198.18."),
            "does not let deploy in: HOME/.ssh/id_ed25519: not taken".to_owned(),
            "Put a public key of yours into ~deploy/.ssh/authorized_keys over there (ssh-copy-id)".to_owned(),
        ] {
            assert!(said.contains(&part), "{part}: {said}");
        }
        assert!(!said.contains("TLS"), "{said}");
    }
    let config = fs_err::read_to_string(far.ssh("config")).unwrap();
    let named = format!("IdentityFile ~/.ssh/other\nIdentityFile ~/.ssh/missing\n{config}");
    fs_err::write(far.ssh("config"), named).unwrap();
    let (_, said) = far.call("list_volumes", &json!({"host": "two"}));
    assert!(
        said.contains("HOME/.ssh/other: not taken") && said.contains("~/.ssh/missing is not there"),
        "{said}"
    );
}
