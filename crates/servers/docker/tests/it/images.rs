//! Image tools on the real engine.

use crate::here::{Server, server, server_with_root};
use serde_json::{Value, json};
use testkit::{IMAGE, Scope};

/// A name for the test image that may be pushed and removed.
pub(crate) async fn copy(scope: &Scope, server: &Server, name: &str) {
    testkit::image().await;
    server
        .ok("tag_image", json!({ "image": IMAGE, "target": name }))
        .await;
    assert!(name.contains(scope.value()), "{name} would be left behind");
}

#[tokio::test]
async fn a_list_is_one_line_for_each_image() {
    let (scope, server) = (Scope::new("images-list"), server().await);
    let names = [scope.image("one"), scope.image("two")];
    for name in &names {
        copy(&scope, &server, name).await;
    }
    let pattern = format!("dockmaster-test/{}-*", scope.value());
    let list = server
        .ok("list_images", json!({ "filters": { "reference": pattern } }))
        .await;
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(lines[0], "image\tid\tsize\tage");
    // Both names are of one image, so they share its line.
    assert_eq!(lines.len(), 2, "{list}");
    assert!(
        names.iter().all(|name| lines[1].contains(name.as_str())),
        "{list}"
    );
    assert_eq!(
        server
            .ok("list_images", json!({ "filters": { "reference": "no-such/*" } }))
            .await,
        "no image matches"
    );
    scope.finish().await;
    server.end().await;
}

#[tokio::test]
async fn an_inspection_is_a_digest_fields_or_everything() {
    let server = server().await;
    let image = testkit::image().await;
    let digest = server.ok("inspect_image", json!({ "image": image })).await;
    assert!(digest.starts_with("[untrusted details of image "), "{digest}");
    assert!(
        digest.contains("command: /bin/sh") && digest.contains("platform: linux/"),
        "{digest}"
    );
    assert!(base::text::tokens(digest.len()) <= 400, "{digest}");
    let fields = server
        .ok(
            "inspect_image",
            json!({ "image": image, "fields": ["Config.Cmd", "Os"] }),
        )
        .await;
    assert!(
        fields.contains("Config.Cmd: [\"/bin/sh\"]\nOs: linux"),
        "{fields}"
    );
    let full = server
        .ok("inspect_image", json!({ "image": image, "full": true }))
        .await;
    assert!(full.contains("\"RootFS\":{"), "{full}");
    let wrong = server
        .fails(
            "inspect_image",
            json!({ "image": image, "fields": ["Config.Cmmd"] }),
        )
        .await;
    assert!(wrong.contains("did you mean Cmd"), "{wrong}");
    let history = server.ok("image_history", json!({ "image": image })).await;
    assert!(
        history.contains("size\tage\tstep") && history.contains("Imported from"),
        "{history}"
    );
    server.end().await;
}

#[tokio::test]
async fn secrets_in_an_image_are_not_shown() {
    let (scope, server) = (Scope::new("images-secrets"), server().await);
    let id = scope.create("source", json!({ "Cmd": ["true"] })).await;
    let name = scope.image("secret");
    let body = json!({ "Labels": scope.labels(), "Env": ["DB_PASSWORD=hunter2", "PLAIN=shown"] });
    let repository = name.trim_end_matches(":1");
    let commit = format!("/commit?container={id}&repo={repository}&tag=1");
    scope.daemon().post(&commit, &body).await.ok();
    for arguments in [
        json!({ "image": name }),
        json!({ "image": name, "full": true }),
        json!({ "image": name, "fields": ["Config.Env"] }),
    ] {
        let answer = server.ok("inspect_image", arguments.clone()).await;
        assert!(
            answer.contains("shown") && !answer.contains("hunter2"),
            "{arguments}: {answer}"
        );
    }
    scope.finish().await;
    server.end().await;
}

#[tokio::test]
async fn what_is_not_there_is_named_with_what_is_near() {
    let (scope, server) = (Scope::new("images-near"), server().await);
    let name = scope.image("webserver");
    copy(&scope, &server, &name).await;
    let mistyped = name.replace("webserver", "webservr");
    for tool in ["inspect_image", "remove_image", "image_history"] {
        let error = server.fails(tool, json!({ "image": mistyped })).await;
        assert!(
            error.starts_with(&format!("not_found: image {mistyped} is not on this engine")),
            "{tool}: {error}"
        );
        assert!(error.contains(&name), "{tool}: {error}");
    }
    let error = server
        .fails("inspect_image", json!({ "image": "../containers/x" }))
        .await;
    assert!(
        error.starts_with("invalid_arguments: parameter image:"),
        "{error}"
    );
    scope.finish().await;
    server.end().await;
}

#[tokio::test]
async fn removing_names_and_images() {
    let (scope, server) = (Scope::new("images-remove"), server().await);
    let name = scope.image("copy");
    copy(&scope, &server, &name).await;
    assert_eq!(
        server.ok("remove_image", json!({ "image": name })).await,
        format!("untagged {name}; the image stays, it has other names or users")
    );
    scope.finish().await;
    server.end().await;
}

/// An image that nothing else uses.
pub(crate) async fn own(scope: &Scope, what: &str) -> String {
    let id = scope.create(what, json!({ "Cmd": ["true"] })).await;
    let name = scope.image(what);
    let commit = format!(
        "/commit?container={id}&repo={}&tag=1",
        name.trim_end_matches(":1")
    );
    scope
        .daemon()
        .post(
            &commit,
            &json!({ "Labels": scope.labels(), "Env": [format!("W={what}")] }),
        )
        .await
        .ok();
    scope.daemon().delete(&format!("/containers/{id}")).await.ok();
    name
}

#[tokio::test]
async fn an_image_in_use_names_who_uses_it() {
    let (scope, server) = (Scope::new("images-used"), server().await);
    let name = own(&scope, "used").await;
    scope.create("holder", json!({ "Image": name })).await;
    let holder = scope.name("holder");
    let error = server.fails("remove_image", json!({ "image": name })).await;
    assert_eq!(
        error,
        format!(
            "conflict: image {name} is used by container {holder} (created)\n\
             fix: remove container {holder} first; force=true takes only the name from the image"
        )
    );
    server.ok("start_container", json!({ "container": holder })).await;
    let other = own(&scope, "running").await;
    let running = json!({ "Image": other, "Cmd": ["sleep", "1000"], "StopTimeout": 1 });
    let id = scope.create("runner", running).await;
    scope
        .daemon()
        .post(&format!("/containers/{id}/start"), &Value::Null)
        .await
        .ok();
    let image = server
        .ok("inspect_image", json!({ "image": other, "fields": ["Id"] }))
        .await;
    let image = image
        .split("Id: ")
        .nth(1)
        .unwrap()
        .lines()
        .next()
        .unwrap()
        .to_owned();
    let error = server
        .fails("remove_image", json!({ "image": image, "force": true }))
        .await;
    assert!(
        error.contains(&format!(
            "is used by container {} (running)",
            scope.name("runner")
        )),
        "{error}"
    );
    assert!(error.contains("fix: stop and remove container"), "{error}");
    scope.finish().await;
    server.end().await;
}

#[tokio::test]
async fn images_as_files() {
    let folder = tempfile::tempdir().unwrap();
    let (scope, server) = (Scope::new("images-files"), server_with_root(folder.path()).await);
    let name = own(&scope, "saved").await;
    let path = folder.path().join("images.tar");
    let path = path.to_str().unwrap();
    let saved = server
        .ok("save_images", json!({ "images": name, "path": path }))
        .await;
    assert!(saved.starts_with(&format!("saved {name} to {path} (")), "{saved}");
    let taken = server
        .fails("save_images", json!({ "images": [name], "path": path }))
        .await;
    assert!(taken.contains("overwrite=true"), "{taken}");
    server
        .ok(
            "save_images",
            json!({ "images": [name], "path": path, "overwrite": true }),
        )
        .await;
    assert_eq!(
        fs_err::read_dir(folder.path()).unwrap().count(),
        1,
        "no part is left"
    );

    server.ok("remove_image", json!({ "image": name })).await;
    assert_eq!(
        server.ok("load_images", json!({ "path": path })).await,
        format!("loaded {name}")
    );

    let tree = scope.image("tree");
    let imported = server
        .ok(
            "import_image",
            json!({ "path": path, "image": tree, "changes": ["CMD [\"/x\"]"] }),
        )
        .await;
    assert!(
        imported.starts_with(&format!("imported {path} as {tree} (id ")),
        "{imported}"
    );

    let missing = server
        .fails("load_images", json!({ "path": format!("{path}.gz") }))
        .await;
    assert!(missing.starts_with("not_found: can't read"), "{missing}");
    let broken = folder.path().join("broken.tar");
    fs_err::write(&broken, "this is no archive").unwrap();
    let broken = server.fails("load_images", json!({ "path": broken })).await;
    assert!(
        broken.starts_with("failed: ") && broken.contains("must be a tar archive"),
        "{broken}"
    );
    let nothing = server
        .fails(
            "save_images",
            json!({ "images": "no/such:1", "path": format!("{path}2") }),
        )
        .await;
    assert!(
        nothing.starts_with("not_found: image no/such:1 is not on this engine"),
        "{nothing}"
    );
    assert!(!folder.path().join("images.tar2").exists());
    scope.finish().await;
    server.end().await;
}

#[tokio::test]
async fn files_outside_of_the_roots_stay_closed() {
    let folder = tempfile::tempdir().unwrap();
    let server = server_with_root(folder.path()).await;
    for (tool, arguments) in [
        ("load_images", json!({ "path": "/etc/passwd" })),
        ("import_image", json!({ "path": "/etc/passwd", "image": "x:1" })),
        ("save_images", json!({ "images": IMAGE, "path": "/etc/cron.d/x" })),
        ("build_image", json!({ "path": "/etc" })),
        (
            "build_image",
            json!({ "path": folder.path(), "dockerfile": "/etc/passwd" }),
        ),
    ] {
        let error = server.fails(tool, arguments.clone()).await;
        assert!(error.starts_with("refused: "), "{tool} {arguments}: {error}");
    }
    server.end().await;
}
