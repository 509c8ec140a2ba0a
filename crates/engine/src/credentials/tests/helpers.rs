//! Programs that are asked for credentials.

use std::time::Instant;

use super::*;

const ECHO: &str = r#"read url; echo "{\"ServerURL\":\"$url\",\"Username\":\"$1\",\"Secret\":\"$url\"}""#;

#[test]
fn helpers_are_asked_for_the_registry() {
    let config = json!({
        "credsStore": "store",
        "credHelpers": {"reg.io": "echo", "https://gcr.example/v2/": "echo", "file.io": ""},
        "auths": {"reg.io": {"auth": USER}, "file.io": {"auth": USER}, "kept.io": {"auth": USER}},
    });
    let helpers = [
        ("echo", ECHO),
        (
            "store",
            "read url; case $url in *kept*) echo credentials not found in native keychain; exit 1;; esac; echo '{\"Username\":\"<token>\",\"Secret\":\"t\"}'",
        ),
    ];
    let home = Home::new(&config.to_string(), &helpers);
    for (registry, expected) in [
        (
            "reg.io",
            r#"{"username":"get","password":"reg.io","serveraddress":"reg.io"}"#,
        ),
        (
            "gcr.example",
            r#"{"username":"get","password":"gcr.example","serveraddress":"gcr.example"}"#,
        ),
        (
            "docker.io",
            r#"{"identitytoken":"t","serveraddress":"https://index.docker.io/v1/"}"#,
        ),
        (
            "file.io",
            r#"{"username":"user","password":"s3cret","serveraddress":"file.io"}"#,
        ),
        (
            "kept.io",
            r#"{"username":"user","password":"s3cret","serveraddress":"kept.io"}"#,
        ),
    ] {
        assert_eq!(sent(home.ask(registry)), expected, "{registry}");
    }
    let hub = Home::new(r#"{"credsStore": "echo"}"#, &helpers);
    let auth = hub.ask("docker.io").unwrap().unwrap();
    assert!(
        auth.json()
            .expose()
            .contains(r#""password":"https://index.docker.io/v1/""#)
    );
    assert_eq!(auth.origin().to_string(), "docker-credential-echo");
}

#[test]
fn helpers_that_fail() {
    for (script, expected) in [
        ("echo credentials not found in native keychain; exit 1", Ok(None)),
        ("echo 'Credentials Not Found'; exit 1", Ok(None)),
        (r#"echo '{"Username":"","Secret":""}'"#, Ok(None)),
        ("echo the keyring is locked; exit 1", Err("the keyring is locked")),
        (
            "echo 'no such thing: --password=hunter2hunter2' >&2; exit 3",
            Err("no such thing: --password=[redacted]"),
        ),
        ("exit 1", Err("it ended with an error and without a word")),
        ("echo nonsense", Err("its answer is not a JSON object")),
        (
            "yes | head -c 1100000; sleep 60",
            Err("its answer has more than 1048576 bytes"),
        ),
        ("head -c 300000 /dev/zero >&2; echo odd; exit 1", Err("odd")),
    ] {
        let home = Home::new(r#"{"credsStore": "h"}"#, &[("h", script)]);
        let expected = expected
            .map_err(|reason| format!("docker-credential-h gave no credentials for reg.io: {reason}"));
        let started = Instant::now();
        assert_eq!(home.ask("reg.io"), expected, "{script}");
        assert!(started.elapsed() < Duration::from_secs(15), "{script}");
    }
}

#[test]
fn a_helper_that_hangs_is_stopped_with_its_children() {
    let home = Home::new(
        r#"{"credsStore": "h"}"#,
        &[("h", "sleep 300 & echo $! >$(dirname $0)/child; wait")],
    );
    let options = Options {
        helper_time: Duration::from_millis(500),
        ..home.options()
    };
    let started = Instant::now();
    let error = ask(options, "reg.io").unwrap_err();
    insta::assert_snapshot!(error, @"docker-credential-h gave no answer for reg.io within 0.5 s and was stopped; does it wait for someone to unlock a keyring?");
    assert!(started.elapsed() < Duration::from_secs(10));
    let child = fs_err::read_to_string(home.0.path().join("child")).unwrap();
    let stat = format!("/proc/{}/stat", child.trim());
    let runs = || fs_err::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
    let deadline = Instant::now() + Duration::from_secs(10);
    while runs() {
        assert!(Instant::now() < deadline, "the helper's child still runs");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn helpers_that_are_not_there() {
    for (name, expected) in [
        (
            "missing",
            "docker-credential-missing, which DIR/config.json names for reg.io, is not on the PATH; install it, or take its entry out",
        ),
        (
            "../evil",
            "DIR/config.json names the credential helper \"../evil\", which is no program name; use letters, digits, '.', '_' and '-'",
        ),
        (
            "-x",
            "DIR/config.json names the credential helper \"-x\", which is no program name; use letters, digits, '.', '_' and '-'",
        ),
        (
            "a b",
            "DIR/config.json names the credential helper \"a b\", which is no program name; use letters, digits, '.', '_' and '-'",
        ),
    ] {
        let home = Home::new(&json!({ "credsStore": name }).to_string(), &[]);
        assert_eq!(home.ask("reg.io").unwrap_err(), expected);
    }
    let home = Home::new(r#"{"credsStore": "h"}"#, &[("h", ECHO)]);
    fs_err::set_permissions(
        home.0.path().join("docker-credential-h"),
        PermissionsExt::from_mode(0o644),
    )
    .unwrap();
    assert!(
        home.ask("reg.io").unwrap_err().contains("is not on the PATH"),
        "not executable"
    );
    let no_path = Options {
        path: None,
        ..home.options()
    };
    assert!(ask(no_path, "reg.io").unwrap_err().contains("is not on the PATH"));
}
