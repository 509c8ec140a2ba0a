use catalog::plan::{Network, Sharing, Source, Target};
use catalog::{Known, LackSort, plan};

use crate::{around, lines, setup};

const NAMES: [&str; 15] = [
    "docker",
    "files",
    "node-code-sandbox",
    "mcp-code-interpreter",
    "github-official",
    "ast-grep",
    "kubernetes",
    "memory",
    "sqlite-mcp-server",
    "duckduckgo",
    "browserbase",
    "deepwiki",
    "arxiv-mcp-server",
    "markdownify",
    "ramparts",
];

#[test]
fn all_of_it_can_be_read() {
    let catalog = catalog::read::catalog(catalog::ours::TEXT).unwrap();
    // Only those that are built in may not be said by catalogs of others.
    assert_eq!(catalog.faults.len(), 2, "{:?}", catalog.faults);
    let ours = catalog::ours::catalog();
    assert_eq!(ours.faults, []);
    let names: Vec<&str> = ours.entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, NAMES);
    for entry in &ours.entries {
        assert_eq!(entry.notes, [], "{}", entry.name);
        assert!(
            entry.about.title.is_some() && entry.about.description.is_some(),
            "{}",
            entry.name
        );
        assert!(
            !entry.about.tags.is_empty() && !entry.about.touches.is_empty(),
            "{}",
            entry.name
        );
    }
}

/// Setup, who shares it, and what a person is told that it asks for.
#[test]
fn each_is_planned() {
    for (name, toml, sharing, asks_for) in [
        ("docker", "", Sharing::Everyone, ""),
        ("files", "", Sharing::Everyone, ""),
        (
            "node-code-sandbox",
            "config = { memory_limit = '512m' }",
            Sharing::Session,
            "drives Docker, by a filtered socket that shows only what it made itself",
        ),
        (
            "mcp-code-interpreter",
            "",
            Sharing::Session,
            "keeps data in the volume notebooks (at /app/notebooks)",
        ),
        (
            "github-official",
            "",
            Sharing::Everyone,
            "reaches api.github.com:443, github.com:443, raw.githubusercontent.com:443",
        ),
        (
            "ast-grep",
            "config = { path = '/home/you/proj/x' }",
            Sharing::Everyone,
            "reads and writes /home/you/proj/x (at /src)",
        ),
        (
            "kubernetes",
            "config = { config_path = '~/.kube/config' }\nhosts = ['k8s.example.com:6443']",
            Sharing::Everyone,
            "reaches k8s.example.com:6443\nreads /home/you/.kube/config (at /home/appuser/.kube/config)",
        ),
        (
            "memory",
            "",
            Sharing::Everyone,
            "keeps data in the volume claude-memory (at /app/dist)",
        ),
        (
            "sqlite-mcp-server",
            "",
            Sharing::Everyone,
            "keeps data in the volume sqlite-mcp-server (at /app/data)\nwrites to its own root file system",
        ),
        (
            "duckduckgo",
            "",
            Sharing::Everyone,
            "reaches html.duckduckgo.com:443",
        ),
        (
            "browserbase",
            "",
            Sharing::Session,
            "reaches *.browserbase.com:443, generativelanguage.googleapis.com:443",
        ),
        (
            "deepwiki",
            "",
            Sharing::Everyone,
            "is not run here: what the agent gives its tools is sent to mcp.deepwiki.com:443",
        ),
        (
            "arxiv-mcp-server",
            "",
            Sharing::Everyone,
            "reaches arxiv.org:443, export.arxiv.org:443\nkeeps data in the volume arxiv-papers (at /app/papers)",
        ),
        (
            "arxiv-mcp-server",
            "config = { storage_path = '/home/you/proj/papers' }",
            Sharing::Everyone,
            "reaches arxiv.org:443, export.arxiv.org:443\nreads and writes /home/you/proj/papers (at /app/papers)",
        ),
        (
            "markdownify",
            "config = { paths = ['/home/you/docs', '/home/you/proj'] }",
            Sharing::Everyone,
            "reads /home/you/docs (at /home/you/docs)\nreads and writes /home/you/proj (at /home/you/proj)",
        ),
        (
            "ramparts",
            "network = 'open'",
            Sharing::Everyone,
            "reaches everything that the engine's network reaches",
        ),
    ] {
        let entry = catalog::ours::catalog().get(name).unwrap();
        let plan =
            plan(entry, &setup(toml), &around()).unwrap_or_else(|lacks| panic!("{name}: {}", lines(&lacks)));
        assert_eq!(plan.sharing, sharing, "{name}");
        assert_eq!(plan.asks_for.join("\n"), asks_for, "{name}");
    }
}

#[test]
fn without_its_setup_each_says_what_is_missing() {
    let bare = catalog::Around {
        secrets: Known::These(std::collections::BTreeSet::new()),
        ..around()
    };
    for (name, expected) in [
        (
            "github-official",
            "github-official needs the secret github.personal_access_token, for GITHUB_PERSONAL_ACCESS_TOKEN (A personal access token with the rights that the agent shall have, made at https://github.com/settings/personal-access-tokens): dockmaster secret set github.personal_access_token",
        ),
        (
            "ast-grep",
            "the configuration of ast-grep: path is missing; expected is text (The folder with the code): dockmaster server config ast-grep path=/home/you/project",
        ),
        (
            "kubernetes",
            "the configuration of kubernetes: config_path is missing; expected is text (The kubeconfig file): dockmaster server config kubernetes config_path=/home/you/.kube/config",
        ),
        (
            "browserbase",
            "browserbase needs the secret browserbase.browserbase_api_key, for BROWSERBASE_API_KEY (An API key, from https://www.browserbase.com/settings): dockmaster secret set browserbase.browserbase_api_key
browserbase needs the secret browserbase.browserbase_project_id, for BROWSERBASE_PROJECT_ID (The project in which browsers run): dockmaster secret set browserbase.browserbase_project_id
browserbase needs the secret browserbase.gemini_api_key, for GEMINI_API_KEY (A Gemini key, for the model that looks at pages): dockmaster secret set browserbase.gemini_api_key",
        ),
        (
            "markdownify",
            r#"the configuration of markdownify: paths is missing; expected is a list (Folders and files to convert): dockmaster server config markdownify 'paths=["/home/you/documents"]'"#,
        ),
    ] {
        let entry = catalog::ours::catalog().get(name).unwrap();
        let lacks = plan(entry, &setup(""), &bare).unwrap_err();
        assert_eq!(lines(&lacks), expected, "{name}");
    }
    for name in [
        "docker",
        "node-code-sandbox",
        "mcp-code-interpreter",
        "memory",
        "sqlite-mcp-server",
        "duckduckgo",
        "deepwiki",
        "arxiv-mcp-server",
        "ramparts",
    ] {
        let entry = catalog::ours::catalog().get(name).unwrap();
        plan(entry, &setup(""), &bare).unwrap_or_else(|lacks| panic!("{name}: {}", lines(&lacks)));
    }
}

#[test]
fn paths_outside_the_roots_name_the_line() {
    let entry = catalog::ours::catalog().get("ast-grep").unwrap();
    let lacks = plan(entry, &setup("config = { path = '/srv/code' }"), &around()).unwrap_err();
    assert_eq!(lacks[0].sort, LackSort::Path);
    assert_eq!(
        lines(&lacks),
        r#"/srv/code is to be mounted, and is under none of your roots: write under [hosts.local.guard]: roots = [{ path = "/srv/code", write = true }]"#
    );
}

#[test]
fn the_github_server_in_detail() {
    let entry = catalog::ours::catalog().get("github-official").unwrap();
    let setup = setup("config = { toolsets = ['repos', 'issues'], read_only = true }\ntools = ['get_me']");
    let plan = plan(entry, &setup, &around()).unwrap();
    assert_eq!(plan.secrets, ["github.personal_access_token"]);
    assert_eq!(plan.tools.as_deref(), Some(&["get_me".to_owned()][..]));
    let Target::Container(container) = plan.target else {
        panic!("a container")
    };
    assert_eq!(
        serde_json::to_value(&container.env).unwrap(),
        serde_json::json!([
            ["GITHUB_PERSONAL_ACCESS_TOKEN", {"parts": [{"secret": "github.personal_access_token"}]}],
            ["GITHUB_TOOLSETS", {"plain": "repos,issues"}],
            ["GITHUB_READ_ONLY", {"plain": "true"}],
        ])
    );
    assert!(matches!(container.network, Network::Hosts(hosts) if hosts.len() == 3));
    assert!(
        container
            .mounts
            .iter()
            .all(|mount| !matches!(mount.source, Source::Path(_)))
    );
}
