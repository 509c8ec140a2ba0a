//! What a host and we agree on, where the host leaves no choice.

use crate::support::*;
use testkit::Sshd;

#[tokio::test]
async fn each_that_is_safe_will_do() {
    for line in [
        "KexAlgorithms curve25519-sha256",
        "KexAlgorithms curve25519-sha256@libssh.org",
        "KexAlgorithms ecdh-sha2-nistp256",
        "KexAlgorithms ecdh-sha2-nistp384",
        "KexAlgorithms ecdh-sha2-nistp521",
        "KexAlgorithms diffie-hellman-group14-sha256",
        "KexAlgorithms diffie-hellman-group16-sha512",
        "Ciphers chacha20-poly1305@openssh.com",
        "Ciphers aes128-gcm@openssh.com",
        "Ciphers aes256-gcm@openssh.com",
        "Ciphers aes128-ctr",
        "Ciphers aes192-ctr",
        "Ciphers aes256-ctr",
        "Ciphers aes128-ctr\nMACs hmac-sha2-256-etm@openssh.com",
        "Ciphers aes128-ctr\nMACs hmac-sha2-512-etm@openssh.com",
        "Ciphers aes128-ctr\nMACs hmac-sha2-256",
        "Ciphers aes128-ctr\nMACs hmac-sha2-512",
    ] {
        let sshd = Sshd::start(line).await;
        let host = host(&sshd);
        assert_eq!(hello(&host).await.unwrap(), "hello\n", "{line}");
        host.close().await;
    }
}

#[tokio::test]
async fn none_that_is_not_safe() {
    for (line, offered) in [
        (
            "KexAlgorithms diffie-hellman-group14-sha1",
            "diffie-hellman-group14-sha1",
        ),
        ("Ciphers aes128-cbc", "aes128-cbc"),
        ("Ciphers aes128-ctr\nMACs hmac-sha1", "hmac-sha1"),
    ] {
        let sshd = Sshd::start(line).await;
        let said = told(&sshd, &hello(&host(&sshd)).await.unwrap_err());
        assert!(said.contains("algorithm in common"), "{line}: {said}");
        assert!(said.contains(&format!("offers {offered}")), "{line}: {said}");
        assert!(said.contains("ssh = \"system\""), "{line}: {said}");
    }
}
