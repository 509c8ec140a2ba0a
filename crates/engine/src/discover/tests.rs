use serde_json::json;
use sha2::{Digest, Sha256};

use super::*;
use crate::Verify;

/// A folder for a docker CLI's configuration, with its contexts.
struct Config(tempfile::TempDir);

impl Config {
    fn new(content: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("config.json"), content).unwrap();
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn context(self, name: &str, meta: &str, files: &[&str]) -> Self {
        let id = format!("{:x}", Sha256::digest(name));
        let folder = self.path().join("contexts/meta").join(&id);
        fs_err::create_dir_all(&folder).unwrap();
        fs_err::write(folder.join("meta.json"), meta).unwrap();
        let folder = self.path().join("contexts/tls").join(&id).join("docker");
        fs_err::create_dir_all(&folder).unwrap();
        for file in files {
            fs_err::write(folder.join(file), "pem").unwrap();
        }
        self
    }

    fn around(&self) -> Surroundings {
        Surroundings {
            docker_config: Some(self.path().to_path_buf()),
            ..Surroundings::default()
        }
    }

    /// What is found, one line, with the folder's path shortened.
    fn find(&self, around: Surroundings) -> String {
        let around = Surroundings {
            docker_config: Some(self.path().to_path_buf()),
            ..around
        };
        let found = match discover(&around) {
            Ok(found) => {
                let tls = match &found.endpoint {
                    Endpoint::Tls(_, tls) => {
                        let ca = tls
                            .ca
                            .as_ref()
                            .map_or("the system's".to_owned(), |ca| ca.display().to_string());
                        let own = tls
                            .identity
                            .as_ref()
                            .map_or("nobody".to_owned(), |own| own.key.display().to_string());
                        let verify = if tls.verify == Verify::Nothing {
                            ", believed"
                        } else {
                            ""
                        };
                        format!(" (ca {ca}, as {own}{verify})")
                    }
                    _ => String::new(),
                };
                format!("{}{tls}: {}", found.endpoint, found.origin)
            }
            Err(error) => error.to_string(),
        };
        found.replace(self.path().to_str().unwrap(), "DIR")
    }
}

fn meta(name: &str, host: &str) -> String {
    json!({"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": false}}})
        .to_string()
}

#[expect(clippy::unnecessary_wraps, reason = "the fields are optional")]
fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn who_decides() {
    let config = Config::new(r#"{"currentContext": "work"}"#)
        .context("work", &meta("work", "unix:///work.sock"), &[])
        .context("other", &meta("other", "tcp://other:1"), &[]);
    for (endpoint, docker_host, docker_context, expected) in [
        (
            text("unix:///own.sock"),
            text("tcp://h:1"),
            text("other"),
            "unix:///own.sock: the configuration says so",
        ),
        (None, text("tcp://h:1"), None, "tcp://h:1: DOCKER_HOST says so"),
        (
            None,
            text("tcp://h:1"),
            text("other"),
            "tcp://h:1: DOCKER_HOST says so; DOCKER_CONTEXT (other) does not count beside it, as with the docker CLI",
        ),
        (
            None,
            text("tcp://h:1"),
            text("default"),
            "tcp://h:1: DOCKER_HOST says so",
        ),
        (
            None,
            text("  "),
            text("other"),
            "tcp://other:1: docker context other, which DOCKER_CONTEXT names",
        ),
        (
            None,
            None,
            None,
            "unix:///work.sock: docker context work, which currentContext in DIR/config.json names",
        ),
    ] {
        let around = Surroundings {
            endpoint,
            docker_host,
            docker_context,
            ..Surroundings::default()
        };
        assert_eq!(config.find(around), expected);
    }
    // The context that is none leads to the sockets, whatever the configuration says.
    let around = Surroundings {
        docker_context: text("default"),
        ..config.around()
    };
    let origin = discover(&around).unwrap().origin;
    assert!(
        matches!(origin, Origin::Socket { .. } | Origin::Nowhere { .. }),
        "{origin}"
    );
}

#[test]
fn the_configurations_folder() {
    let config = Config::new(r#"{"currentContext": "x"}"#).context("x", &meta("x", "tcp://h:9"), &[]);
    let home = tempfile::tempdir().unwrap();
    fs_err::rename(config.path(), home.path().join(".docker")).unwrap();
    let at_home = Surroundings {
        home: Some(home.path().to_path_buf()),
        ..Surroundings::default()
    };
    assert_eq!(discover(&at_home).unwrap().endpoint.to_string(), "tcp://h:9");
    let elsewhere = Surroundings {
        docker_config: Some(home.path().join("gone")),
        ..at_home.clone()
    };
    assert!(!matches!(
        discover(&elsewhere).unwrap().origin,
        Origin::Context { .. }
    ));
    let empty = Surroundings {
        docker_config: Some(PathBuf::new()),
        ..at_home
    };
    assert_eq!(discover(&empty).unwrap().endpoint.to_string(), "tcp://h:9");
    fs_err::rename(home.path().join(".docker"), config.path()).unwrap();
}

#[test]
fn contexts_with_tls() {
    for (meta, files, expected) in [
        (meta("c", "tcp://h"), &[][..], "tcp://h:2375"),
        (
            meta("c", "tcp://h"),
            &["ca.pem"],
            "tcp://h:2376 (ca TLS/ca.pem, as nobody)",
        ),
        (
            meta("c", "tcp://h:1"),
            &["ca.pem", "cert.pem", "key.pem"],
            "tcp://h:1 (ca TLS/ca.pem, as TLS/key.pem)",
        ),
        (
            meta("c", "tcp://h:1"),
            &["cert.pem", "key.pem"],
            "tcp://h:1 (ca the system's, as TLS/key.pem)",
        ),
        (
            meta("c", "tcp://h:1").replace("false", "true"),
            &["ca.pem"],
            "tcp://h:1 (ca TLS/ca.pem, as nobody, believed)",
        ),
        (
            meta("c", "tcp://h:1").replace("false", "true"),
            &[],
            "tcp://h:1 (ca the system's, as nobody, believed)",
        ),
        // A socket has no use for it.
        (meta("c", "unix:///s"), &["ca.pem"], "unix:///s"),
        (meta("c", "ssh://me@host"), &[], "ssh://me@host"),
    ] {
        let config = Config::new("{}").context("c", &meta, files);
        let found = config.find(Surroundings {
            docker_context: text("c"),
            ..Surroundings::default()
        });
        let tls = format!("DIR/contexts/tls/{:x}/docker", Sha256::digest("c"));
        let found = found.replace(&tls, "TLS");
        assert_eq!(
            found,
            format!("{expected}: docker context c, which DOCKER_CONTEXT names"),
            "{meta} {files:?}"
        );
    }
}

#[test]
fn contexts_that_cannot_be_used() {
    let id = format!("{:x}", Sha256::digest("c"));
    for (meta, files, expected) in [
        ("{", &[][..], "line 1, column 1: it is not valid JSON"),
        (r#"{"Name": "c"}"#, &[], "it has no Endpoints.docker.Host"),
        (
            r#"{"Endpoints": {"docker": {"Host": ""}}}"#,
            &[],
            "it has no Endpoints.docker.Host",
        ),
        ("[]", &[], "it has no Endpoints.docker.Host"),
        (
            &meta("c", "tcp://h:1"),
            &["cert.pem"],
            "DIR/contexts/tls/ID/docker/key.pem is not there beside its other half",
        ),
        (
            &meta("c", "gopher://h"),
            &[],
            "\"gopher://h\" is not the address of a Docker Engine",
        ),
    ] {
        let config = Config::new("{}").context("c", meta, files);
        let found = config.find(Surroundings {
            docker_context: text("c"),
            ..Surroundings::default()
        });
        let start = "the docker context \"c\" is not usable (DIR/contexts/meta/ID/meta.json): ";
        let found = found.replace(&id, "ID");
        assert!(found.starts_with(&format!("{start}{expected}")), "{found}");
    }
}

#[test]
fn contexts_that_are_not_there() {
    let config = Config::new(r#"{"currentContext": "gone"}"#);
    insta::assert_snapshot!(
        config.find(Surroundings::default()),
        @r#"there is no docker context "gone", which currentContext in DIR/config.json names, in DIR/contexts; there are none at all: create it with `docker context create`, or unset its name"#
    );
    let config = config
        .context("b", &meta("b", "tcp://b:1"), &[])
        .context("a", &meta("a", "tcp://a:1"), &[])
        .context("broken", "{", &[]);
    insta::assert_snapshot!(
        config.find(Surroundings { docker_context: text("../c"), ..Surroundings::default() }),
        @r#"there is no docker context "../c", which DOCKER_CONTEXT names, in DIR/contexts; there are: a, b"#
    );
}

#[test]
fn a_broken_configuration_matters_only_where_it_is_asked() {
    let config = Config::new("{,");
    insta::assert_snapshot!(
        config.find(Surroundings::default()),
        @"the docker configuration DIR/config.json is not usable at line 1, column 2: it is not valid JSON; repair it, or log in anew with `docker login`; or say which engine is meant with DOCKER_HOST"
    );
    let around = Surroundings {
        docker_host: text("tcp://h:1"),
        ..Surroundings::default()
    };
    assert_eq!(config.find(around), "tcp://h:1: DOCKER_HOST says so");
}

fn with_certificates(files: &[&str]) -> Config {
    let config = Config::new("{}");
    fs_err::create_dir(config.path().join("certs")).unwrap();
    for file in files {
        fs_err::write(config.path().join(file), "pem").unwrap();
    }
    config
}

#[test]
fn tls_as_the_environment_asks_for_it() {
    let all = ["certs/ca.pem", "certs/cert.pem", "certs/key.pem"];
    let missing = |by, file| {
        format!(
            "TLS is asked for by {by}, but DIR/certs/{file} is not there; put it there, or name its folder with DOCKER_CERT_PATH"
        )
    };
    // files, DOCKER_HOST, DOCKER_TLS_VERIFY, DOCKER_TLS, whether DOCKER_CERT_PATH is set
    for (files, host, verify, encrypt, named, expected) in [
        (&all[..], "tcp://h", "", "", false, "tcp://h:2375".to_owned()),
        (
            &all,
            "tcp://h",
            "1",
            "",
            true,
            "tcp://h:2376 (ca DIR/certs/ca.pem, as DIR/certs/key.pem)".to_owned(),
        ),
        (
            &all,
            "tcp://h:1",
            "",
            "",
            true,
            "tcp://h:1 (ca DIR/certs/ca.pem, as DIR/certs/key.pem)".to_owned(),
        ),
        (
            &all,
            "h:1",
            "",
            "1",
            true,
            "tcp://h:1 (ca DIR/certs/ca.pem, as DIR/certs/key.pem, believed)".to_owned(),
        ),
        (
            &["ca.pem"],
            "tcp://h",
            "yes",
            "",
            false,
            "tcp://h:2376 (ca DIR/ca.pem, as nobody)".to_owned(),
        ),
        (
            &[],
            "tcp://h",
            "1",
            "",
            false,
            "tcp://h:2376 (ca the system's, as nobody)".to_owned(),
        ),
        (&all, "unix:///s", "1", "", true, "unix:///s".to_owned()),
        (&all, "/s", "1", "", true, "unix:///s".to_owned()),
        (
            &[],
            "tcp://h",
            "1",
            "",
            true,
            missing("DOCKER_TLS_VERIFY", "ca.pem"),
        ),
        (
            &all[..2],
            "tcp://h",
            "1",
            "",
            true,
            missing("DOCKER_TLS_VERIFY", "key.pem"),
        ),
        (
            &all[..2],
            "tcp://h",
            "",
            "",
            true,
            missing("DOCKER_CERT_PATH", "key.pem"),
        ),
        (
            &["certs/key.pem"],
            "tcp://h",
            "",
            "1",
            true,
            missing("DOCKER_TLS", "cert.pem"),
        ),
    ] {
        let config = with_certificates(files);
        let found = config.find(Surroundings {
            docker_host: text(host),
            docker_tls_verify: text(verify),
            docker_tls: text(encrypt),
            docker_cert_path: named.then(|| config.path().join("certs")),
            ..Surroundings::default()
        });
        let found = found.replace(": DOCKER_HOST says so", "");
        assert_eq!(found, expected, "{files:?} {host} {verify} {encrypt} {named}");
    }
}

#[test]
fn version_and_time_limit() {
    let with = |version: &str, timeout: &str| {
        let around = Surroundings {
            docker_host: text("tcp://h"),
            docker_api_version: text(version),
            docker_timeout: text(timeout),
            ..Surroundings::default()
        };
        discover(&around)
            .map(|found| (found.api_version, found.timeout))
            .map_err(|error| error.to_string())
    };
    let fixed = |text: &str| ApiVersion::Fixed(text.parse().unwrap());
    for (version, timeout, expected) in [
        ("", "", (ApiVersion::Auto, 60_000)),
        ("auto", "5", (ApiVersion::Auto, 5_000)),
        ("1.41", "1.5", (fixed("1.41"), 1_500)),
        (" 1.45 ", "250ms", (fixed("1.45"), 250)),
        ("", "30s", (ApiVersion::Auto, 30_000)),
        ("", "2 m", (ApiVersion::Auto, 120_000)),
        ("", "86400", (ApiVersion::Auto, 86_400_000)),
    ] {
        let (found, limit) = with(version, timeout).unwrap();
        assert_eq!((found, limit.as_millis()), expected, "{version:?} {timeout:?}");
    }
    for timeout in [
        "0",
        "-1",
        "soon",
        "1h",
        "1e9",
        "99999999999999999999999",
        "86401",
        "NaN",
        "inf",
        ".",
    ] {
        let error = with("", timeout).unwrap_err();
        assert!(
            error.starts_with(&format!("DOCKER_TIMEOUT: {timeout:?} is not a time limit")),
            "{error}"
        );
    }
    assert!(
        with("latest", "")
            .unwrap_err()
            .starts_with("DOCKER_API_VERSION: \"latest\" is not a version")
    );
    let bad = Surroundings {
        docker_host: text("tcp://"),
        ..Surroundings::default()
    };
    assert!(
        discover(&bad)
            .unwrap_err()
            .to_string()
            .starts_with("DOCKER_HOST: \"tcp://\" is not the address")
    );
}

/// Of an engine that our own configuration names the environment says nothing.
#[test]
fn named_engines() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["ca.pem", "cert.pem", "key.pem"] {
        fs_err::write(folder.path().join(file), "pem").unwrap();
    }
    let half = tempfile::tempdir().unwrap();
    fs_err::write(half.path().join("ca.pem"), "pem").unwrap();
    fs_err::write(half.path().join("cert.pem"), "pem").unwrap();
    let config = Config::new("{}").context("far", r#"{"Endpoints": {"docker": {"Host": "ssh://far"}}}"#, &[]);
    let around = Surroundings {
        docker_host: Some("tcp://elsewhere:1".into()),
        docker_tls_verify: Some("1".into()),
        docker_context: Some("other".into()),
        ..config.around()
    };
    let check = |wanted: Named<'_>, expected: &str| {
        let found = match named(&around, "hosts.prod", wanted) {
            Ok(found) => format!(
                "{} {} ({})",
                found.endpoint,
                matches!(found.endpoint, Endpoint::Tls(..)),
                found.origin
            ),
            Err(error) => error.to_string(),
        };
        let found = found.replace(&*config.path().to_string_lossy(), "DIR");
        assert!(found.starts_with(expected), "{found}");
    };
    let plain = |text| Named::Endpoint {
        text,
        certificates: None,
    };
    let with = |text, folder| Named::Endpoint {
        text,
        certificates: Some(folder),
    };
    check(plain("tcp://h:1"), "tcp://h:1 false (the configuration says so)");
    check(plain("ssh://u@h:22/run/d.sock"), "ssh://u@h:22/run/d.sock false");
    check(
        plain("ftp://h"),
        "hosts.prod.endpoint: \"ftp://h\" is not the address",
    );
    check(with("tcp://h", folder.path()), "tcp://h:2376 true");
    check(with("tcp://h:1", half.path()), "hosts.prod.certificates: ");
    check(
        with("tcp://h:1", Path::new("/nowhere")),
        "hosts.prod.certificates: /nowhere/ca.pem is not there",
    );
    check(
        with("ssh://h", folder.path()),
        "hosts.prod.certificates: certificates are for tcp://",
    );
    check(
        Named::Context("far"),
        "ssh://far false (docker context far, which hosts.prod.context names)",
    );
    check(
        Named::Context("near"),
        "there is no docker context \"near\", which hosts.prod.context names, in DIR/contexts",
    );
}
