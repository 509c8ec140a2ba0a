use proptest::prelude::*;
use serde_json::json;

use super::*;

#[test]
fn names() {
    for name in [
        "DB_PASSWORD",
        "GITHUB_TOKEN",
        "accessToken",
        "api_key",
        "API-KEY",
        "apikey",
        "AWS_SECRET_ACCESS_KEY",
        "private.key",
        "PGPASSWORD",
        "MYSQL_ROOT_PASSWORD",
        "client_secret",
        "Authorization",
        "SENTRY_DSN",
        "key",
        "dbPassword",
        "SSH_KEY",
        "identitytoken",
    ] {
        assert!(is_secret_name(name), "{name}");
    }
    for name in [
        "PATH",
        "PWD",
        "OLDPWD",
        "KEYBOARD",
        "PUBLIC_KEY",
        "tokenizer",
        "POSTGRES_PASSWORD_FILE",
        "AUTH_ENABLED",
        "SSH_AUTH_SOCK",
        "compass",
        "bypass",
        "MONKEY",
        "HOME",
        "author",
        "",
    ] {
        assert!(!is_secret_name(name), "{name}");
    }
}

#[test]
fn free_text() {
    for (given, wanted) in [
        ("nothing here: see docs", "nothing here: see docs"),
        (
            "postgres://app:hunter2@db:5432/x",
            "postgres://app:[redacted]@db:5432/x",
        ),
        ("http://user@host/", "http://user@host/"),
        (
            "Authorization: Bearer abcDEF123456.xyz",
            "Authorization: Bearer [redacted]",
        ),
        ("basic usage of containers", "basic usage of containers"),
        (
            "token ghp_0123456789abcdefghijABCDEFGHIJ end",
            "token [redacted] end",
        ),
        ("--password=s3cret --user=me", "--password=[redacted] --user=me"),
        (
            r#"{"api_key": "a\"b", "x": 1}"#,
            r#"{"api_key": "[redacted]", "x": 1}"#,
        ),
        ("DB_PASSWORD=p4ss w", "DB_PASSWORD=[redacted] w"),
        ("password: required", "password: required"),
        (
            r#"{"progressToken": 3, "token": null, "secret": ["x"]}"#,
            r#"{"progressToken": 3, "token": null, "secret": ["x"]}"#,
        ),
        ("4000 tokens: max_tokens=4000", "4000 tokens: max_tokens=4000"),
        (
            "k -----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY----- z",
            "k [redacted] z",
        ),
        (
            "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----",
            "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----",
        ),
        (
            "docker swarm join --token SWMTKN-1-abc-def 10.0.0.1:2377",
            "docker swarm join --token [redacted] 10.0.0.1:2377",
        ),
    ] {
        assert_eq!(text(given), wanted);
    }
}

#[test]
fn trees() {
    let mut tree = json!({
        "Env": ["PATH=/bin", "API_TOKEN=abc", "URL=redis://:pw@r/0"],
        "Cmd": ["run", "--password", "hunter2", "--verbose"],
        "Labels": {"team": "blue", "app.secret": "xyz"},
        "auth": {"user": "u", "pass": "p"},
        "AuthEnabled": true,
    });
    json(&mut tree);
    assert_eq!(
        tree,
        json!({
            "Env": ["PATH=/bin", "API_TOKEN=[redacted]", "URL=redis://:[redacted]@r/0"],
            "Cmd": ["run", "--password", "[redacted]", "--verbose"],
            "Labels": {"team": "blue", "app.secret": "[redacted]"},
            "auth": "[redacted]",
            "AuthEnabled": true,
        })
    );
}

#[test]
fn a_secret_does_not_print() {
    let secret = Secret::new("hunter2");
    assert_eq!(format!("{secret} {secret:?}"), "[redacted] [redacted]");
}

/// Each of these read the rest of the text again at each beginning: minutes for what now takes milliseconds.
#[test]
fn many_beginnings_are_read_once() {
    for beginning in [
        "xoxb-",
        "sk-",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY",
        "key=",
        "key=//",
        "key='",
        "token=${",
        "://a:b@",
        "://a",
        "bearer ",
        "\"key\":",
        "pass-",
        "key:",
    ] {
        let long = beginning.repeat((1 << 20) / beginning.len());
        assert!(text(&long).len() <= 4 * long.len() + 64, "{beginning}");
    }
}

proptest! {
    #[test]
    fn any_text_is_accepted_and_redacting_twice_changes_nothing(given in "\\PC{0,80}|[a-z:=@/\" -]{0,60}") {
        let once = text(&given).into_owned();
        prop_assert_eq!(text(&once).into_owned(), once);
    }

    #[test]
    fn an_assigned_secret_is_gone(value in "[A-Za-z0-9]{8,20}") {
        prop_assume!(!is_harmless(&value));
        for given in [format!("MY_TOKEN={value}"), format!("\"password\": \"{value}\""), format!("x://u:{value}@h/")] {
            prop_assert!(!text(&given).contains(&value));
        }
    }
}
