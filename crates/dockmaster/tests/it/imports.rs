//! An existing set-up of `docker mcp`, taken over once what its servers ask for is agreed to.

use fs_err as fs;

use crate::harness::Dockmaster;
use crate::terminal::Terminal;

/// With a set-up of these files.
fn with(files: &[(&str, &str)]) -> Dockmaster {
    let dockmaster = Dockmaster::new();
    let folder = dockmaster.home().join(".docker/mcp");
    fs::create_dir_all(&folder).unwrap();
    for (name, text) in files {
        fs::write(folder.join(name), text).unwrap();
    }
    dockmaster
}

fn config(dockmaster: &Dockmaster) -> String {
    fs::read_to_string(dockmaster.file("config.toml")).unwrap_or_default()
}

const SET_UP: &[(&str, &str)] = &[
    (
        "registry.yaml",
        "registry:\n  memory:\n    ref: \"\"\n  nobody-knows:\n    ref: \"\"\n",
    ),
    ("config.yaml", "memory: {}\nnobody-knows:\n  path: /srv\n"),
    ("tools.yaml", "memory: [read_graph]\n"),
    (".env", "# mine\ngithub.personal_access_token=s3cret-value\n"),
];

#[test]
fn it_is_taken_over_once_it_is_agreed_to() {
    let dockmaster = with(SET_UP);
    let refused = dockmaster.run(&["import", "docker-mcp"]);
    insta::assert_snapshot!(refused.transcript(), @"
    exit 77
    ! what would be switched on asks for:
    !   memory: keeps data in the volume claude-memory (at /app/dist)
    ! error: nothing was taken over: there is no terminal to agree at; the same command with --yes agrees to that
    ");
    assert_eq!(config(&dockmaster), "");
    let secrets = dockmaster.run(&["secret", "list"]);
    assert!(!secrets.stdout().contains("github"), "{}", secrets.transcript());

    let imported = dockmaster.run(&["import", "docker-mcp", "--yes"]);
    insta::assert_snapshot!(imported.transcript(), @"
    exit 0
    | secret github.personal_access_token: stored in the encrypted file HOME/dm/secrets
    | server memory: switched on in the profile default
    | server nobody-knows: switched on in the profile default
    ! what would be switched on asks for:
    !   memory: keeps data in the volume claude-memory (at /app/dist)
    ! no catalog here has nobody-knows; import the one that does with `dockmaster catalog import`
    ");
    insta::assert_snapshot!(config(&dockmaster), @r#"
    [profiles.default.servers.memory]
    tools = ["read_graph"]

    [profiles.default.servers.nobody-knows]
    config = { "path" = "/srv" }
    "#);
    let before = config(&dockmaster);
    // What is there is asked for no more.
    let again = dockmaster.run(&["import", "docker-mcp"]);
    assert_eq!(again.code(), 0, "{}", again.transcript());
    assert!(again.stdout().contains("stays"), "{}", again.transcript());
    assert_eq!(config(&dockmaster), before);
}

#[test]
fn a_person_is_asked_at_a_terminal() {
    for (answer, code) in [("n", 77), ("y", 0)] {
        let dockmaster = with(SET_UP);
        let mut terminal = Terminal::run(&dockmaster, &["import", "docker-mcp"]);
        terminal.expect("memory: keeps data in the volume");
        terminal.expect("Agree?");
        terminal.type_line(answer);
        assert_eq!(terminal.end(), code, "{answer}");
        assert_eq!(config(&dockmaster).contains("memory"), code == 0, "{answer}");
    }
}

#[test]
fn nothing_is_asked_for_what_asks_for_nothing() {
    let dockmaster = with(&[("registry.yaml", "registry:\n  nobody-knows:\n    ref: \"\"\n")]);
    let imported = dockmaster.run(&["import", "docker-mcp"]);
    assert_eq!(imported.code(), 0, "{}", imported.transcript());
}

#[test]
fn what_a_catalog_that_comes_along_asks_for_is_agreed_to_as_well() {
    let dockmaster = with(&[("registry.yaml", "registry:\n  keeper:\n    ref: \"\"\n")]);
    let catalog = "name: team\nregistry:\n  keeper:\n    type: server\n    image: team/keeper:1\n    \
                   volumes: ['kept:/data']\n";
    let place = dockmaster.home().join("team.yaml");
    fs::write(&place, catalog).unwrap();
    let known = format!(
        "{{\"catalogs\": {{\"team\": {{\"url\": \"{}\"}}}}}}",
        place.display()
    );
    fs::write(dockmaster.home().join(".docker/mcp/catalog.json"), known).unwrap();

    let refused = dockmaster.run(&["import", "docker-mcp", "--catalogs"]);
    insta::assert_snapshot!(refused.transcript(), @"
    exit 77
    ! what would be switched on asks for:
    !   keeper: keeps data in the volume kept (at /data)
    ! error: nothing was taken over: there is no terminal to agree at; the same command with --yes agrees to that
    ");
    let list = dockmaster.run(&["catalog", "list"]);
    assert!(!list.stdout().contains("team"), "{}", list.transcript());
    assert_eq!(config(&dockmaster), "");

    let imported = dockmaster.run(&["import", "docker-mcp", "--catalogs", "--yes"]);
    insta::assert_snapshot!(imported.transcript(), @"
    exit 0
    | imported team: 1 server
    | server keeper: switched on in the profile default
    ! what would be switched on asks for:
    !   keeper: keeps data in the volume kept (at /data)
    ");
    insta::assert_snapshot!(config(&dockmaster), @r#"
    [profiles.default.servers.keeper]
    catalog = "team"
    "#);
}
