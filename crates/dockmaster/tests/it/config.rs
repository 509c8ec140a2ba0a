//! What a person sees of the configuration, and of one that can't be used.

use insta::assert_snapshot;
use serde_json::Value;

use crate::harness::Dockmaster;

fn transcript(arguments: &[&str]) -> String {
    Dockmaster::new().run(arguments).transcript()
}

#[test]
fn config_show() {
    let configured = Dockmaster::new()
        .configured("[gateway]\nport = 9000\n\n[policy]\ndeny = [\n  'docker/prune_*',\n]\n");
    let shown = configured.run(&["config", "show"]);
    let (head, _) = shown
        .stdout()
        .split_once("\n[hosts.local.guard]")
        .map(|(head, tail)| (head.to_owned(), tail.to_owned()))
        .unwrap();
    assert_snapshot!(head, @r#"
    [gateway]
    transport = "stdio"  # default
    host = "127.0.0.1"  # default
    port = 9000  # ~/dm/config.toml:2
    hosts = []  # default
    origins = []  # default
    sse = false  # default
    profile = "default"  # default
    call_timeout = "15m"  # default
    confirm_timeout = "5m"  # default
    message_size = "4MiB"  # default
    answer_size = "64MiB"  # default
    sessions = 1000  # default
    session_idle = "30m"  # default
    events = 256  # default

    [policy]
    preset = "full"  # default
    allow = []  # default
    deny = ["docker/prune_*"]  # ~/dm/config.toml:5
    ask = "destroy"  # default
    when_unable = "refuse"  # default

    [screening]
    hidden = "mark"  # default
    instructions = "mark"  # default
    secrets = "mark"  # default
    first_sight = "approve"  # default

    [docker]
    enabled = true  # default
    toolset = "standard"  # default
    answer_tokens = 8000  # default
    # credentials_for = (Docker Hub alone)  # default

    [shell]
    enabled = false  # default
    runner = "container"  # default
    image = "docker.io/library/debian:stable-slim"  # default
    roots = []  # default
    network = "none"  # default
    hosts = []  # default
    memory = "2GiB"  # default
    cpus = 1.0  # default
    pids = 512  # default
    # user = (the owner of the first writable root, else an unprivileged number)  # default
    environment = {}  # default
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # default
    # allow = (everything that is not denied)  # default
    deny = []  # default
    scripts = false  # default
    variables = []  # default
    timeout = "2m"  # default

    [files]
    enabled = false  # default
    roots = []  # default
    hard_links = false  # default
    client_roots = true  # default
    search_timeout = "1m"  # default

    [instances]
    most = 32  # default
    memory = "64GiB"  # default
    idle_stop = "10m"  # default
    start_timeout = "60s"  # default
    list_timeout = "30s"  # default
    commands = false  # default
    node_image = "docker.io/library/node:24-slim"  # default
    python_image = "docker.io/library/python:3.13-slim"  # default

    [secrets]
    # sources = ([environment, file])  # default

    [hosts.local]
    endpoint = "ENGINE"  # DOCKER_HOST
    # context = (none)  # default
    # certificates = (none)  # default
    ssh = "own"  # default
    # api_version = (negotiated)  # default
    # timeout = (60s)  # default
    mode = "guarded"  # default
    labels = []  # default
    # guard_file = (none)  # default

    [hosts.local.files]
    roots = []  # default
    hard_links = false  # default

    [hosts.local.shell]
    # runner = (no commands run there)  # default
    roots = []  # default
    "#);
    // What it prints is a configuration that says the same.
    let again = Dockmaster::new().configured(&shown.stdout());
    let values = |dockmaster: &Dockmaster| -> Vec<Value> {
        let shown: Vec<Value> =
            serde_json::from_str(&dockmaster.run(&["config", "show", "--json"]).stdout()).unwrap();
        shown.into_iter().map(|value| value["value"].clone()).collect()
    };
    let (one, other) = (values(&configured), values(&again));
    assert_eq!(one[..one.len() - 1], other[..other.len() - 1]);
}

/// Each table stands once, however many of its kind there are.
#[test]
fn config_show_of_several_servers() {
    let own = "image = 'i'\nargs = ['a']\nenv = { A = 'b' }\n";
    let text = format!(
        "[servers.one]\n{own}[servers.two]\n{own}[profiles.a.servers.one]\nwarm = 1\nenv = {{ A = 'b' }}\n[profiles.a]\nroots = []\n[profiles.b.servers.one]\nwarm = 1\nenv = {{ A = 'b' }}\n"
    );
    let shown = Dockmaster::new().configured(&text).run(&["config", "show"]);
    let shown = shown.stdout();
    let mut tables: Vec<_> = shown.lines().filter(|line| line.starts_with('[')).collect();
    let all = tables.len();
    tables.sort_unstable();
    tables.dedup();
    assert_eq!(tables.len(), all, "{shown}");
    for table in ["[servers.one]", "[servers.two]", "[profiles.b.servers.one]"] {
        assert!(tables.contains(&table), "{shown}");
    }
}

/// For programs a value is JSON, and what is no value is words.
#[test]
fn config_show_for_programs() {
    let shown = Dockmaster::new()
        .configured(
            "[gateway]\nport = 9000\n[hosts.local.guard]\nroots = [{ path = '/srv', write = true }]\n",
        )
        .run(&["config", "show", "--json"]);
    let shown: Vec<Value> = serde_json::from_str(&shown.stdout()).unwrap();
    let row = |key: &str| shown.iter().find(|row| row["key"] == key).unwrap().to_string();
    assert_snapshot!(row("gateway.port"), @r#"{"key":"gateway.port","value":9000,"origin":"file","file":"~/dm/config.toml","line":2}"#);
    assert_snapshot!(row("gateway.transport"), @r#"{"key":"gateway.transport","value":"stdio","origin":"default"}"#);
    assert_snapshot!(row("docker.credentials_for"), @r#"{"key":"docker.credentials_for","value":null,"about":"Docker Hub alone","origin":"default"}"#);
    assert_snapshot!(row("hosts.local.guard.roots"), @r#"{"key":"hosts.local.guard.roots","value":[{"path":"/srv","write":true}],"origin":"file","file":"~/dm/config.toml","line":4}"#);
}

/// Which engine is meant, and why: also where a context says so, or says nothing of use.
#[test]
fn config_show_of_the_engine() {
    let dockmaster = Dockmaster::new();
    let endpoint = |variables: &[(&str, &str)]| {
        let shown = dockmaster.run_with(&["config", "show"], variables).stdout();
        let line = shown.lines().find(|line| line.contains("endpoint = "));
        line.unwrap().to_owned()
    };
    assert_snapshot!(endpoint(&[("DOCKER_HOST", "tcp://h:1"), ("DOCKER_CONTEXT", "far")]), @r#"endpoint = "tcp://h:1"  # DOCKER_HOST"#);
    assert_snapshot!(endpoint(&[("DOCKER_HOST", ""), ("DOCKER_CONTEXT", "far")]), @r##"# endpoint = (there is no docker context "far", which DOCKER_CONTEXT names, in HOME/.docker/contexts; there are none at all: create it with `docker context create`, or unset its name)  # DOCKER_CONTEXT"##);
    // The folder of a context is called by the SHA-256 of its name.
    let meta = dockmaster
        .home()
        .join(".docker/contexts/meta/512eea46ceb3921dff4363c7069d89d4964d1d9fccaa0f411851a7aa60a5c868");
    fs_err::create_dir_all(&meta).unwrap();
    fs_err::write(
        meta.join("meta.json"),
        r#"{"Name": "far", "Endpoints": {"docker": {"Host": "tcp://far.example:2375"}}}"#,
    )
    .unwrap();
    assert_snapshot!(endpoint(&[("DOCKER_HOST", ""), ("DOCKER_CONTEXT", "far")]), @r##"# endpoint = "tcp://far.example:2375"  # docker context far, which DOCKER_CONTEXT names"##);
}

#[test]
fn config_path_and_check() {
    assert_snapshot!(transcript(&["config", "path"]), @"
    exit 0
    | HOME/dm/config.toml
    ");
    assert_snapshot!(transcript(&["config", "path", "--json"]), @r#"
    exit 0
    | {
    |   "config": "HOME/dm/config.toml",
    |   "exists": false,
    |   "state": "HOME/dm",
    |   "database": "HOME/dm/dockmaster.db",
    |   "token": "HOME/dm/token"
    | }
    "#);
    assert_snapshot!(transcript(&["config", "check"]), @"
    exit 0
    ! there is no ~/dm/config.toml; all is at its default
    ");
    let check = |toml: &str| {
        Dockmaster::new()
            .configured(toml)
            .run(&["config", "check"])
            .transcript()
    };
    assert_snapshot!(check("[docker]\ntoolset = 'compact'\n"), @"
    exit 0
    ! ~/dm/config.toml is in order
    ");
    assert_snapshot!(check("[files]\nenabled = true\n"), @"
    exit 78
    ! error: files.roots: it names no directory, nor does any [hosts.NAME.files] or the roots of a profile, and the files server needs one
    ");
    assert_snapshot!(check("[files]\nenabled = true\n[hosts.a]\nendpoint = 'tcp://127.0.0.1:1'\n[hosts.a.files]\nroots = [{ path = '/srv' }]\n"), @"
    exit 78
    ! error: hosts.a.files.roots: files of a are reached over SSH, and its engine is at tcp://127.0.0.1:1
    ");
    assert_snapshot!(check("[docker]\ntool_set = 'compact'\n[policcy]\n"), @"
    exit 78
    ! error: HOME/dm/config.toml:2: unknown key `docker.tool_set`; did you mean `toolset`?
    ! HOME/dm/config.toml:3: unknown key `policcy`; did you mean `policy`?
    ");
    assert_snapshot!(check("[hosts.local]\nendpoint = 'ftp://docker'\n"), @r#"
    exit 78
    ! error: the configuration: "ftp://docker" is not the address of a Docker Engine: the scheme is none of unix, tcp, npipe and ssh; write unix:///path/to/socket, tcp://host:port or ssh://user@host
    "#);
    assert_snapshot!(check("[hosts.local]\napi_version = 'new'\n"), @r#"
    exit 78
    ! error: hosts.local.api_version: "new" is not a version of the Engine API; write two numbers such as 1.41, or auto
    "#);
    assert_snapshot!(check("[docker]\ncredentials_for = ['a b']\n"), @r#"
    exit 78
    ! error: docker.credentials_for: "a b" is not a registry's host
    "#);
    assert_snapshot!(check("[policy]\ndeny = ['docker/docker_exec_command']\n"), @r#"
    exit 78
    ! error: HOME/dm/config.toml:2: `policy.deny`: "docker/docker_exec_command" is another name of "docker/execute_command_in_container"; write that
    "#);
    assert_snapshot!(transcript(&["config", "explain", "policy.ask"]), @"
    exit 0
    | policy.ask
    |     Which allowed calls a person has to confirm: those that destroy, those that change (or destroy), or never any.
    ");
    assert_snapshot!(transcript(&["config", "explain", "nothing"]), @r#"
    exit 1
    ! error: there is no key or variable "nothing"; `dockmaster config explain` lists them all
    "#);
}

/// A faulty configuration stops every command that heeds it.
#[test]
fn a_faulty_configuration() {
    let faulty = Dockmaster::new().configured("[policy]\nask = 'sometimes'\n");
    for arguments in [
        &["gateway", "run"][..],
        &["tools", "list"],
        &["audit", "list"],
        &["config", "show"],
    ] {
        let ended = faulty.run(arguments);
        assert_eq!(ended.code(), 78, "{arguments:?}: {}", ended.transcript());
    }
    assert_snapshot!(faulty.run(&["tools", "list"]).transcript(), @"
    exit 78
    ! error: HOME/dm/config.toml:2: `policy.ask`: unknown variant `sometimes`, expected one of `destroy`, `change`, `never`
    ");
}
