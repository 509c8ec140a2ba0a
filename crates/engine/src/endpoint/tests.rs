use super::*;

fn check(text: &str, expected: Option<&str>) {
    let parsed = Endpoint::parse(text).map(|endpoint| format!("{endpoint:?}"));
    match expected {
        Some(expected) => assert_eq!(parsed.as_deref(), Ok(expected), "{text:?}"),
        None => assert!(parsed.is_err(), "{text:?} gave {parsed:?}"),
    }
}

#[test]
fn sockets_and_pipes() {
    check("unix:///run/docker.sock", Some(r#"Unix("/run/docker.sock")"#));
    check(
        " unix:///run/user/1000/podman/podman.sock\n",
        Some(r#"Unix("/run/user/1000/podman/podman.sock")"#),
    );
    check("unix://", Some(r#"Unix("/var/run/docker.sock")"#));
    check(
        "npipe:////./pipe/docker_engine",
        Some(r#"Npipe("\\\\.\\pipe\\docker_engine")"#),
    );
    check("npipe://", Some(r#"Npipe("\\\\.\\pipe\\docker_engine")"#));
    for text in [
        "unix://run/docker.sock",
        "/var/run/docker.sock",
        "",
        "unix:/run/docker.sock",
    ] {
        check(text, None);
    }
}

#[test]
fn network_addresses() {
    for (text, host, port) in [
        ("tcp://10.0.0.7:2375", "10.0.0.7", 2375),
        ("tcp://build-1.example", "build-1.example", 2375),
        ("tcp://[::1]:2376/", "::1", 2376),
        ("http://localhost:80", "localhost", 80),
    ] {
        let endpoint = Endpoint::parse(text).unwrap();
        assert_eq!(
            endpoint,
            Endpoint::Tcp(Authority {
                host: host.to_owned(),
                port
            }),
            "{text}"
        );
    }
    let Endpoint::Tls(authority, tls) = Endpoint::parse("https://d.example").unwrap() else {
        panic!("https is TLS");
    };
    assert_eq!((authority.port, tls.verify), (2376, Verify::Certificate));
    for text in [
        "tcp://",
        "tcp://:2375",
        "tcp://host:0",
        "tcp://host:65536",
        "tcp://host:+1",
        "tcp://::1:2375",
        "tcp://[::1",
        "tcp://[x]:1",
        "tcp://[::1]2375",
        "tcp://user:word@host:1",
        "tcp://host:1/path",
        "tcp://host:1?x",
        "tcp://ho st:1",
        "tcp://host\r\nx: y:1",
        "fd://",
        "ftp://host",
    ] {
        check(text, None);
    }
}

#[test]
fn ssh_addresses() {
    for (text, user, host, port, socket) in [
        ("ssh://box", None, "box", None, None),
        ("ssh://ops@box:2222", Some("ops"), "box", Some(2222), None),
        ("ssh://a@b@box", Some("a@b"), "box", None, None),
        (
            "ssh://ops@[fe80::1]:22/run/d.sock",
            Some("ops"),
            "fe80::1",
            Some(22),
            Some("/run/d.sock"),
        ),
    ] {
        let expected = Ssh {
            user: user.map(str::to_owned),
            host: host.to_owned(),
            port,
            socket: socket.map(PathBuf::from),
        };
        assert_eq!(Endpoint::parse(text), Ok(Endpoint::Ssh(expected)), "{text}");
    }
    // What begins with a hyphen would be an option to whoever hands it to a program.
    for text in [
        "ssh://",
        "ssh://@box",
        "ssh://-oProxyCommand=x",
        "ssh://-l@box",
        "ssh://u:word@box",
    ] {
        check(text, None);
    }
}

#[test]
fn written_as_it_was_read() {
    for text in [
        "unix:///run/docker.sock",
        "tcp://[::1]:2376",
        "npipe:////./pipe/docker_engine",
        "ssh://ops@box:2222/run/d.sock",
        "ssh://box",
    ] {
        assert_eq!(Endpoint::parse(text).unwrap().to_string(), text);
    }
}

#[test]
fn a_password_does_not_reach_the_message() {
    let error = Endpoint::parse("tcp://user:hunter2@host:1")
        .unwrap_err()
        .to_string();
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn which_are_on_this_machine() {
    for (text, local) in [
        ("unix:///run/docker.sock", true),
        ("tcp://127.0.0.1:2375", true),
        ("tcp://[::1]:2375", true),
        ("tcp://localhost", true),
        ("tcp://10.0.0.7", false),
        ("ssh://localhost", false),
    ] {
        assert_eq!(Endpoint::parse(text).unwrap().is_local(), local, "{text}");
    }
}
