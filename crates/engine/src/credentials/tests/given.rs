//! Credentials given outright, by variables.

use super::*;

fn explicit(username: &str, password: &str, config: &str, scope: Scope) -> Result<Explicit, String> {
    let given = Given {
        username: Some(username.to_owned()),
        password: Some(Secret::new(password)),
        auth_config: Some(Secret::new(config)),
        scope,
    };
    Explicit::parse(given).map_err(|error| error.to_string())
}

/// What is sent to `registry` with these given.
fn sent_as_given(username: &str, password: &str, config: &str, scope: Scope, registry: &str) -> String {
    let explicit = explicit(username, password, config, scope).unwrap();
    sent(ask(
        Options {
            explicit,
            ..Options::default()
        },
        registry,
    ))
}

#[test]
fn user_and_password_given_outright() {
    let reg = || Scope::Registries(vec![host("reg.io")]);
    let login = |server: &str| format!(r#"{{"username":"u","password":"p","serveraddress":"{server}"}}"#);
    for (scope, registry, expected) in [
        (Scope::Hub, "docker.io", login("https://index.docker.io/v1/")),
        (Scope::Hub, "reg.io", String::new()),
        (reg(), "reg.io", login("reg.io")),
        (reg(), "docker.io", String::new()),
        (Scope::Every, "any.io", login("any.io")),
    ] {
        assert_eq!(
            sent_as_given("u", "p", "", scope, registry),
            expected,
            "{registry}"
        );
    }
    assert_eq!(sent_as_given("", "", "", Scope::Every, "reg.io"), "");
}

#[test]
fn a_configuration_given_outright() {
    let single = r#"{"username":"u","password":"p"}"#;
    let encoded = STANDARD.encode(single);
    let bound = r#"{"username":"u","password":"p","serveraddress":"https://reg.io/v2/"}"#;
    let map = r#"{"reg.io":{"auth":"dXNlcjpzM2NyZXQ="},"other.io":{"identitytoken":"t"}}"#;
    let whole = r#"{"auths":{"reg.io":{"auth":"dXNlcjpzM2NyZXQ="}}}"#;
    let hub = r#"{"username":"u","password":"p","serveraddress":"https://index.docker.io/v1/"}"#;
    let reg = r#"{"username":"u","password":"p","serveraddress":"reg.io"}"#;
    let user = r#"{"username":"user","password":"s3cret","serveraddress":"reg.io"}"#;
    for (config, scope, registry, expected) in [
        (single, Scope::Hub, "docker.io", hub),
        (&encoded, Scope::Hub, "docker.io", hub),
        (bound, Scope::Every, "reg.io", reg),
        (bound, Scope::Every, "docker.io", ""),
        (map, Scope::Hub, "reg.io", user),
        (
            map,
            Scope::Hub,
            "other.io",
            r#"{"identitytoken":"t","serveraddress":"other.io"}"#,
        ),
        (whole, Scope::Hub, "reg.io", user),
    ] {
        assert_eq!(
            sent_as_given("", "", config, scope, registry),
            expected,
            "{config} {registry}"
        );
    }
    // What names its registry goes before what is bound to it from outside.
    let scope = Scope::Registries(vec![host("reg.io")]);
    assert_eq!(sent_as_given("x", "y", bound, scope, "reg.io"), reg);
}

#[test]
fn what_was_given_and_is_wrong() {
    for (username, password, config, expected) in [
        (
            "u",
            "",
            "",
            "REGISTRY_USERNAME is not usable: REGISTRY_PASSWORD is missing beside it",
        ),
        (
            "",
            "s3cret",
            "",
            "REGISTRY_PASSWORD is not usable: REGISTRY_USERNAME is missing beside it",
        ),
        (
            "",
            "",
            "s3cret",
            "REGISTRY_AUTH_CONFIG is not usable: a JSON object is wanted, as it is or in base64",
        ),
        (
            "",
            "",
            r#"{"username":"u"}"#,
            "REGISTRY_AUTH_CONFIG is not usable: neither a password nor a token is there",
        ),
        (
            "",
            "",
            r#"{"reg.io":"s3cret"}"#,
            r#"REGISTRY_AUTH_CONFIG is not usable: "reg.io": an object is wanted"#,
        ),
        (
            "",
            "",
            r#"{"reg.io":{"auth":"s3cret!"}}"#,
            r#"REGISTRY_AUTH_CONFIG is not usable: "reg.io".auth: it is not base64"#,
        ),
        (
            "",
            "",
            r#"{"a b":{"password":"s3cret"}}"#,
            r#"REGISTRY_AUTH_CONFIG is not usable: "a b" is not a registry's host"#,
        ),
        (
            "",
            "",
            r#"{"password":["s3cret"]}"#,
            "REGISTRY_AUTH_CONFIG is not usable: password: a text is wanted",
        ),
    ] {
        let error = explicit(username, password, config, Scope::Hub).unwrap_err();
        assert_eq!(error, expected);
    }
}

#[test]
fn explicit_goes_before_configured() {
    let home = Home::new(
        &json!({"auths": {"reg.io": {"auth": USER}, "docker.io": {"auth": USER}}}).to_string(),
        &[],
    );
    let options = Options {
        explicit: explicit("x", "y", "", Scope::Hub).unwrap(),
        ..home.options()
    };
    let credentials = Credentials::new(options);
    run(async {
        let hub = credentials
            .for_registry(&RegistryHost::hub())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (hub.username(), hub.origin()),
            ("x", &Origin::Given("REGISTRY_USERNAME"))
        );
        let other = credentials.for_registry(&host("reg.io")).await.unwrap().unwrap();
        assert_eq!(other.origin(), &Origin::Config(home.0.path().join("config.json")));
        let known = credentials.known_registries().await.unwrap();
        assert_eq!(known, [host("docker.io"), host("reg.io")]);
    });
}
