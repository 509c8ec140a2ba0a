//! What a person sees.

use insta::assert_snapshot;
use serde_json::Value;
use testkit::{DaemonDouble, Reply};

use crate::harness::Dockmaster;

fn transcript(arguments: &[&str]) -> String {
    Dockmaster::new().run(arguments).transcript()
}

#[test]
fn help() {
    assert_snapshot!(transcript(&["-h"]), @"
    exit 0
    | Docker for AI agents: one gateway between MCP clients and Docker Engines, with permissions and an
    | audit trail
    |
    | Usage: dockmaster [OPTIONS] <COMMAND>
    |
    | Commands:
    |   gateway      Run the gateway, and see how it does
    |   tools        List, inspect and call tools from the command line
    |   server       Switch servers on and off, set them up, see how they do
    |   catalog      See what servers there are, and take in further catalogs
    |   host         Docker Engines on this and other machines, by name
    |   profile      Named sets of servers
    |   secret       Keep secrets for servers
    |   import       Take over what another program has set up
    |   audit        See, check and export what was done
    |   doctor       Look for what is missing, and say how to get it
    |   config       Show and check the configuration
    |   version      Print the version
    |   completions  Print the completions of a shell
    |   man          Print the man page, or write all man pages into a folder
    |
    | Options:
    |   -h, --help     Print help (see more with '--help')
    |   -V, --version  Print version
    |
    | Global options:
    |       --config <FILE>      The configuration file [default: config.toml in the configuration folder;
    |                            see `config path`]
    |       --log-level <LEVEL>  How much is logged, on standard error [default: warn or error] [possible
    |                            values: off, error, warn, info, debug, trace]
    |
    | Exit codes:
    |   0    done
    |   1    failed: the tool, the check or the command; standard error says why
    |   2    the command line is not understood
    |   65   the audit was tampered with
    |   69   no gateway answers there, or its own address can't be had
    |   77   refused: by the rules, or by a person, or there was nobody to ask
    |   78   the configuration is faulty
    |   130  interrupted
    ");
    assert_snapshot!(transcript(&["tools", "call", "--help"]), @r#"
    exit 0
    | Call a tool, on the same way as any client: permissions, confirmation, audit
    |
    | Usage: dockmaster tools call [OPTIONS] <NAME> [JSON]
    |
    | Arguments:
    |   <NAME>
    |           The tool, by any of its names
    |
    |   [JSON]
    |           Its arguments as a JSON object, or - to read them from standard input
    |
    | Options:
    |       --arg <NAME=VALUE>
    |           One argument; the value is JSON where the tool takes more than text
    |
    |   -y, --yes
    |           Answer every question with yes
    |
    |       --json
    |           Print JSON
    |
    |   -h, --help
    |           Print help (see a summary with '-h')
    |
    |   -V, --version
    |           Print version
    |
    | Global options:
    |       --config <FILE>
    |           The configuration file [default: config.toml in the configuration folder; see `config
    |           path`]
    |
    |       --log-level <LEVEL>
    |           How much is logged, on standard error [default: warn or error]
    |
    |           Possible values:
    |           - off:   Nothing
    |           - error: What failed
    |           - warn:  What is not as it should be
    |           - info:  What happens
    |           - debug: What is done for it
    |           - trace: Everything
    |
    | Examples:
    |   dockmaster tools call list_containers --arg all=true
    |   dockmaster tools call create_container '{"image": "nginx", "name": "web"}'
    |   dockmaster tools call remove_container --arg container=web --yes
    |   echo '{"image": "nginx"}' | dockmaster tools call pull_image -
    "#);
}

#[test]
fn what_is_not_understood() {
    assert_snapshot!(transcript(&["gatway"]), @"
    exit 2
    ! error: unrecognized subcommand 'gatway'
    !
    !   tip: a similar subcommand exists: 'gateway'
    !
    ! Usage: dockmaster [OPTIONS] <COMMAND>
    !
    ! For more information, try '--help'.
    ");
    assert_snapshot!(transcript(&["gateway", "run", "--toolset", "all"]), @"
    exit 2
    ! error: invalid value 'all' for '--toolset <TOOLSET>'
    !   [possible values: standard, compact, full]
    !
    !   tip: a similar value exists: 'full'
    !
    ! For more information, try '--help'.
    ");
    assert_snapshot!(transcript(&["gateway", "run", "--port", "70000"]), @"
    exit 2
    ! error: invalid value '70000' for '--port <PORT>': 70000 is not in 0..=65535
    !
    ! For more information, try '--help'.
    ");
    assert_snapshot!(transcript(&["audit", "list", "--since", "yesterday"]), @"
    exit 2
    ! error: invalid value 'yesterday' for '--since <WHEN>': write how long ago (30m, 2h, 7d), a day (2026-11-21) or a moment (2026-11-21T10:00:00Z)
    !
    ! For more information, try '--help'.
    ");
    assert_snapshot!(transcript(&["tools", "call", "list_containers", "{"]), @"
    exit 2
    ! error: the arguments are not JSON: EOF while parsing an object at line 1 column 1
    ");
    assert_snapshot!(transcript(&["tools", "call", "list_containers", "--arg", "all"]), @r#"
    exit 2
    ! error: "all" has no '='; write --arg NAME=VALUE
    "#);
    assert_snapshot!(transcript(&["--config", "nowhere.toml", "config", "check"]), @"
    exit 78
    ! error: there is no configuration file HOME/nowhere.toml, which --config names
    ");
}

#[test]
fn version() {
    assert_snapshot!(transcript(&["version"]), @"
    exit 0
    | dockmaster 0.1.0
    ");
    let json: Value = serde_json::from_str(&Dockmaster::new().run(&["version", "--json"]).stdout()).unwrap();
    assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(json["mcp"][4], "2026-07-28");
}

#[test]
fn doctor() {
    let dockmaster = Dockmaster::new();
    let ended = dockmaster.run(&["doctor"]);
    assert_eq!(ended.code(), 0, "{}", ended.transcript());
    let checks: Vec<Value> = serde_json::from_str(&dockmaster.run(&["doctor", "--json"]).stdout()).unwrap();
    let state = |name: &str| checks.iter().find(|check| check["name"] == name).unwrap()["state"].clone();
    for name in [
        "configuration",
        "engine",
        "answers",
        "clock",
        "guard",
        "audit",
        "secrets",
        "gateway",
        "egress",
    ] {
        assert_eq!(state(name), "ok", "{name}: {checks:?}");
    }
}

#[test]
fn doctor_finds_faults() {
    let nowhere = Dockmaster::on("unix:///nonexistent/docker.sock");
    let shown = |dockmaster: &Dockmaster| {
        let ended = dockmaster.run(&["doctor"]);
        let faults = ended.stdout();
        let lines: Vec<_> = faults
            .lines()
            .skip_while(|line| !line.starts_with("FAULT"))
            .take(2)
            .collect();
        format!("exit {}\n{}", ended.code(), lines.join("\n"))
    };
    assert_snapshot!(shown(&nowhere), @"
    exit 1
    FAULT answers         can't reach the Docker Engine at unix:///nonexistent/docker.sock: No such file or directory (os error 2); is it installed and running? Start it, or set DOCKER_HOST to where it is
                          -> start the engine, or say where it is
    ");
    assert_snapshot!(shown(&Dockmaster::new().configured("[gateway]\nporrt = 1\n")), @"
    exit 1
    FAULT configuration   HOME/dm/config.toml:2: unknown key `gateway.porrt`; did you mean `port`?
                          -> mend that, and run doctor again
    ");
    assert_snapshot!(shown(&Dockmaster::on("unix://relative")), @r#"
    exit 1
    FAULT engine          DOCKER_HOST: "unix://relative" is not the address of a Docker Engine: a socket's path is absolute, with three slashes; write unix:///path/to/socket, tcp://host:port or ssh://user@host
                          -> say where it is, in DOCKER_HOST or under [hosts.local]
    "#);

    let helpless = Dockmaster::new().configured("[secrets]\nsources = [\"helper:not-there\", \"file\"]\n");
    let told = helpless.run(&["doctor"]).stdout();
    assert!(told.contains("docker-credential-not-there"), "{told}");

    let loose = Dockmaster::new().configured("");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    fs_err::set_permissions(loose.file("config.toml"), mode).unwrap();
    assert_snapshot!(shown(&loose), @"
    exit 1
    FAULT configuration   ~/dm/config.toml can be written by others, who could open the guard
                          -> chmod go-w HOME/dm/config.toml
    ");

    let blocked = Dockmaster::new().configured("");
    fs_err::create_dir_all(blocked.file("dockmaster.db")).unwrap();
    assert_snapshot!(shown(&blocked), @"
    exit 1
    FAULT audit           cannot use the state file HOME/dm/dockmaster.db: unable to open database file: HOME/dm/dockmaster.db; check its owner and permissions, and those of its folder
                          -> every call fails until that is mended
    ");
}

/// An engine that answers, but not as one.
#[tokio::test(flavor = "multi_thread")]
async fn doctor_on_something_that_is_no_engine() {
    let double = DaemonDouble::start(|_| Reply::json(404, &serde_json::json!({"hello": "world"})));
    let ended = Dockmaster::on(&double.endpoint()).run(&["doctor", "--json"]);
    assert_eq!(ended.code(), 1, "{}", ended.transcript());
}

#[test]
fn what_clients_are_given() {
    let dockmaster = Dockmaster::new();
    assert_snapshot!(dockmaster.run(&["gateway", "client-config"]).transcript(), @r#"
    exit 0
    | {
    |   "mcpServers": {
    |     "dockmaster": {
    |       "command": "EXECUTABLE",
    |       "args": [
    |         "gateway",
    |         "run"
    |       ],
    |       "env": {
    |         "DOCKMASTER_HOME": "HOME/dm",
    |         "DOCKER_HOST": "ENGINE"
    |       }
    |     }
    |   }
    | }
    "#);
    let with_token = [("DOCKMASTER_TOKEN", "a-token-of-this-test")];
    let arguments = [
        "gateway",
        "client-config",
        "--transport",
        "http",
        "--port",
        "9000",
    ];
    assert_snapshot!(dockmaster.run_with(&arguments, &with_token).transcript(), @r#"
    exit 0
    | {
    |   "mcpServers": {
    |     "dockmaster": {
    |       "type": "http",
    |       "url": "http://127.0.0.1:9000/mcp",
    |       "headers": {
    |         "Authorization": "Bearer a-token-of-this-test"
    |       }
    |     }
    |   }
    | }
    "#);
}

#[test]
fn completions_and_man_pages() {
    let dockmaster = Dockmaster::new();
    assert!(
        dockmaster
            .run(&["completions", "bash"])
            .stdout()
            .contains("client-config")
    );
    assert!(dockmaster.run(&["man"]).stdout().starts_with(".ie"));
    let folder = dockmaster.file("man");
    assert_eq!(
        dockmaster
            .run(&["man", "--folder", folder.to_str().unwrap()])
            .code(),
        0
    );
    assert!(folder.join("dockmaster-gateway-run.1").exists());
}

/// `dockmaster … | head`: a reader that stops reading is no failure.
#[test]
fn a_reader_that_has_had_enough() {
    let dockmaster = Dockmaster::new();
    let mut child = dockmaster
        .command(&["completions", "zsh"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
