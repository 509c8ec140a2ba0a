//! Servers that are published as packages: their image is made by the command that switches them on or changes them, so
//! that the first use starts at once. The registry of packages is a stand-in, an `npm` that writes the server itself.

use bytes::Bytes;
use engine::tarball::{Limits, Source, pack};
use futures_util::TryStreamExt;
use serde_json::{Value, json};
use testkit::{IMAGE, Scope};

use crate::harness::Dockmaster;
use crate::servers::{SCRIPT, gone};
use crate::terminal::Terminal;

const VERSION: &str = "2025-11-25";

/// A server's name that no other run uses on this engine.
fn own(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

/// "Installs" the script as a program; takes a while for one version, and does not know another. It says which version is
/// the newest.
const NPM: &str = r#"#!/bin/sh
if [ "$1" = view ]; then
  [ "NEWEST" = none ] && { echo "npm error code ENOTFOUND" >&2; exit 1; }
  [ "$*" = "view --cache=/tmp/.npm --no-update-notifier -- @acme/thing version" ] && echo NEWEST
  exit
fi
for package; do :; done
case $package in
  *@9.9.9) echo "npm error 404 there is no $package" >&2; exit 1 ;;
  *@3.0.0) sleep 2 ;;
esac
mkdir -p node_modules/.bin
{ echo '#!/bin/sh'; echo "PACKAGE=$package"; cat /script; } > node_modules/.bin/thing
chmod +x node_modules/.bin/thing
"#;
const NODE: &str = "#!/bin/sh\nln -s /opt/server/node_modules/.bin/thing /opt/server/run\n";

/// An image as the one that npm packages are installed into.
async fn base(scope: &Scope) -> String {
    base_when(scope, "none").await
}

/// The same, when this version of the package is the newest; `none`: when the registry does not answer.
async fn base_when(scope: &Scope, newest: &str) -> String {
    testkit::image().await;
    let image = scope.image("node");
    let file = |path: &str, text: &str| Source::Memory {
        path: path.to_owned(),
        content: Bytes::copy_from_slice(text.as_bytes()),
        mode: 0o755,
    };
    let dockerfile = format!(
        "FROM {IMAGE}\nCOPY npm node /bin/\nCOPY script /script\nLABEL {}\n",
        scope.label()
    );
    let files = vec![
        file("Dockerfile", &dockerfile),
        file("npm", &NPM.replace("NEWEST", newest)),
        file("node", NODE),
        file("script", SCRIPT),
    ];
    let context: Vec<Bytes> = pack(files, Limits::default()).try_collect().await.unwrap();
    let built = scope
        .daemon()
        .post_bytes(
            &format!("/build?t={image}"),
            "application/x-tar",
            context.concat().into(),
        )
        .await
        .ok();
    let built = built.text();
    assert!(built.contains("Successfully tagged"), "{built}");
    image
}

/// The images that were made for a server: id and first tag.
async fn made(scope: &Scope, server: &str) -> Vec<(String, String)> {
    let filter = format!("%7B%22label%22%3A%5B%22dockmaster.server%3D{server}%22%5D%7D");
    let list = scope
        .daemon()
        .get(&format!("/images/json?filters={filter}"))
        .await
        .ok()
        .json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    // Engines list what a build leaves of earlier steps as well, without a name.
    let named = |image: &&Value| {
        image["RepoTags"][0]
            .as_str()
            .is_some_and(|tag| tag != "<none>:<none>")
    };
    list.as_array()
        .unwrap()
        .iter()
        .filter(named)
        .map(|image| (text(&image["Id"]), text(&image["RepoTags"][0])))
        .collect()
}

async fn forget(scope: &Scope, server: &str) {
    for (_, tag) in made(scope, server).await {
        scope.daemon().delete(&format!("/images/{tag}?force=1")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn its_image_is_made_when_it_is_switched_on() {
    let scope = Scope::new("packages");
    let base = base(&scope).await;
    let packed = &*own("packed");
    let dockmaster = Dockmaster::new().configured(&format!(
        "[instances]\nnode_image = \"{base}\"\n[servers.{packed}]\nnpm = \"@acme/thing@1.0.0\"\n\
         [servers.unheard]\nnpm = \"@acme/thing@9.9.9\"\n"
    ));
    let config = || fs_err::read_to_string(dockmaster.file("config.toml")).unwrap();
    let refused = dockmaster.run(&["server", "enable", "unheard", "--yes"]);
    assert_eq!(refused.code(), 1, "{}", refused.transcript());
    for wanted in [
        "unheard was not switched on",
        "npm error 404 there is no @acme/thing@9.9.9",
    ] {
        assert!(refused.stderr().contains(wanted), "{}", refused.transcript());
    }
    assert!(!config().contains("profiles"), "{}", config());

    // The first of two is on when the second can't be.
    let both = dockmaster.run(&["server", "enable", packed, "unheard", "--yes"]);
    assert_eq!(both.code(), 1, "{}", both.transcript());
    assert!(
        both.stdout().contains(&format!("{packed} is switched on")),
        "{}",
        both.transcript()
    );
    assert!(
        config().contains(&format!("[profiles.default.servers.{packed}]"))
            && !config().contains("default.servers.unheard"),
        "{}",
        config()
    );
    let before = made(&scope, packed).await;
    assert_eq!(before.len(), 1, "{before:?}");

    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    client.tools().await;
    let who = client.call("whoami", json!({})).await.ok().text();
    assert!(who.contains("caps 0000000000000000 net lo "), "{who}");
    assert_eq!(made(&scope, packed).await, before, "the first use makes nothing");
    client.close().await;
    gone(packed).await;
    forget(&scope, packed).await;
    scope.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_of_no_version_is_pinned_to_the_newest() {
    let scope = Scope::new("newest");
    let base = base_when(&scope, "1.1.0").await;
    let open = &*own("open");
    let dockmaster = Dockmaster::new().configured(&format!(
        "[instances]\nnode_image = \"{base}\"\n[servers.{open}]\nnpm = \"@acme/thing\"\n\
         [servers.unheard]\nnpm = \"@acme/thing\"\n"
    ));
    let run = |arguments: &[&str]| {
        let ended = dockmaster.run(arguments);
        assert_eq!(ended.code(), 0, "{arguments:?}: {}", ended.transcript());
        ended.transcript()
    };
    // What would run, and what is said of newer ones.
    let image = |version: &str| {
        let told = run(&["server", "inspect", open]);
        let wanted = format!("image: localhost/dockmaster/npm/acme-thing:{version}-");
        assert!(told.contains(&wanted), "{version}: {told}");
    };
    let news = |wanted: &str| {
        let told = run(&["server", "inspect", open, "--updates"]);
        assert!(told.contains(wanted), "{wanted}: {told}");
    };
    image("newest");
    news("pinned: not yet");
    let enabled = run(&["server", "enable", open]);
    assert!(
        enabled.contains("its image is made here: @acme/thing 1.1.0, from npm"),
        "{enabled}"
    );
    image("1.1.0");
    news("pinned: 1.1.0, the newest of @acme/thing");
    let tags = made(&scope, open).await;
    assert!(tags.len() == 1 && tags[0].1.contains(":1.1.0-"), "{tags:?}");

    base_when(&scope, "1.2.0").await;
    news("pinned: 1.1.0\n| newest: 1.2.0, by the name @acme/thing\n");
    image("1.1.0");
    run(&["server", "enable", open]);
    image("1.2.0");
    let tags = made(&scope, open).await;
    assert!(tags.iter().any(|(_, tag)| tag.contains(":1.2.0-")), "{tags:?}");

    base_when(&scope, "1.3.0").await;
    assert_eq!(dockmaster.run(&["server", "update", open]).code(), 77);
    image("1.2.0");
    let updated = run(&["server", "update", open, "--yes"]);
    assert!(
        updated.contains("@acme/thing\n|   old: 1.2.0\n|   new: 1.3.0"),
        "{updated}"
    );
    image("1.3.0");
    run(&["server", "test", open]);

    // Without an answer the pinned one stays; what the registry says is a version or nothing.
    for (newest, said) in [
        ("none", "npm error code ENOTFOUND"),
        ("latest", "it said no version but \"latest\""),
    ] {
        base_when(&scope, newest).await;
        let stays = run(&["server", "enable", open]);
        assert!(
            stays.contains("1.3.0 of @acme/thing stays: ") && stays.contains(said),
            "{stays}"
        );
        image("1.3.0");
    }
    // One without a pin is not switched on.
    dockmaster.tamper("DELETE FROM documents WHERE kind = 'package-pin'");
    let refused = dockmaster.run(&["server", "enable", "unheard"]);
    assert_eq!(refused.code(), 1, "{}", refused.transcript());
    assert!(
        refused
            .stderr()
            .contains("the newest version of @acme/thing, for server unheard, can't be looked up"),
        "{}",
        refused.transcript()
    );
    let config = fs_err::read_to_string(dockmaster.file("config.toml")).unwrap();
    assert!(!config.contains("default.servers.unheard"), "{config}");
    gone(open).await;
    forget(&scope, open).await;
    scope.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_sees_that_it_is_made() {
    let scope = Scope::new("watched");
    let base = base(&scope).await;
    let slowly = &*own("slowly");
    let dockmaster = Dockmaster::new().configured(&format!(
        "[instances]\nnode_image = \"{base}\"\n[servers.{slowly}]\nnpm = \"@acme/thing@3.0.0\"\n"
    ));
    let mut terminal = Terminal::run(&dockmaster, &["server", "enable", slowly]);
    terminal.expect(&format!("making the image of {slowly}"));
    assert_eq!(terminal.end(), 0);
    assert_eq!(made(&scope, slowly).await.len(), 1);
    forget(&scope, slowly).await;
    scope.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_of_the_catalog_makes_the_image_of_another_version() {
    let scope = Scope::new("another");
    let base = base(&scope).await;
    let dockmaster = Dockmaster::new().configured(&format!("[instances]\nnode_image = \"{base}\"\n"));
    let path = dockmaster.home().join("page.json");
    let publish = |version: &str| {
        let page = json!({"servers": [{"server": {
            "name": format!("io.github.acme/{}", own("renewed")),
            "description": "Says who it is.",
            "version": version,
            "packages": [{
                "registryType": "npm",
                "identifier": "@acme/thing",
                "version": version,
                "transport": {"type": "stdio"},
            }],
        }}], "metadata": {"count": 1}});
        fs_err::write(&path, page.to_string()).unwrap();
    };
    publish("1.0.0");
    let imported = dockmaster.run(&["catalog", "import", path.to_str().unwrap(), "--name", "acme"]);
    assert_eq!(imported.code(), 0, "{}", imported.transcript());
    let entries = dockmaster.run(&["catalog", "show", "acme", "--json"]);
    let entries: Value = serde_json::from_str(&entries.stdout()).unwrap();
    let name = entries[0]["name"].as_str().unwrap().to_owned();
    let enabled = dockmaster.run(&["server", "enable", &name, "--yes"]);
    assert_eq!(enabled.code(), 0, "{}", enabled.transcript());
    let first = made(&scope, &name).await;
    assert_eq!(first.len(), 1, "{first:?}");

    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    publish("9.9.9");
    let refused = dockmaster.run(&["catalog", "update", "--yes"]);
    assert_eq!(refused.code(), 1, "{}", refused.transcript());
    for wanted in ["the catalog acme stays as it is", "there is no @acme/thing@9.9.9"] {
        assert!(refused.stderr().contains(wanted), "{}", refused.transcript());
    }
    assert_eq!(made(&scope, &name).await, first);

    publish("2.0.0");
    let updated = dockmaster.run(&["catalog", "update", "--yes"]);
    assert_eq!(updated.code(), 0, "{}", updated.transcript());
    assert!(
        updated
            .stderr()
            .contains("the gateway that runs has taken it over"),
        "{}",
        updated.transcript()
    );
    let both = made(&scope, &name).await;
    assert!(both.iter().any(|(_, tag)| tag.contains(":2.0.0-")), "{both:?}");
    client.tools().await;
    client.call("whoami", json!({})).await.ok();
    let containers = crate::servers::containers(&name).await;
    let image = containers[0]["Image"].as_str().unwrap();
    let new = both.iter().find(|(_, tag)| tag.contains(":2.0.0-")).unwrap();
    assert!(image == new.0 || image == new.1, "{image} of {both:?}");
    client.close().await;
    gone(&name).await;
    forget(&scope, &name).await;
    scope.finish().await;
}
