//! Logging in: by password, by token, and not at all.

use base::Secret;
use bytes::Bytes;
use oci::{Credentials, Error, Login, media};
use testkit::Registry;

use crate::tokens::{REFRESH, TokenServer, USER};
use crate::{anyone, client, password, repository};

fn told(error: &Error, registry: &Registry) -> String {
    error.to_string().replace(registry.authority(), "HOST")
}

#[tokio::test]
async fn by_password() {
    let registry = Registry::start_with_password().await;
    let here = repository(&registry, "test/basic");
    let content = Bytes::from_static(b"content");
    let refused = anyone()
        .push_blob(&here, media::BYTES, content.clone())
        .await
        .unwrap_err();
    let text = told(&refused, &registry);
    assert!(
        text.contains("HOST asks for a login, and there are no credentials for it; run `docker login HOST`"),
        "{text}"
    );
    let known = Registry::CREDENTIALS;
    let wrong = client(Credentials::fixed(
        registry.authority(),
        password(known.user, "wrong"),
    ));
    let text = told(&wrong.ping(registry.authority()).await.unwrap_err(), &registry);
    assert!(
        text.contains("401 Unauthorized")
            && text.contains("run `docker login HOST`")
            && !text.contains("wrong"),
        "{text}"
    );
    // Bound to their registry: those of another are not even looked at.
    let other = client(Credentials::fixed(
        "docker.io",
        password(known.user, known.password),
    ));
    assert!(matches!(
        other.ping(registry.authority()).await,
        Err(Error::Login { .. })
    ));
    let good = client(Credentials::fixed(
        registry.authority(),
        password(known.user, known.password),
    ));
    good.ping(registry.authority()).await.unwrap();
    let described = good
        .push_blob(&here, media::BYTES, content.clone())
        .await
        .unwrap();
    assert_eq!(good.blob(&here, &described).await.unwrap(), content);
    let large = vec![7; 5 << 20];
    good.push_blob_from(&here, media::BYTES, large.as_slice())
        .await
        .unwrap();
    let token = client(Credentials::fixed(
        registry.authority(),
        Login::IdentityToken(Secret::new("x")),
    ));
    let text = told(&token.ping(registry.authority()).await.unwrap_err(), &registry);
    assert!(
        text.contains("takes a user name and a password, and the credentials are a token"),
        "{text}"
    );
    let broken = client(Credentials::new(|_| {
        Box::pin(async { Err("the keyring is locked".to_owned()) })
    }));
    let text = told(&broken.ping(registry.authority()).await.unwrap_err(), &registry);
    assert!(
        text.contains("can't be looked up: the keyring is locked"),
        "{text}"
    );
}

#[tokio::test]
async fn by_token() {
    let tokens = TokenServer::start().await;
    let registry = Registry::start_with_tokens(&tokens.realm, &tokens.certificate).await;
    let here = repository(&registry, "test/bearer");
    let content = Bytes::from_static(b"content");
    let user = client(Credentials::fixed(registry.authority(), password(USER.0, USER.1)));
    let described = user
        .push_blob(&here, media::BYTES, content.clone())
        .await
        .unwrap();
    assert_eq!(user.blob(&here, &described).await.unwrap(), content);
    // One token for reading, one for writing; each serves for all requests of its kind.
    assert_eq!(
        tokens.asked(),
        [
            "somebody: repository:test/bearer:pull",
            "somebody: repository:test/bearer:pull,push"
        ]
    );
    let other = repository(&registry, "test/other");
    assert!(user.mount_blob(&other, &here, &described.digest).await.unwrap());
    assert_eq!(
        tokens.asked().last().unwrap(),
        "somebody: repository:test/other:pull,push repository:test/bearer:pull"
    );

    // Without credentials what is public can be read, and nothing written.
    assert_eq!(anyone().blob(&here, &described).await.unwrap(), content);
    let refused = anyone()
        .push_blob(&here, media::BYTES, Bytes::from_static(b"more"))
        .await
        .unwrap_err();
    let text = told(&refused, &registry);
    assert!(
        text.contains("authentication required") && text.contains("docker login HOST"),
        "{text}"
    );

    let refresh = client(Credentials::fixed(
        registry.authority(),
        Login::IdentityToken(Secret::new(REFRESH)),
    ));
    refresh
        .push_blob(&here, media::BYTES, Bytes::from_static(b"refreshed"))
        .await
        .unwrap();
    let stranger = client(Credentials::fixed(
        registry.authority(),
        password(USER.0, "wrong-horse"),
    ));
    let text = told(&stranger.blob(&here, &described).await.unwrap_err(), &registry);
    assert!(
        text.contains("the credentials for HOST are not accepted; run `docker login HOST`")
            && !text.contains("horse"),
        "{text}"
    );
}

#[tokio::test]
async fn credentials_do_not_go_to_a_token_server_without_tls() {
    let tokens = TokenServer::start().await;
    let registry = Registry::start_with_tokens("http://tokens.example.com/token", &tokens.certificate).await;
    let here = repository(&registry, "test/x");
    let user = client(Credentials::fixed(registry.authority(), password(USER.0, USER.1)));
    let text = told(
        &user
            .push_blob(&here, media::BYTES, Bytes::new())
            .await
            .unwrap_err(),
        &registry,
    );
    assert!(
        text.contains("sends clients to the token server tokens.example.com without TLS"),
        "{text}"
    );
}
