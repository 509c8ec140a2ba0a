use std::collections::BTreeSet;
use std::path::PathBuf;

use base::Span;
use proptest::prelude::*;

use super::config::Config;
use super::file;
use super::table::{Preset, SETTINGS, TABLES};
use super::*;

/// The faults of a file, as they are printed.
fn faults(text: &str) -> String {
    let faults = file::parse(text).err().unwrap_or_default();
    FileError::Faulty {
        path: PathBuf::from("config.toml"),
        faults,
    }
    .to_string()
}

#[test]
fn unknown_keys_are_errors_with_what_was_meant() {
    insta::assert_snapshot!(faults("[gatway]\nport = 1\n"), @"config.toml:1: unknown key `gatway`; did you mean `gateway`?");
    insta::assert_snapshot!(faults("[gateway]\n\nprot = 1\ntransprot = 'http'\n"), @"
    config.toml:3: unknown key `gateway.prot`; did you mean `port`?
    config.toml:4: unknown key `gateway.transprot`; did you mean `transport`?
    ");
    insta::assert_snapshot!(faults("[gateway]\npreset = 'full'\n"), @"config.toml:2: unknown key `gateway.preset`; `preset` belongs under [policy]");
    insta::assert_snapshot!(faults("[hosts.remote]\nmod = 'open'\n"), @"config.toml:2: unknown key `hosts.remote.mod`; did you mean `mode`?");
    insta::assert_snapshot!(faults("[hosts.local.guard]\nprivilege = true\n"), @"config.toml:2: unknown key `hosts.local.guard.privilege`; did you mean `privileged`?");
    insta::assert_snapshot!(faults("[audit]\nxyz = 1\n"), @"config.toml:2: unknown key `audit.xyz`; [audit] has: file");
    insta::assert_snapshot!(faults("port = 8811\n"), @"config.toml:1: unknown key `port`; `port` belongs under [gateway]");
    insta::assert_snapshot!(faults("gateway = 1\n"), @"config.toml:1: `gateway` is a table: write [gateway], and its keys below");
    insta::assert_snapshot!(faults("[gateway]\n\"a\\u001b[31m\\n\" = 1\n"), @"config.toml:2: unknown key `gateway.a `; [gateway] has: transport, host, port, hosts, origins, sse, profile, call_timeout, confirm_timeout, message_size, answer_size, sessions, session_idle, events");
}

#[test]
fn wrong_values_are_errors_with_their_line() {
    insta::assert_snapshot!(faults("[gateway]\nport = 'x'\n"), @r#"config.toml:2: `gateway.port`: invalid type: string "x", expected a number up to 65535"#);
    insta::assert_snapshot!(faults("[gateway]\nport = 70000\n"), @"config.toml:2: `gateway.port`: invalid value: integer `70000`, expected a number up to 65535");
    insta::assert_snapshot!(faults("[gateway]\nhost = 'localhost'\n"), @r#"config.toml:2: `gateway.host`: "localhost" is not an IP address; for this machine alone write 127.0.0.1"#);
    insta::assert_snapshot!(faults("[gateway]\ncall_timeout = '5 parsecs'\n"), @r#"config.toml:2: `gateway.call_timeout`: "5 parsecs" is not a length of time; write a number of seconds, or a number with ms, s, m, h or d, such as "15m""#);
    insta::assert_snapshot!(faults("[gateway]\nmessage_size = '1KiB'\n"), @"config.toml:2: `gateway.message_size`: 1 KiB is not from 64 KiB to 1 GiB");
    insta::assert_snapshot!(faults("[gateway]\nanswer_size = 'much'\n"), @r#"config.toml:2: `gateway.answer_size`: "much" is no number of bytes; the units are k, m, g and t"#);
    insta::assert_snapshot!(faults("[gateway]\nsessions = 0\n"), @"config.toml:2: `gateway.sessions`: it is at least 1");
    insta::assert_snapshot!(faults("[gateway]\ntransport = 'sse'\n"), @"config.toml:2: `gateway.transport`: unknown variant `sse`, expected `stdio` or `http`");
    insta::assert_snapshot!(faults("[policy]\ndeny = ['docker']\n"), @r#"config.toml:2: `policy.deny`: "docker" names no server and tool; write "server/tool", for all tools of a server "server/*""#);
    insta::assert_snapshot!(faults("[docker]\ntoolset = 'all'\n"), @r#"config.toml:2: `docker.toolset`: "all" is not a toolset: use standard, compact or full"#);
    insta::assert_snapshot!(faults("[hosts.local]\nmode = 'shut'\n"), @"config.toml:2: `hosts.local.mode`: unknown variant `shut`, expected one of `read-only`, `no-destroy`, `guarded`, `open`");
    insta::assert_snapshot!(faults("[files]\nroots = ['/srv']\n"), @r#"config.toml:2: `files.roots`: invalid type: string "/srv", expected a table such as { path = "/srv/work", write = true }"#);
    insta::assert_snapshot!(faults("[profiles.a]\nroots = ['/srv']\n"), @r#"config.toml:2: `profiles.a.roots`: invalid type: string "/srv", expected a table such as { path = "/srv/work", write = true }"#);
    insta::assert_snapshot!(faults("[shell]\ntimeout = '2h'\n"), @"config.toml:2: `shell.timeout`: 2h is more than 1h, the most that run_command waits; start_command starts what goes on");
    insta::assert_snapshot!(faults("[hosts.local.guard]\nroots = [{ path = 'srv' }]\n"), @"config.toml:2: `hosts.local.guard.roots`: srv is not an absolute path without ..");
    insta::assert_snapshot!(faults("[gateway\n"), @"config.toml:1: unclosed table, expected `]`");
    insta::assert_snapshot!(faults("[gateway]\nport = 1\nport = 2\n"), @"config.toml:3: duplicate key");
}

#[test]
fn hosts_that_can_not_be_meant() {
    insta::assert_snapshot!(faults("[gateway]\nport = 1\n[hosts.remote]\nmode = 'open'\n"), @r#"config.toml:4: `hosts.remote.endpoint`: is missing: [hosts.remote] needs an endpoint ("ssh://user@host") or a context of the docker CLI"#);
    insta::assert_snapshot!(faults("[hosts.\"a b\"]\nmode = 'open'\n"), @r#"config.toml:1: "a b" is not a valid host name: use letters, digits, '_', '.' and '-', the first a letter or digit"#);
    insta::assert_snapshot!(faults("[hosts.a]\nendpoint = 'ssh://a'\ncontext = 'a'\n"), @"config.toml:3: `hosts.a.context`: goes without `endpoint`: either of them says where the engine is");
    insta::assert_snapshot!(faults("[hosts.a]\ncontext = 'a'\ncertificates = '/c'\n"), @"config.toml:3: `hosts.a.certificates`: goes with an `endpoint` (tcp://host:port); a context has certificates of its own");
    insta::assert_snapshot!(faults("[hosts.a]\ncontext = 'a'\nlabels = ['gpu', 'a b']\n"), @r#"config.toml:3: `hosts.a.labels`: "a b" is no label; write a word or name=value of letters, digits, '_', '.', '-' and '/'"#);
    insta::assert_snapshot!(faults("[hosts.a]\ncontext = 'a'\nguard_file = 'g'\n[hosts.a.guard]\ngpus = true\n"), @"config.toml:3: `hosts.a.guard_file`: goes without the table `guard`: one of them is the guard");
    insta::assert_snapshot!(faults("[hosts.a]\ncontext = 'a'\nmode = 'shut'\n"), @"config.toml:3: `hosts.a.mode`: unknown variant `shut`, expected one of `read-only`, `no-destroy`, `guarded`, `open`");
    insta::assert_snapshot!(faults("[hosts.\"db.example.com\".guard]\nprivilege = true\n"), @"config.toml:2: unknown key `hosts.db.example.com.guard.privilege`; did you mean `privileged`?");
    assert_eq!(
        faults("[hosts.\"db.example.com\"]\nendpoint = 'ssh://db'\nlabels = ['gpu', 'zone=eu-1']\n"),
        ""
    );
}

#[test]
fn a_mode_for_the_engine_at_hand_opens_no_other() {
    let text = "[hosts.a]\ncontext = 'a'\nmode = 'no-destroy'\n[hosts.a.guard]\ngpus = true\n";
    let mode = |mode| {
        let overrides = Overrides {
            mode,
            ..Overrides::default()
        };
        let config = settings(Some(text), overrides, home()).config;
        let host = config.hosts.get("a").unwrap();
        assert!(host.guard.gpus);
        (config.hosts.local.guard.mode.as_str(), host.guard.mode.as_str())
    };
    assert_eq!(mode(None), ("guarded", "no-destroy"));
    assert_eq!(mode(Some(engine::guard::Mode::Open)), ("open", "no-destroy"));
    assert_eq!(
        mode(Some(engine::guard::Mode::ReadOnly)),
        ("read-only", "read-only")
    );
}

/// The table says the same as the types.
#[test]
fn defaults_are_those_of_the_types() {
    let mut text = String::new();
    for (table, _) in TABLES.iter().filter(|(table, _)| !table.contains('*')) {
        text.extend(["[", table, "]\n"]);
        for setting in SETTINGS
            .iter()
            .filter(|setting| setting.key.rsplit_once('.').is_some_and(|(own, _)| own == *table))
        {
            if let Preset::Value(value) = setting.default {
                let (_, name) = setting.key.rsplit_once('.').unwrap();
                text.extend([name, " = ", value, "\n"]);
            }
        }
    }
    assert_eq!(file::parse(&text).unwrap().config, Config::default());
}

/// The keys that a type accepts are those of the table: serde names them when it meets one that it does not know.
#[test]
fn every_key_of_the_types_is_in_the_table() {
    for (table, _) in TABLES {
        let text = format!("[{}]\n\"?\" = 1\n", table.replace('*', "some"));
        let error = toml::from_str::<Config>(&text).unwrap_err();
        let accepted: BTreeSet<&str> = error.message().split('`').skip(3).step_by(2).collect();
        let children: BTreeSet<&str> = table::children(&table.split('.').collect::<Vec<_>>()).collect();
        assert_eq!(accepted, children, "[{table}]: {}", error.message());
    }
}

#[test]
fn every_key_is_in_a_table_that_is_described() {
    for setting in SETTINGS {
        let (own, _) = setting.key.rsplit_once('.').unwrap();
        assert!(TABLES.iter().any(|(table, _)| *table == own), "{}", setting.key);
    }
}

fn settings(text: Option<&str>, overrides: Overrides, environment: Environment) -> Settings {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("config.toml");
    if let Some(text) = text {
        fs_err::write(&file, text).unwrap();
    }
    let named = text.map(|_| file.as_path());
    let mut settings = Settings::read(named, overrides, environment).unwrap();
    settings.file = PathBuf::from("/etc/dm.toml");
    settings
}

fn home() -> Environment {
    Environment::of([
        (Var::UserHome, "/home/user"),
        (Var::DockerHost, "tcp://u:hunter2@h:1"),
        (Var::DockerTimeout, "9"),
    ])
}

#[test]
fn flags_go_before_the_file_and_variables_behind_it() {
    let text = "[gateway]\nport = 1\nhosts = [\n  'a', # first\n  'b',\n]\n[hosts.local]\ntimeout = 5\n";
    let overrides = Overrides {
        port: Some(2),
        mode: Some(engine::guard::Mode::ReadOnly),
        ..Overrides::default()
    };
    let settings = settings(Some(text), overrides, home());
    assert_eq!(settings.config.gateway.port, 2);
    assert_eq!(
        settings.config.hosts.local.guard.mode,
        engine::guard::Mode::ReadOnly
    );
    assert_eq!(settings.config.hosts.local.timeout, Some(Span::seconds(5)));
    let shown = settings.shown();
    let shown = |key| {
        let value = shown.iter().find(|value| value.key == key).unwrap();
        format!("{} <- {}", value.value, value.origin)
    };
    insta::assert_snapshot!(shown("gateway.port"), @"2 <- --port");
    insta::assert_snapshot!(shown("gateway.host"), @r#""127.0.0.1" <- default"#);
    insta::assert_snapshot!(shown("gateway.hosts"), @r#"["a", "b"] <- /etc/dm.toml:3"#);
    insta::assert_snapshot!(shown("hosts.local.mode"), @r#""read-only" <- --mode"#);
    insta::assert_snapshot!(shown("hosts.local.timeout"), @"5 <- /etc/dm.toml:8");
    insta::assert_snapshot!(shown("hosts.local.endpoint"), @r#""tcp://u:[redacted]@h:1" <- DOCKER_HOST"#);
    insta::assert_snapshot!(shown("hosts.local.api_version"), @"(negotiated) <- default");
    insta::assert_snapshot!(shown("audit.file"), @r#""/home/user/.local/state/dockmaster/dockmaster.db" <- default"#);
}

#[test]
fn nothing_at_all_is_guarded_and_asks() {
    let settings = settings(
        None,
        Overrides::default(),
        Environment::of([(Var::UserHome, "/nonexistent")]),
    );
    assert!(!settings.has_file());
    assert!(settings.config.docker.enabled);
    assert_eq!(
        settings.config.hosts.local.guard.mode,
        engine::guard::Mode::Guarded
    );
    assert_eq!(settings.config.policy.ask, policy::AskBefore::Destroy);
    assert_eq!(settings.config.policy.when_unable, policy::WhenUnable::Refuse);
}

#[test]
fn a_named_file_has_to_exist() {
    let error = |named: Option<&str>, environment| {
        Settings::read(named.map(Path::new), Overrides::default(), environment)
            .unwrap_err()
            .to_string()
    };
    insta::assert_snapshot!(error(Some("/nonexistent/a.toml"), home()), @"there is no configuration file /nonexistent/a.toml, which --config names");
    let environment = Environment::of([(Var::UserHome, "/h"), (Var::Config, "/nonexistent/b.toml")]);
    insta::assert_snapshot!(error(None, environment), @"there is no configuration file /nonexistent/b.toml, which DOCKMASTER_CONFIG names");
    insta::assert_snapshot!(error(None, Environment::default()), @"neither HOME nor DOCKMASTER_HOME is set, so there is no place for configuration and state; set one of them");
}

proptest! {
    /// Neither a panic nor a loop, whatever stands in the file.
    #[test]
    fn any_text_is_a_configuration_or_faults(text in "\\PC{0,80}|(\\[?(gateway|policy|hosts|local|guard|roots|[.=' \\n\\[\\]{}0-9])\\]?){0,12}") {
        if let Err(faults) = file::parse(&text) {
            prop_assert!(!faults.is_empty());
            prop_assert!(faults.iter().all(|fault| fault.line >= 1 && fault.line <= text.lines().count().max(1) + 1));
        }
    }
}
