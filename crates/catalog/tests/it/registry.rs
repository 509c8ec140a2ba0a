use catalog::plan::{Ecosystem, Target};
use catalog::{Entry, plan, read};
use serde_json::json;

use crate::{around, lines, setup};

fn server(packages: serde_json::Value, remotes: serde_json::Value) -> Entry {
    let text = json!({
        "$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
        "name": "io.github.someone/weather", "title": "Weather", "description": "Forecasts", "version": "1.2.3",
        "repository": {"url": "https://github.com/someone/weather", "source": "github"},
        "icons": [{"src": "https://x/i.png"}], "packages": packages, "remotes": remotes,
    });
    read::server_json(&text.to_string()).unwrap()
}

fn container(entry: &Entry, toml: &str) -> catalog::plan::Container {
    let plan = plan(entry, &setup(toml), &around()).unwrap_or_else(|lacks| panic!("{}", lines(&lacks)));
    let Target::Container(container) = plan.target else {
        panic!("a container")
    };
    container
}

fn notes(entry: &Entry) -> Vec<&str> {
    entry.notes.iter().map(|note| note.text.as_str()).collect()
}

#[test]
fn npm_with_every_sort_of_input() {
    let entry = server(
        json!([{
            "registryType": "npm", "registryBaseUrl": format!("https://registry.{}", "npmjs.org"), "identifier": "@someone/weather", "version": "1.2.3",
            "runtimeHint": "npx", "transport": {"type": "stdio"},
            "runtimeArguments": [{"type": "positional", "value": "-y"}, {"type": "named", "name": "--inspect"}],
            "packageArguments": [
                {"type": "positional", "value": "start"},
                {"type": "positional", "valueHint": "folder", "format": "filepath", "isRequired": true, "isRepeated": true},
                {"type": "named", "name": "--units", "choices": ["metric", "imperial"], "default": "metric"},
                {"type": "named", "name": "--port", "format": "number"},
                {"type": "named", "name": "--cache", "format": "boolean", "default": "true"},
                {"type": "named", "name": "--verbose"},
                {"type": "named", "name": "--auth", "value": "user:{password}", "variables": {"password": {"isSecret": true, "isRequired": true}}},
            ],
            "environmentVariables": [
                {"name": "WEATHER_KEY", "description": "The key", "isRequired": true, "isSecret": true},
                {"name": "OTHER_KEY", "isSecret": true},
                {"name": "REGION", "isRequired": true, "placeholder": "eu"},
                {"name": "ENDPOINT", "value": "https://{REGION}.example.com/{unknown}", "variables": {"REGION": {"isRequired": true}}},
            ],
            "surprise": 1,
        }]),
        json!([]),
    );
    assert_eq!(
        (entry.name.as_str(), entry.published_as.as_deref()),
        ("io.github.someone.weather", Some("io.github.someone/weather"))
    );
    assert_eq!(
        notes(&entry),
        [
            "options for its runner that are not followed here: --inspect",
            "packages[0].surprise is not known here and has no effect"
        ]
    );
    let lacks = plan(
        &entry,
        &setup(""),
        &catalog::Around {
            secrets: catalog::Known::These([].into()),
            ..around()
        },
    )
    .unwrap_err();
    assert_eq!(
        lines(&lacks),
        "the configuration of io.github.someone.weather: REGION is missing; expected is text: dockmaster server config io.github.someone.weather REGION=eu
the configuration of io.github.someone.weather: folder is missing; expected is a list: dockmaster server config io.github.someone.weather folder=VALUE
io.github.someone.weather needs the secret io.github.someone.weather.weather_key, for WEATHER_KEY (The key): dockmaster secret set io.github.someone.weather.weather_key
io.github.someone.weather needs the secret io.github.someone.weather.password, for password: dockmaster secret set io.github.someone.weather.password"
    );
    let container = container(
        &entry,
        "config = { REGION = 'eu', folder = ['/home/you/proj/a', '/home/you/b'], port = 80 }",
    );
    assert_eq!(
        container.command,
        [
            "start",
            "/home/you/proj/a",
            "/home/you/b",
            "--units",
            "metric",
            "--port",
            "80",
            "--cache=true",
            "--verbose",
            "--auth",
            "user:<secret io.github.someone.weather.password>"
        ]
    );
    assert!(container.secret_arguments.contains_key(&10));
    let targets: Vec<&str> = container
        .mounts
        .iter()
        .map(|mount| mount.target.as_str())
        .collect();
    assert_eq!(targets, ["/home/you/proj/a", "/home/you/b"]);
    assert_eq!(
        serde_json::to_value(&container.env).unwrap(),
        json!([
            ["WEATHER_KEY", {"parts": [{"secret": "io.github.someone.weather.weather_key"}]}],
            ["REGION", {"plain": "eu"}],
            ["ENDPOINT", {"plain": "https://eu.example.com/{unknown}"}],
        ])
    );
    let build = container.build.unwrap();
    assert_eq!(
        (build.ecosystem, build.package.as_str(), build.registry),
        (Ecosystem::Npm, "@someone/weather", None)
    );
    let wrong = plan(
        &entry,
        &setup("config = { REGION = 'eu', folder = '/home/you/b', '--units' = 'x', units = 'kelvin' }"),
        &around(),
    )
    .unwrap_err();
    assert!(
        lines(&wrong).contains(r#"units is "kelvin"; expected is one of "metric", "imperial""#),
        "{}",
        lines(&wrong)
    );
}

#[test]
fn pypi_with_its_runner() {
    let entry = server(
        json!([{
            "registryType": "pypi", "identifier": "weather-mcp", "version": "0.5.0", "runtimeHint": "uvx", "transport": {"type": "stdio"},
            "runtimeArguments": [{"type": "named", "name": "--with", "value": "mcp<2"}, {"type": "positional", "value": "--from"}, {"type": "positional", "value": "weather[all]==0.6"}],
        }]),
        json!([]),
    );
    let build = container(&entry, "").build.unwrap();
    assert_eq!(
        (
            build.package.as_str(),
            build.version.as_deref(),
            build.with.as_slice(),
            build.program.as_deref()
        ),
        (
            "weather",
            Some("0.6"),
            &["mcp<2".to_owned()][..],
            Some("weather-mcp")
        )
    );
}

#[test]
fn images_with_options_for_docker() {
    let entry = server(
        json!([{
            "registryType": "oci", "identifier": "ghcr.io/someone/weather:1.2.3", "transport": {"type": "stdio"},
            "runtimeArguments": [
                {"type": "positional", "value": "-i"},
                {"type": "named", "name": "--mount", "value": "type=bind,src={source},dst={target}", "variables": {
                    "source": {"format": "filepath", "isRequired": true}, "target": {"default": "/project"}}},
                {"type": "named", "name": "-e", "value": "DB={db}=x", "variables": {"db": {"choices": ["a", "b"], "isRequired": true}}},
                {"type": "named", "name": "--network", "value": "host"},
                {"type": "named", "name": "--privileged"},
                {"type": "positional", "value": "--user=1000"},
            ],
            "packageArguments": [{"type": "positional", "value": "/project"}],
        }]),
        json!([]),
    );
    assert_eq!(
        notes(&entry),
        ["options for `docker run` that are not followed here: --network, --privileged"]
    );
    let container = container(&entry, "config = { source = '/home/you/proj/p', db = 'a' }");
    assert_eq!(
        (container.image.as_str(), container.command.as_slice()),
        ("ghcr.io/someone/weather:1.2.3", &["/project".to_owned()][..])
    );
    assert_eq!(container.user.as_deref(), Some("1000"));
    assert_eq!(
        (container.mounts.len(), container.mounts[0].target.as_str()),
        (1, "/project")
    );
    assert_eq!(
        serde_json::to_value(&container.env).unwrap(),
        json!([["DB", {"plain": "a=x"}]])
    );
    let older = server(
        json!([{"registry_type": "oci", "registry_base_url": "https://docker.io", "identifier": "a/b", "version": "2.0"}]),
        json!([]),
    );
    assert_eq!(self::container(&older, "").image, "docker.io/a/b:2.0");
}

#[test]
fn the_best_way_is_taken_and_the_others_are_named() {
    let remote = json!({"type": "streamable-http", "url": "https://{tenant}.example.com/mcp", "variables": {"tenant": {"isRequired": true}},
        "headers": [{"name": "X-Key", "isRequired": true, "isSecret": true}, {"name": "X-Region", "default": "us", "choices": ["us", "eu"]}]});
    let sse = json!({"type": "sse", "url": "https://x.example.com/sse"});
    let nuget = json!({"registryType": "nuget", "identifier": "Some.Server", "version": "1", "transport": {"type": "stdio"}});
    let bundle = json!({"registryType": "mcpb", "identifier": "https://x/y.mcpb", "transport": {"type": "stdio"}, "fileSha256": "0"});
    let web = json!({"registryType": "npm", "identifier": "web", "transport": {"type": "streamable-http", "url": "http://localhost:{port}/mcp"}});
    let good = json!({"registryType": "npm", "identifier": "good", "version": "1.0.0", "transport": {"type": "stdio"}});
    let image = json!({"registryType": "oci", "identifier": "a/good:1", "transport": {"type": "stdio"}});

    let entry = server(json!([nuget, good, image]), json!([remote, sse]));
    assert_eq!(entry.kind_name(), "container");
    assert_eq!(
        notes(&entry),
        [
            "it is published as npm good, streamable-http https://{tenant}.example.com/mcp, sse https://x.example.com/sse, nuget Some.Server too"
        ]
    );

    let entry = server(json!([nuget]), json!([sse, remote]));
    assert_eq!(entry.kind_name(), "remote");
    let plan_of = plan(&entry, &setup("config = { tenant = 'acme' }"), &around()).unwrap();
    let Target::Remote(target) = plan_of.target else {
        panic!("a remote")
    };
    assert_eq!(target.url, "https://acme.example.com/mcp");
    assert_eq!(
        serde_json::to_value(&target.headers).unwrap(),
        json!({"X-Key": {"parts": [{"secret": "io.github.someone.weather.x-key"}]}, "X-Region": {"plain": "us"}})
    );
    let lacks = plan(
        &entry,
        &setup("config = { tenant = 'a.evil.example/x@' }"),
        &around(),
    );
    assert!(
        lacks.is_err()
            || matches!(lacks.unwrap().target, Target::Remote(target) if target.url.starts_with("https://a.evil.example/"))
    );

    for (packages, expected) in [
        (
            json!([nuget]),
            "Some.Server is a NuGet package, which needs .NET; only images, npm and PyPI packages are run",
        ),
        (
            json!([bundle]),
            "https://x/y.mcpb is an MCP bundle, which is installed by a desktop application; only images, npm and PyPI packages are run",
        ),
        (
            json!([web]),
            "web serves streamable-http from where it runs; packages are run over stdio only",
        ),
        (
            json!([{"registryType": "cargo", "identifier": "c"}]),
            "c comes from \"cargo\", which is not known; only images, npm and PyPI packages are run",
        ),
    ] {
        let lacks = plan(&server(packages, json!([])), &setup(""), &around()).unwrap_err();
        assert_eq!(
            lines(&lacks),
            format!("io.github.someone.weather can't be run here: {expected}")
        );
    }
}

#[test]
fn pages_of_a_registry() {
    let listed = |name: &str, version: &str, newest: bool, status: &str| {
        json!({
            "server": {"name": name, "description": "d", "version": version, "remotes": [{"type": "sse", "url": "https://x.example.com"}]},
            "_meta": {"io.modelcontextprotocol.registry/official": {"status": status, "isLatest": newest}},
        })
    };
    let text = json!({
        "servers": [
            listed("a/one", "1.0.0", false, "active"),
            listed("a/one", "2.0.0", true, "active"),
            listed("a/one", "0.9.0", false, "active"),
            listed("a/gone", "1.0.0", true, "deleted"),
            listed("a/old", "1.0.0", true, "deprecated"),
            {"server": {"name": "a/none", "description": "d", "version": "1"}},
            {"server": {"description": "d"}},
            listed("bad name", "1", true, "active"),
        ],
        "metadata": {"nextCursor": "a/old:1.0.0", "count": 8},
    });
    let page = read::registry(&text.to_string()).unwrap();
    assert_eq!(page.next.as_deref(), Some("a/old:1.0.0"));
    let names: Vec<String> = page
        .catalog
        .entries
        .iter()
        .map(|entry| {
            format!(
                "{} {}",
                entry.name,
                entry.about.version.as_deref().unwrap_or_default()
            )
        })
        .collect();
    assert_eq!(names, ["a.one 2.0.0", "a.gone 1.0.0", "a.old 1.0.0"]);
    let faults: Vec<String> = page.catalog.faults.iter().map(ToString::to_string).collect();
    assert_eq!(faults.len(), 3, "{faults:?}");
    assert_eq!(faults[0], "a/none: it has neither packages nor remotes");
    assert_eq!(faults[1], "servers[6]: it has no name");
    let gone = plan(page.catalog.get("a.gone").unwrap(), &setup(""), &around()).unwrap_err();
    assert_eq!(
        lines(&gone),
        "a.gone can't be run here: its publisher has deleted it from the registry"
    );
    assert!(read::registry("{}").is_err() && read::registry("[").is_err());
}
