use std::os::unix::fs::PermissionsExt;

use base::names::ImageRef;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

mod given;
mod helpers;

const USER: &str = "dXNlcjpzM2NyZXQ="; // user:s3cret

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(work)
}

fn host(text: &str) -> RegistryHost {
    RegistryHost::parse(text).unwrap()
}

/// A folder with this `config.json` and these helpers, which are shell scripts.
struct Home(tempfile::TempDir);

impl Home {
    fn new(config: &str, helpers: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("config.json"), config).unwrap();
        for (name, script) in helpers {
            let path = folder.path().join(format!("docker-credential-{name}"));
            fs_err::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs_err::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        }
        Self(folder)
    }

    fn options(&self) -> Options {
        let path = format!("relative::{}:/usr/bin:/bin", self.0.path().display());
        Options {
            config_dir: Some(self.0.path().to_path_buf()),
            path: Some(path.into()),
            helper_time: Duration::from_secs(20),
            ..Options::default()
        }
    }

    fn ask(&self, registry: &str) -> Result<Option<Auth>, String> {
        ask(self.options(), registry).map_err(|error| error.replace(self.0.path().to_str().unwrap(), "DIR"))
    }
}

fn ask(options: Options, registry: &str) -> Result<Option<Auth>, String> {
    run(Credentials::new(options).for_registry(&host(registry))).map_err(|error| error.to_string())
}

/// What is sent for `registry`, as text; empty if nothing is.
fn sent(answer: Result<Option<Auth>, String>) -> String {
    match answer {
        Ok(Some(auth)) => auth.json().expose().to_owned(),
        Ok(None) => String::new(),
        Err(error) => error,
    }
}

#[test]
fn registries_by_their_spellings() {
    for (text, expected) in [
        ("docker.io", Some("docker.io")),
        ("index.docker.io", Some("docker.io")),
        ("https://index.docker.io/v1/", Some("docker.io")),
        ("https://index.docker.io/v1/access-token", Some("docker.io")),
        ("reg.example", Some("reg.example")),
        ("Reg.Example:5000", Some("reg.example:5000")),
        ("http://reg.example:5000/v2/", Some("reg.example:5000")),
        ("reg.example/team/project", Some("reg.example")),
        (" 127.0.0.1:5000 ", Some("127.0.0.1:5000")),
        ("[::1]:5000", Some("[::1]:5000")),
        ("", None),
        ("https://", None),
        ("a b", None),
        ("user@host", None),
    ] {
        let found = RegistryHost::parse(text);
        assert_eq!(found.as_ref().map(RegistryHost::as_str), expected, "{text:?}");
    }
    for (image, expected) in [
        ("busybox", Some("docker.io")),
        ("reg.io:5000/a:1", Some("reg.io:5000")),
        ("sha256:ab", None),
    ] {
        let found = RegistryHost::of(&ImageRef::parse(image).unwrap());
        assert_eq!(found.as_ref().map(RegistryHost::as_str), expected, "{image:?}");
    }
    assert_eq!(RegistryHost::hub().config_key(), "https://index.docker.io/v1/");
}

#[test]
fn what_auths_holds() {
    // the entries of `auths`, the registry, what is sent
    for (auths, registry, expected) in [
        (
            json!({"reg.io": {"auth": USER}}),
            "reg.io",
            r#"{"username":"user","password":"s3cret","serveraddress":"reg.io"}"#,
        ),
        (
            json!({"https://reg.io/v2/": {"auth": USER}}),
            "reg.io",
            r#"{"username":"user","password":"s3cret","serveraddress":"reg.io"}"#,
        ),
        (
            json!({"https://reg.io": {"auth": ""}, "reg.io": {"auth": USER}}),
            "reg.io",
            r#"{"username":"user","password":"s3cret","serveraddress":"reg.io"}"#,
        ),
        (
            json!({"https://index.docker.io/v1/": {"auth": USER}}),
            "docker.io",
            r#"{"username":"user","password":"s3cret","serveraddress":"https://index.docker.io/v1/"}"#,
        ),
        (
            json!({"docker.io": {"Auth": USER}}),
            "index.docker.io",
            r#"{"username":"user","password":"s3cret","serveraddress":"https://index.docker.io/v1/"}"#,
        ),
        (
            json!({"reg.io": {"auth": "MDAwOg==", "identitytoken": "refresh"}}),
            "reg.io",
            r#"{"username":"000","identitytoken":"refresh","serveraddress":"reg.io"}"#,
        ),
        (
            json!({"reg.io": {"registrytoken": "bearer"}}),
            "reg.io",
            r#"{"registrytoken":"bearer","serveraddress":"reg.io"}"#,
        ),
        (
            json!({"reg.io": {"username": "u", "password": "p:q"}}),
            "reg.io",
            r#"{"username":"u","password":"p:q","serveraddress":"reg.io"}"#,
        ),
        // As the Windows client once wrote it, and with a colon in the password.
        (
            json!({"reg.io": {"auth": STANDARD.encode("u:a:b\0\0")}}),
            "reg.io",
            r#"{"username":"u","password":"a:b","serveraddress":"reg.io"}"#,
        ),
        (
            json!({"reg.io": {"auth": "dXNlcjpzM2NyZXQ"}}),
            "reg.io",
            r#"{"username":"user","password":"s3cret","serveraddress":"reg.io"}"#,
        ),
        // Nothing for this registry.
        (json!({"reg.io": {"auth": USER}}), "reg.io:5000", ""),
        (json!({"reg.io": {"auth": USER}}), "evil-reg.io", ""),
        (json!({"reg.io": {"auth": USER}}), "docker.io", ""),
        (json!({"reg.io": {}}), "reg.io", ""),
        (json!({"reg.io": null}), "reg.io", ""),
        (json!({}), "reg.io", ""),
        (json!(null), "reg.io", ""),
    ] {
        let home = Home::new(
            &json!({ "auths": auths, "HttpHeaders": {"X": "y"} }).to_string(),
            &[],
        );
        assert_eq!(sent(home.ask(registry)), expected, "{auths}");
    }
}

#[test]
fn no_configuration_is_no_fault() {
    let missing = tempfile::tempdir().unwrap();
    let gone = missing.path().join("gone");
    for config_dir in [None, Some(missing.path().to_path_buf()), Some(gone)] {
        let options = Options {
            config_dir,
            ..Options::default()
        };
        assert_eq!(ask(options, "reg.io"), Ok(None));
    }
    for empty in ["", " \n", "{}", r#"{"auths": {}, "credsStore": ""}"#] {
        assert_eq!(Home::new(empty, &[]).ask("reg.io"), Ok(None), "{empty:?}");
    }
}

#[test]
fn a_broken_configuration_is_named_with_its_place() {
    for (config, expected) in [
        (
            "{\n  \"auths\": {,}\n}",
            "line 2, column 13: it is not valid JSON",
        ),
        ("[]", "its beginning: it is not a JSON object"),
        (r#"{"auths": []}"#, "auths: an object is wanted"),
        (
            r#"{"auths": {"reg.io": "s3cret"}}"#,
            r#"auths."reg.io": an object is wanted"#,
        ),
        (
            r#"{"auths": {"reg.io": {"auth": "%%%"}}}"#,
            r#"auths."reg.io".auth: it is not base64"#,
        ),
        (
            r#"{"auths": {"reg.io": {"auth": "czNjcmV0"}}}"#,
            r#"auths."reg.io".auth: user:password is wanted inside its base64"#,
        ),
        (
            r#"{"auths": {"reg.io": {"auth": 7}}}"#,
            r#"auths."reg.io".auth: a text is wanted"#,
        ),
        (r#"{"credsStore": ["s3cret"]}"#, "credsStore: a text is wanted"),
        (
            r#"{"credHelpers": {"reg.io": {}}}"#,
            r#"credHelpers."reg.io": a helper's name is wanted"#,
        ),
    ] {
        let error = Home::new(config, &[]).ask("reg.io").unwrap_err();
        let expected =
            format!("the docker configuration DIR/config.json is not usable at {expected}; repair it");
        assert!(error.starts_with(&expected), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
    // An entry that is broken is no obstacle for others.
    let home = Home::new(
        &json!({"auths": {"bad.io": {"auth": "%"}, "reg.io": {"auth": USER}}}).to_string(),
        &[],
    );
    assert!(home.ask("reg.io").unwrap().is_some());
    let folder = Home::new("", &[]);
    fs_err::remove_file(folder.0.path().join("config.json")).unwrap();
    fs_err::create_dir(folder.0.path().join("config.json")).unwrap();
    assert!(
        folder
            .ask("reg.io")
            .unwrap_err()
            .starts_with("can't read the docker configuration DIR/config.json: ")
    );
}

#[test]
fn the_header_is_base64_with_the_url_alphabet() {
    // Both bytes become `+` and `/` in the standard alphabet.
    let home = Home::new(
        &json!({"auths": {"reg.io": {"username": "u", "password": "a>>?b~~~ÿÿ"}}}).to_string(),
        &[],
    );
    let auth = home.ask("reg.io").unwrap().unwrap();
    let standard = STANDARD.encode(auth.json().expose());
    assert!(standard.contains('/') && standard.contains('+'), "{standard}");
    assert_eq!(
        auth.header().expose(),
        standard.replace('+', "-").replace('/', "_")
    );
    assert_eq!(standard.len() % 4, 0);
    let shown = format!("{auth:?} {:?} {}", auth.header(), auth.json());
    assert!(!shown.contains("a>>") && !shown.contains("eyJ"), "{shown}");
    let options = format!("{:?}", home.options());
    assert!(!options.contains("a>>"), "{options}");
}

#[test]
fn a_build_gets_the_registries_it_uses() {
    let config =
        json!({"auths": {"reg.io": {"auth": USER}, "other.io": {"auth": USER}, "docker.io": {"auth": USER}}});
    let home = Home::new(&config.to_string(), &[]);
    let credentials = Credentials::new(home.options());
    run(async {
        let wanted = [host("reg.io"), RegistryHost::hub(), host("unknown.io")];
        let json = credentials.build_config(&wanted).await.unwrap().unwrap();
        let found: Value = serde_json::from_str(json.expose()).unwrap();
        let keys: Vec<_> = found.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["reg.io", "https://index.docker.io/v1/"]);
        assert_eq!(found["reg.io"]["password"], "s3cret");
        assert_eq!(credentials.build_config(&wanted[2..]).await.unwrap(), None);
    });
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u8>().prop_map(Value::from),
        prop_oneof![Just(USER.to_owned()), "[a-zA-Z0-9+/=:]{0,12}", "\\PC{0,6}"].prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        let key = prop_oneof![
            Just("auths".to_owned()),
            Just("credsStore".to_owned()),
            Just("credHelpers".to_owned()),
            Just("currentContext".to_owned()),
            Just("auth".to_owned()),
            Just("reg.io".to_owned()),
            Just("https://reg.io/v2/".to_owned()),
            Just("identitytoken".to_owned()),
            "\\PC{0,6}",
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((key, inner), 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_configuration_panics(content in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _either = ConfigFile::parse("config.json".into(), &content);
    }

    #[test]
    fn no_shape_of_a_configuration_panics(json in any_json()) {
        let text = json.to_string();
        if let Ok(config) = ConfigFile::parse("config.json".into(), text.as_bytes()) {
            for registry in [host("reg.io"), RegistryHost::hub()] {
                let _either = (config.helper(&registry).is_ok(), config.auth(&registry).is_ok());
            }
            let _either = (config.current_context().is_ok(), config.registries().count());
        }
        let given = Given { auth_config: Some(Secret::new(text)), ..Given::default() };
        let _either = Explicit::parse(given);
    }

    #[test]
    fn what_docker_login_writes_comes_back(user in "[^:\\x00]{1,12}", password in "[^\\x00]{1,20}") {
        let auth = STANDARD.encode(format!("{user}:{password}"));
        let config = json!({"auths": {"reg.io": {"auth": auth}}}).to_string();
        let config = ConfigFile::parse("config.json".into(), config.as_bytes()).unwrap();
        let found = config.auth(&host("reg.io")).unwrap().unwrap().to_value();
        prop_assert_eq!((&found["username"], &found["password"]), (&json!(user), &json!(password)));
    }
}
