//! Docker contexts as the docker CLI really writes them, and TLS material that it has put away.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::discover::{Found, NamedBy, Origin, Surroundings, discover};
use engine::{Endpoint, Verify};
use rcgen::{CertificateParams, KeyPair};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A configuration folder that only the docker CLI writes to.
struct Cli(tempfile::TempDir);

impl Cli {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn docker(&self, arguments: &[&str]) -> String {
        let output = Command::new("docker")
            .args(arguments)
            .env("DOCKER_CONFIG", self.path())
            .env_remove("DOCKER_HOST")
            .env_remove("DOCKER_CONTEXT")
            .output()
            .expect("the docker CLI is installed (scripts/test does)");
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// A certificate that vouches for itself, with its key: the CLI looks into what it puts away.
    fn certificates(&self) -> PathBuf {
        let folder = self.path().join("certificates");
        fs_err::create_dir_all(&folder).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["x".to_owned()])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        for (name, label, der) in [
            ("ca.pem", "CERTIFICATE", certificate.der().to_vec()),
            ("cert.pem", "CERTIFICATE", certificate.der().to_vec()),
            ("key.pem", "PRIVATE KEY", key.serialize_der()),
        ] {
            let text = STANDARD.encode(der);
            let text = format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n");
            fs_err::write(folder.join(name), text).unwrap();
        }
        folder
    }

    fn find(&self, context: Option<&str>) -> Found {
        let around = Surroundings {
            docker_config: Some(self.path().to_path_buf()),
            docker_context: context.map(str::to_owned),
            ..Surroundings::default()
        };
        discover(&around).unwrap()
    }
}

#[test]
fn a_context_with_tls() {
    let cli = Cli::new();
    let certificates = cli.certificates();
    let at = |name: &str| certificates.join(name).display().to_string();
    let docker = format!(
        "host=tcp://far.example:2376,ca={},cert={},key={}",
        at("ca.pem"),
        at("cert.pem"),
        at("key.pem")
    );
    cli.docker(&["context", "create", "far", "--docker", &docker]);
    let found = cli.find(Some("far"));
    assert_eq!(
        found.origin,
        Origin::Context {
            name: "far".to_owned(),
            by: NamedBy::Environment
        }
    );
    let Endpoint::Tls(authority, tls) = found.endpoint else {
        panic!("{}", found.endpoint)
    };
    assert_eq!(
        (authority.to_string().as_str(), tls.verify),
        ("far.example:2376", Verify::Certificate)
    );
    let identity = tls.identity.unwrap();
    for (path, name) in [
        (tls.ca.unwrap(), "ca.pem"),
        (identity.certificate, "cert.pem"),
        (identity.key, "key.pem"),
    ] {
        assert_ne!(path, certificates.join(name), "the CLI keeps a copy");
        assert_eq!(
            fs_err::read(path).unwrap(),
            fs_err::read(certificates.join(name)).unwrap()
        );
    }

    let docker = format!(
        "host=tcp://lax.example:1,ca={},skip-tls-verify=true",
        at("ca.pem")
    );
    cli.docker(&["context", "create", "lax", "--docker", &docker]);
    let Endpoint::Tls(_, tls) = cli.find(Some("lax")).endpoint else {
        panic!("TLS is asked for")
    };
    assert_eq!((tls.verify, tls.identity.is_none()), (Verify::Nothing, true));
}

/// Whatever the CLI says that a context's address is, we say too.
#[test]
fn the_same_address_as_the_cli() {
    let cli = Cli::new();
    for (name, host) in [
        ("socket", "unix:///run/some/where.sock"),
        ("plain", "tcp://10.0.0.1:2375"),
        ("six", "tcp://[2001:db8::1]:2375"),
        ("Dots.and-dashes_9+", "tcp://h:1"),
        ("shell", "ssh://me@far.example:2222"),
    ] {
        cli.docker(&["context", "create", name, "--docker", &format!("host={host}")]);
        let theirs = cli.docker(&[
            "context",
            "inspect",
            name,
            "--format",
            "{{.Endpoints.docker.Host}}",
        ]);
        assert_eq!(cli.find(Some(name)).endpoint.to_string(), theirs);
        cli.docker(&["context", "use", name]);
        let found = cli.find(None);
        assert_eq!(
            (found.endpoint.to_string(), cli.docker(&["context", "show"])),
            (theirs, name.to_owned())
        );
        let by = NamedBy::Configuration(cli.path().join("config.json"));
        assert_eq!(
            found.origin,
            Origin::Context {
                name: name.to_owned(),
                by
            }
        );
    }
    cli.docker(&["context", "use", "default"]);
    assert!(!matches!(cli.find(None).origin, Origin::Context { .. }));
}

/// An address in `DOCKER_HOST` goes before any context, with us as with the CLI.
#[test]
fn the_same_precedence_as_the_cli() {
    let cli = Cli::new();
    cli.docker(&["context", "create", "one", "--docker", "host=tcp://one:1"]);
    cli.docker(&["context", "create", "two", "--docker", "host=tcp://two:2"]);
    cli.docker(&["context", "use", "one"]);
    for (docker_host, docker_context) in [
        (None, None),
        (None, Some("two")),
        (Some("tcp://three:3"), None),
        (Some("tcp://three:3"), Some("two")),
        (Some(""), Some("two")),
        (None, Some("")),
    ] {
        let mut command = Command::new("docker");
        command
            .args(["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"])
            .env("DOCKER_CONFIG", cli.path());
        for (name, value) in [("DOCKER_HOST", docker_host), ("DOCKER_CONTEXT", docker_context)] {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let theirs = String::from_utf8(command.output().unwrap().stdout).unwrap();
        let around = Surroundings {
            docker_config: Some(cli.path().to_path_buf()),
            docker_host: docker_host.map(str::to_owned),
            docker_context: docker_context.map(str::to_owned),
            ..Surroundings::default()
        };
        let ours = discover(&around).unwrap().endpoint.to_string();
        assert_eq!(ours, theirs.trim(), "{docker_host:?} {docker_context:?}");
    }
}
