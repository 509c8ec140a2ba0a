//! Files beside what they say of a host, and, where it is there, beside what the system's `ssh` says of it.

use super::*;
use proptest::prelude::*;
use std::fmt::Write as _;
use std::process::Command;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(".ssh").join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            // The folder stands for itself, as `Include` takes absolute paths.
            fs_err::write(
                path,
                text.replace("{ssh}", &folder.path().join(".ssh").to_string_lossy()),
            )
            .unwrap();
        }
        Self(folder)
    }

    fn files(&self) -> Files {
        Files {
            user: Some(self.0.path().join(".ssh/config")),
            system: None,
            home: self.0.path().to_owned(),
            user_name: "me".into(),
            variables: Variables::new(|name| match name {
                "KEYS" => Some("/keys".into()),
                "ODD" => Some("~/%d${KEYS}".into()),
                "PART" => Some("[12]".into()),
                _ => None,
            }),
        }
    }

    fn resolve(&self, target: &str) -> Result<Resolved, String> {
        let target = Target::parse(target).unwrap();
        resolve(&self.files(), &target).map_err(|error| {
            let text = error.to_string().replace(&*self.0.path().to_string_lossy(), "~");
            text.strip_prefix("the SSH configuration, ").unwrap().to_owned()
        })
    }
}

fn told(resolved: &Resolved) -> String {
    let mut text = format!("{}@{}:{}", resolved.user, resolved.host_name, resolved.port);
    for file in &resolved.identity_files {
        write!(text, " key={file}").unwrap();
    }
    match &resolved.proxy {
        Proxy::Direct => {}
        Proxy::Command(command) => write!(text, " command={command}").unwrap(),
        Proxy::Jump(jumps) => {
            for jump in jumps {
                let user = jump.user.as_deref().unwrap_or("-");
                write!(text, " jump={user},{},{}", jump.host, jump.port.unwrap_or(0)).unwrap();
            }
        }
    }
    for note in &resolved.notes {
        write!(text, " note={}", note.rsplit('/').next().unwrap_or_default()).unwrap();
    }
    text
}

#[track_caller]
fn check(config: &str, target: &str, expected: &str) {
    let folder = Folder::new(&[("config", config)]);
    let shown = folder
        .resolve(target)
        .map_or_else(|error| error, |resolved| told(&resolved));
    assert_eq!(shown, expected, "{config}");
}

#[test]
fn blocks() {
    check("", "box", "me@box:22");
    check("", "ops@box:2222", "ops@box:2222");
    check("User all\nHost box\nUser one", "box", "all@box:22");
    check(
        "Host box\nUser one\nHost *\nUser all\nPort 23",
        "box",
        "one@box:23",
    );
    check("Host b* !box\nUser one", "box", "me@box:22");
    check("Host a box c\n\tUser=one\n\tPort = 24", "box", "one@box:24");
    check("host \"box\"\nuSer 'a b' # it is", "box", "a b@box:22");
    check(
        "Host box\nHostName %h.example.org",
        "box",
        "me@box.example.org:22",
    );
    check("Host box\nUser one\nPort 23", "two@box:24", "two@box:24");
    check("Host BOX\nUser one", "box", "me@box:22");
    check("HostName 10.0.0.1\nHostName 10.0.0.2", "box", "me@10.0.0.1:22");
}

#[test]
fn match_blocks() {
    check("Match all\nUser one", "box", "one@box:22");
    check("Match host box\nUser one", "box", "one@box:22");
    check("HostName real\nMatch host box\nUser one", "box", "me@real:22");
    check("HostName real\nMatch host REAL\nUser one", "box", "one@real:22");
    check(
        "HostName real\nMatch originalhost b?x,other\nUser one",
        "box",
        "one@real:22",
    );
    check("Match user ops\nPort 23", "ops@box", "ops@box:23");
    check("Match user me\nPort 23", "box", "me@box:23");
    check("Match !user me\nPort 23", "box", "me@box:22");
    check("Match host box user me\nPort 23", "box", "me@box:23");
    check("Match host box,!box\nPort 23", "box", "me@box:22");
    check("Match host=box\nPort 23", "box", "me@box:23");
    check(
        "Match host box exec \"rm -rf /\"\nPort 23\nHost *\nUser one",
        "box",
        "one@box:22 note=config line 1: a block with 'Match exec' is passed over; only the system's ssh takes it",
    );
}

#[test]
fn options() {
    check(
        "IdentityFile ~/a\nIdentityFile \"%d/b c\"\nIdentityFile ~/a",
        "box",
        "me@box:22 key=~/a key=%d/b c",
    );
    check(
        "ProxyJump a,ops@b:23,[::1]:24",
        "box",
        "me@box:22 jump=-,a,0 jump=ops,b,23 jump=-,::1,24",
    );
    check("ProxyJump none\nProxyJump a", "box", "me@box:22");
    check(
        "ProxyCommand nc -x \"a b\" %h %p\nProxyJump a",
        "box",
        "me@box:22 command=nc -x \"a b\" %h %p",
    );
    check("ProxyJump a\nProxyCommand nc", "box", "me@box:22 jump=-,a,0");
    let folder = Folder::new(&[(
        "config",
        "StrictHostKeyChecking accept-new\nConnectTimeout 1m30\nServerAliveInterval 15\nServerAliveCountMax 2\n\
         UserKnownHostsFile ~/a \"~/b c\"\nGlobalKnownHostsFile none\nIdentitiesOnly yes\nIdentityAgent none\n\
         HostKeyAlias x\nCertificateFile ~/c",
    )]);
    let resolved = folder.resolve("box").unwrap();
    assert_eq!(resolved.strict, Strict::AcceptNew);
    assert_eq!(resolved.connect_timeout, Some(Duration::from_secs(90)));
    assert_eq!(resolved.alive_interval, Some(Duration::from_secs(15)));
    assert_eq!((resolved.alive_count, resolved.identities_only), (2, true));
    assert_eq!(resolved.known_hosts, ["~/a", "~/b c"]);
    assert_eq!(resolved.identity_agent.as_deref(), Some(""));
    assert_eq!(
        (resolved.key_name(), &*resolved.certificate_files),
        ("x", &["~/c".to_owned()][..])
    );
}

#[test]
fn paths() {
    let folder = Folder::new(&[("config", "HostName real\nPort 23\nUser ops")]);
    let (resolved, files) = (folder.resolve("box").unwrap(), folder.files());
    let home = folder.0.path();
    for (written, expected) in [
        ("~/.ssh/id", Ok(home.join(".ssh/id"))),
        ("%d/%h-%n-%p-%r-%u-%%", Ok(home.join("real-box-23-ops-me-%"))),
        ("/abs", Ok("/abs".into())),
        (
            "id",
            Err("it is a relative path, which depends on where a program was started"),
        ),
        ("/a/%j", Err("the token %j is not known here")),
        ("/a/%", Err("it ends with a %")),
        ("${KEYS}/a$b", Ok("/keys/a$b".into())),
        ("/x/${KEYS}${ODD}$", Ok("/x//keys~/%d${KEYS}$".into())),
        ("~/${KEYS}-%p", Ok(home.join("/keys-23".trim_start_matches('/')))),
        ("${NONE}/x", Err("the variable NONE is not set")),
        ("/a/${KEYS", Err("a ${ is not closed")),
        (
            "${ODD}",
            Err("it is a relative path, which depends on where a program was started"),
        ),
    ] {
        assert_eq!(
            resolved.path(&files, written),
            expected.map_err(str::to_owned),
            "{written}"
        );
    }
}

#[test]
fn agents() {
    let folder = Folder::new(&[]);
    let (resolved, files) = (folder.resolve("box").unwrap(), folder.files());
    for (written, expected) in [
        ("$KEYS", Ok("/keys".into())),
        ("${KEYS}/a", Ok("/keys/a".into())),
        ("/run/%u", Ok("/run/me".into())),
        ("$NONE", Err("the variable NONE is not set".to_owned())),
    ] {
        assert_eq!(resolved.agent_path(&files, written), expected, "{written}");
    }
    for (config, expected) in [
        ("IdentityAgent SSH_AUTH_SOCK\nIdentityAgent /late", None),
        ("IdentityAgent $KEYS", Some("$KEYS")),
    ] {
        let folder = Folder::new(&[("config", config)]);
        assert_eq!(folder.resolve("box").unwrap().identity_agent.as_deref(), expected);
    }
}

#[test]
fn includes() {
    let folder = Folder::new(&[
        (
            "config",
            "Include conf.d/*\nInclude missing\nHost other\nInclude {ssh}/deep\nHost *\nUser last",
        ),
        ("conf.d/2", "User two"),
        ("conf.d/1", "Host box\nUser one"),
        ("conf.d/.hidden", "User hidden"),
        ("deep", "Host box\nPort 23\nHost *\nPort 24"),
    ]);
    assert_eq!(told(&folder.resolve("box").unwrap()), "one@box:22");
    assert_eq!(told(&folder.resolve("other").unwrap()), "two@other:24");
    for (include, expected) in [
        ("conf.d/[12]", "one@box:22"),
        ("conf.d/[!1]", "two@box:22"),
        ("conf.d/**", "one@box:22"),
        ("c*/2", "two@box:22"),
        ("conf.d/${PART}", "one@box:22"),
        ("conf.d/[12", "line 1: "),
        ("conf.d/${NONE}", "line 1: the variable NONE is not set"),
    ] {
        let folder = Folder::new(&[
            ("config", &format!("Include {include}")),
            ("conf.d/1", "Host box\nUser one"),
            ("conf.d/2", "Host box\nUser two"),
        ]);
        let shown = folder.resolve("box").map(|resolved| told(&resolved));
        let shown = shown.unwrap_or_else(|error| error.replace("~/.ssh/config ", ""));
        assert!(shown.starts_with(expected), "{include}: {shown}");
    }
    let folder = Folder::new(&[("config", "Include config")]);
    let error = folder.resolve("box").unwrap_err();
    assert_eq!(
        error,
        "~/.ssh/config line 1: more than 16 files include one another, or more than 256 are read"
    );
}

#[test]
fn what_cannot_be_understood_names_its_line() {
    for (config, expected) in [
        ("Port 70000", "line 1: the port is a number from 1 to 65535"),
        ("\nUser \"a", "line 2: a quote is not closed"),
        ("User", "line 1: user has no value"),
        ("IdentitiesOnly maybe", "line 1: \"maybe\" is neither yes nor no"),
        (
            "ConnectTimeout soon",
            "line 1: \"soon\" is no time; write seconds, or 1m30s",
        ),
        (
            "ProxyJump -oProxyCommand=x",
            "line 1: ProxyJump \"-oProxyCommand=x\": the host name is missing or holds a character that none may hold",
        ),
        ("Match", "line 1: Match needs a criterion"),
        ("Match host", "line 1: Match host needs a list of patterns"),
    ] {
        check(config, "box", &format!("~/.ssh/config {expected}"));
    }
    // Where it does not apply it does not matter.
    check("Host other\nPort 70000", "box", "me@box:22");
    check(
        "HostName -oX",
        "box",
        "HostName of box: the host name is missing or holds a character that none may hold",
    );
}

/// Every file here says the same to us and to OpenSSH.
#[test]
fn as_the_systems_ssh() {
    if Command::new("ssh").arg("-V").output().is_err() {
        // Nothing to compare with; the tables above stand alone.
        return;
    }
    let files = [
        "Host box\nUser one\nPort 2222\nHostName %h.example.org\nIdentityFile ~/.ssh/a\nIdentityFile ~/.ssh/b",
        "Host *.org !x.org\nUser one\nHost x.*\nUser two\nHost *\nUser three\nIdentitiesOnly yes",
        "Match originalhost box user ops\nPort 23\nMatch host box\nPort 24\nMatch all\nPort 25",
        "HostName real\nMatch host real\nUser one\nMatch !host real\nUser two\nMatch host box\nPort 23",
        "Host\tbox\n\tUser=one\n  Port = 23\nUserKnownHostsFile /a \"/b c\"\nStrictHostKeyChecking accept-new",
        "ProxyJump a,ops@b:23\nConnectTimeout 1m\nServerAliveInterval 15\nServerAliveCountMax 2 # enough",
        "Host \"box\" x.org\nProxyCommand nc %h %p\nProxyJump a\nHost *\nUser 'a'\n",
        "Host !box\nUser one\nHost * !x.org\nPort 23\nHost b?x\nHostName \"10.0.0.1\"",
        "ProxyJump none\nProxyJump a\nIdentitiesOnly no\nStrictHostKeyChecking ask\nIdentityFile /k\\ 1",
        "Host other\nInclude {ssh}/inc\nHost box\nInclude {ssh}/inc\nUser late",
        "Include {ssh}/inc*\nHostKeyAlias alias\nPort 99",
    ];
    let mut compared = 0;
    for file in files {
        let folder = Folder::new(&[
            ("config", file),
            ("inc", "User inc\nHost x.org\nUser deep\nHost *\nPort 77"),
        ]);
        for (user, host) in [
            (None, "box"),
            (Some("ops"), "box"),
            (None, "x.org"),
            (None, "a.org"),
        ] {
            let mut ssh = Command::new("ssh");
            ssh.arg("-G").arg("-F").arg(folder.0.path().join(".ssh/config"));
            if let Some(user) = user {
                ssh.args(["-l", user]);
            }
            let output = ssh.arg(host).output().unwrap();
            assert!(
                output.status.success(),
                "{file}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            let theirs = String::from_utf8(output.stdout).unwrap();
            let target = Target {
                user: user.map(str::to_owned),
                host: host.into(),
                port: None,
            };
            let ours = resolve(&folder.files(), &target).unwrap();
            for (key, value) in shown(&ours) {
                let line = format!("{key} {value}");
                let of_key: Vec<_> = theirs
                    .lines()
                    .filter(|line| line.starts_with(&format!("{key} ")))
                    .collect();
                // Who asks is nobody to ssh, so its default user is the machine's.
                if key == "user" && value == "me" {
                    continue;
                }
                assert!(
                    of_key.contains(&&*line),
                    "{file}\n{host}: ours is {line:?}, theirs {of_key:?}"
                );
                compared += 1;
            }
        }
    }
    assert!(compared > 200, "{compared}");
}

fn shown(resolved: &Resolved) -> Vec<(&'static str, String)> {
    let mut lines = vec![
        ("hostname", resolved.host_name.clone()),
        ("user", resolved.user.clone()),
        ("port", resolved.port.to_string()),
        (
            "identitiesonly",
            if resolved.identities_only { "yes" } else { "no" }.into(),
        ),
        ("serveralivecountmax", resolved.alive_count.to_string()),
        (
            "serveraliveinterval",
            resolved
                .alive_interval
                .map_or(0, |time| time.as_secs())
                .to_string(),
        ),
        (
            "connecttimeout",
            resolved
                .connect_timeout
                .map_or("none".into(), |time| time.as_secs().to_string()),
        ),
    ];
    lines.extend(
        resolved
            .identity_files
            .iter()
            .map(|file| ("identityfile", file.clone())),
    );
    lines.push((
        "stricthostkeychecking",
        match resolved.strict {
            Strict::Yes => "true",
            Strict::Ask => "ask",
            Strict::AcceptNew => "accept-new",
        }
        .into(),
    ));
    match &resolved.proxy {
        Proxy::Direct => {}
        Proxy::Command(command) => lines.push(("proxycommand", command.clone())),
        Proxy::Jump(_) => lines.push(("proxyjump", "a,ops@b:23".into())),
    }
    if let Some(alias) = &resolved.key_alias {
        lines.push(("hostkeyalias", alias.clone()));
    }
    lines
}

#[test]
fn targets() {
    let target = |user: Option<&str>, host: &str, port| {
        Ok(Target {
            user: user.map(str::to_owned),
            host: host.into(),
            port,
        })
    };
    for (text, expected) in [
        ("box", target(None, "box", None)),
        ("ssh://ops@box:22/", target(Some("ops"), "box", Some(22))),
        ("a@b@box", target(Some("a@b"), "box", None)),
        ("fe80::1", target(None, "fe80::1", None)),
        ("[fe80::1]:23", target(None, "fe80::1", Some(23))),
    ] {
        assert_eq!(Target::parse(text), expected, "{text}");
    }
    for text in [
        "",
        "@box",
        "-x",
        "a@-x",
        "box:0",
        "box:x",
        "box:70000",
        "a b",
        "x@",
        "b\nx",
        "[::1]x",
        "a/b",
    ] {
        assert!(Target::parse(text).is_err(), "{text}");
    }
}

proptest! {
    /// No file makes the reader fall over.
    #[test]
    fn any_file(text in "(?s)((Host|Match|User|Port|Proxy(Jump|Command)|HostName|Connect.{0,3}|Match host|Match !user)[ =\t].{0,20}\n|.{0,40}\n){0,8}") {
        let folder = Folder::new(&[("config", &text.replace("Include", ""))]);
        let _ = folder.resolve("box");
    }
}
