//! Paths of the host: what is never shared, sockets and devices, engines elsewhere, and Dockmaster's own use.

use super::*;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

fn bind(source: &str) -> Ask {
    create(&json!({"Binds": [format!("{source}:/t:ro")]}))
}

#[test]
fn system_paths_under_an_open_root() {
    let everything = "roots = [{ path = \"/\", write = true }]";
    for (source, wanted) in [
        ("/srv", None),
        ("/etc", Some(Rule::Bind)),
        ("/etc/passwd", Some(Rule::Bind)),
        ("/ETC/passwd", Some(Rule::Bind)),
        ("/proc", Some(Rule::Bind)),
        ("/sys/fs/cgroup", Some(Rule::Bind)),
        ("/dev/null", Some(Rule::Bind)),
        ("/boot", Some(Rule::Bind)),
        ("/root", Some(Rule::Bind)),
        ("/root/.cache", Some(Rule::Bind)),
        ("/run/secrets", Some(Rule::Bind)),
        ("/usr/local/bin", Some(Rule::Bind)),
        ("/var/lib/docker/volumes", Some(Rule::Bind)),
        ("/var/lib/containerd", Some(Rule::Bind)),
        // These hold some of them.
        ("/var", Some(Rule::Bind)),
        ("/var/lib", Some(Rule::Bind)),
        ("/", Some(Rule::Bind)),
        // Only names, no such place.
        ("/etcetera", None),
        ("/srv/etc", None),
        ("/home/u/.ssh", Some(Rule::Bind)),
        ("/home/u/.ssh/id_ed25519", Some(Rule::Bind)),
        ("/home/u/.SSH/id_ed25519", Some(Rule::Bind)),
        ("/home/u/.\u{17f}sh", Some(Rule::Bind)),
        ("/home/u/.do\u{200c}cker/config.json", Some(Rule::Bind)),
        ("/home/u/.doc\u{212a}er", Some(Rule::Bind)),
        ("/home/u/.aws/credentials", Some(Rule::Bind)),
        ("/home/u/.config/gcloud", Some(Rule::Bind)),
        ("/home/u/.config/gcloud/x", Some(Rule::Bind)),
        ("/home/u/.config/other", None),
        ("/home/u/.netrc", Some(Rule::Bind)),
        ("/home/u/.git-credentials", Some(Rule::Bind)),
        ("/home/u/.npmrc", Some(Rule::Bind)),
        ("/srv/app/.pypirc", Some(Rule::Bind)),
        ("/home/u/.password-store", Some(Rule::Bind)),
        ("/home/u/.local/share/keyrings", Some(Rule::Bind)),
        ("/home/u/project", None),
    ] {
        check(everything, &bind(source), wanted);
    }
}

#[test]
fn homes_that_hold_credentials() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("homes/u");
    fs_err::create_dir_all(home.join("project/.docker")).unwrap();
    fs_err::create_dir_all(home.join(".docker")).unwrap();
    fs_err::create_dir_all(dir.path().join("homes/git/.ssh")).unwrap();
    let text = format!(
        "roots = [{{ path = \"{}\", write = true }}]",
        dir.path().display()
    );
    let here = Surroundings {
        home: Some(home.clone()),
        ..local()
    };
    let path = |name: &str| dir.path().join(name).display().to_string();
    for (source, wanted) in [
        (path("homes/u/project"), None),
        (path("homes/u"), Some(Rule::Bind)),
        (path("homes"), Some(Rule::Bind)),
        // No home that anyone told of, but it looks like one.
        (path("homes/git"), Some(Rule::Bind)),
        (path("homes/git/repo"), None),
    ] {
        check_at(&text, &here, &bind(&source), &Known::default(), wanted);
    }
}

#[test]
fn exceptions_lift_only_what_they_name() {
    let root = "roots = [{ path = \"/\", write = true }]\n";
    for (lines, source, wanted) in [
        ("allow_sensitive = [\"/etc/localtime\"]", "/etc/localtime", None),
        (
            "allow_sensitive = [\"/etc/localtime\"]",
            "/etc/passwd",
            Some(Rule::Bind),
        ),
        ("allow_sensitive = [\"/etc/localtime\"]", "/etc", Some(Rule::Bind)),
        ("allow_sensitive = [\"/usr/share\"]", "/usr/share/doc", None),
        ("allow_sensitive = [\"/usr/share\"]", "/usr", Some(Rule::Bind)),
        ("allow_sensitive = [\"/root\"]", "/root/.ssh", Some(Rule::Bind)),
        ("allow_sensitive = [\"/home\"]", "/home/u/.ssh", Some(Rule::Bind)),
        ("allow_sensitive = [\"/\"]", "/etc/passwd", Some(Rule::Bind)),
    ] {
        let ask = bind(source);
        let got = ask.judged(&policy(&[root, lines].concat()), &local(), &Known::default());
        // /etc/localtime is a link on many systems, to a place that is no less closed.
        let led_away = source == "/etc/localtime"
            && fs_err::canonicalize(source).is_ok_and(|path| path.as_os_str() != source);
        let wanted = if led_away { Some(Rule::Bind) } else { wanted };
        assert_eq!(
            got.as_ref().err().map(|refusal| refusal.rule),
            wanted,
            "{lines}: {source}: {got:?}"
        );
    }
}

#[test]
fn sockets_and_devices() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    for name in ["app", "held"] {
        fs_err::create_dir_all(dir.path().join(name)).unwrap();
    }
    let _listener = UnixListener::bind(path("app/my.sock")).unwrap();
    fs_err::write(dir.path().join("held/docker.sock"), "").unwrap();
    symlink(path("app/my.sock"), dir.path().join("plain")).unwrap();
    let text = format!(
        "roots = [{{ path = \"{}\", write = true }}]",
        dir.path().display()
    );
    for (source, wanted) in [
        (path("app"), None),
        (path("app/my.sock"), Some(Rule::Socket)),
        (path("plain"), Some(Rule::Socket)),
        (path("held"), Some(Rule::Socket)),
        (path("held/docker.sock"), Some(Rule::Socket)),
        ("/var/run/docker.sock".to_owned(), Some(Rule::Socket)),
        ("/run/docker.sock".to_owned(), Some(Rule::Socket)),
        ("/run/user/1000/podman/podman.sock".to_owned(), Some(Rule::Socket)),
        ("/nowhere/containerd.sock".to_owned(), Some(Rule::Socket)),
    ] {
        check(&text, &bind(&source), wanted);
    }
    check(
        &format!("sockets = [\"{}\"]", path("app/my.sock")),
        &bind(&path("app/my.sock")),
        None,
    );
    // Only a socket may come that way, whatever is put in its place.
    check(
        &format!("sockets = [\"{}\"]", path("app")),
        &bind(&path("app")),
        Some(Rule::Bind),
    );
}

#[test]
fn dockmasters_own_files() {
    let dir = tempfile::tempdir().unwrap();
    let own = dir.path().join("state/dockmaster");
    fs_err::create_dir_all(&own).unwrap();
    fs_err::create_dir_all(dir.path().join("state/other")).unwrap();
    symlink(&own, dir.path().join("link")).unwrap();
    let text = format!(
        "roots = [{{ path = \"{}\", write = true }}]",
        dir.path().display()
    );
    let here = Surroundings {
        protected: vec![own.clone()],
        ..local()
    };
    for (name, wanted) in [
        ("state/other", None),
        ("state/dockmaster", Some(Rule::Bind)),
        ("state/dockmaster/audit.db", Some(Rule::Bind)),
        ("state", Some(Rule::Bind)),
        ("link", Some(Rule::Bind)),
    ] {
        let source = dir.path().join(name).display().to_string();
        check_at(&text, &here, &bind(&source), &Known::default(), wanted);
        if wanted.is_some() {
            // Not even by an exception.
            let text = format!("{text}\nallow_sensitive = [\"{}\", \"/\"]", own.display());
            let got = bind(&source).judged(&policy(&text), &here, &Known::default());
            assert_eq!(got.unwrap_err().allow, None);
        }
    }
    // What Dockmaster itself gives is that very file, and no other one or its folder.
    fs_err::write(own.join("secret"), "").unwrap();
    symlink("secret", own.join("leads")).unwrap();
    let giving = Surroundings {
        given: vec![own.join("secret"), own.join("leads")],
        ..here
    };
    let text = format!("{text}\nallow_sensitive = [\"{}\"]", own.display());
    for (name, wanted) in [
        ("secret", None),
        ("other", Some(Rule::Bind)),
        ("secret/below", Some(Rule::Bind)),
        ("", Some(Rule::Bind)),
    ] {
        let source = own.join(name).display().to_string();
        check_at(
            &text,
            &giving,
            &bind(source.trim_end_matches('/')),
            &Known::default(),
            wanted,
        );
    }
}

#[test]
fn engines_elsewhere() {
    let there = Surroundings {
        daemon: DaemonPlace::Remote,
        ..local()
    };
    let roots = "roots = [{ path = \"/srv/app\", write = true }]\n";
    for (lines, source, wanted) in [
        ("", "/srv/app/web", Some(Rule::Bind)),
        ("symlinks = \"lexical\"", "/srv/app/web", None),
        ("symlinks = \"lexical\"", "/srv/other", Some(Rule::Bind)),
        ("symlinks = \"lexical\"", "/srv/app/../other", Some(Rule::Bind)),
        ("symlinks = \"lexical\"", "/srv/app/.ssh", Some(Rule::Bind)),
        (
            "symlinks = \"lexical\"",
            "/srv/app/docker.sock",
            Some(Rule::Socket),
        ),
        ("symlinks = \"lexical\"", "/etc", Some(Rule::Bind)),
        ("symlinks = \"lexical\"", "/home/u", Some(Rule::Bind)),
        ("symlinks = \"lexical\"", "/home/u/project", Some(Rule::Bind)),
    ] {
        check_at(
            &[roots, lines].concat(),
            &there,
            &bind(source),
            &Known::default(),
            wanted,
        );
    }
}

#[test]
fn own_use() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["open", "closed"] {
        fs_err::create_dir_all(dir.path().join(name)).unwrap();
    }
    symlink(dir.path().join("closed"), dir.path().join("open/out")).unwrap();
    symlink(dir.path().join("open"), dir.path().join("closed/in")).unwrap();
    let text = format!("roots = [{{ path = \"{}\" }}]", dir.path().join("open").display());
    // Also for an engine elsewhere: the files are here.
    let guard = Guard::new(
        policy(&text),
        Surroundings {
            daemon: DaemonPlace::Remote,
            ..local()
        },
    );
    let path = |name: &str| dir.path().join(name);
    let truth = fs_err::canonicalize(path("open")).unwrap();
    for (source, access, wanted) in [
        (path("open"), Access::Read, Some(truth.clone())),
        (path("closed/in"), Access::Read, Some(truth.clone())),
        (path("open/new"), Access::Read, Some(truth.join("new"))),
        (path("open"), Access::Write, None),
        (path("closed"), Access::Read, None),
        (path("open/out"), Access::Read, None),
        (path("open/../closed"), Access::Read, None),
        (PathBuf::from("open"), Access::Read, None),
        (PathBuf::from("/etc/passwd"), Access::Read, None),
    ] {
        assert_eq!(
            guard.host_path(&source, access).ok(),
            wanted,
            "{}",
            source.display()
        );
    }
}
