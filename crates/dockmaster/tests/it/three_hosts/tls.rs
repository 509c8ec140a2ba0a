//! An engine by TCP and TLS, with certificates of both sides.

use serde_json::json;

use super::{Far, links, volume, volumes};

#[tokio::test(flavor = "multi_thread")]
async fn on_hosts_certificates_open_an_engine() {
    let Some(far) = Far::new("", "", "") else { return };
    let config = fs_err::read_to_string(far.ssh("config")).unwrap();
    let address = links::address(&config, "two");
    let tls = far.home().join("tls");
    let folder = far.dockmaster.home().join("wrong");
    fs_err::create_dir_all(&folder).unwrap();
    // A client certificate without the authority that vouches for the engine.
    for (from, to) in [
        ("cert.pem", "cert.pem"),
        ("key.pem", "key.pem"),
        ("cert.pem", "ca.pem"),
    ] {
        fs_err::copy(tls.join(from), folder.join(to)).unwrap();
    }
    let endpoint = format!("tcp://{address}:2376");
    let add = |name: &str, folder: &std::path::Path| {
        let folder = folder.display().to_string();
        far.dockmaster
            .run(&["host", "add", name, &endpoint, "--certificates", &folder])
    };
    let wrong = add("wrong", &folder);
    assert_eq!(wrong.code(), 1, "{}", wrong.transcript());
    assert!(
        wrong.transcript().contains("certificate"),
        "{}",
        wrong.transcript()
    );
    let added = add("sealed", &tls);
    assert_eq!(added.code(), 0, "{}", added.transcript());
    let scope = far.scope("two", "tls");
    let (code, said) = far.call("create_volume", &volume(&scope, "sealed", "data"));
    assert!(code == 0 && said.contains("[host sealed]"), "{said}");
    assert_eq!(volumes(&scope).await, 1);
    // Whoever has no certificate is not let in.
    let bare = far
        .dockmaster
        .run(&["host", "add", "bare", &endpoint, "--untested"]);
    assert_eq!(bare.code(), 0, "{}", bare.transcript());
    let (code, said) = far.call("list_volumes", &json!({"host": "bare"}));
    assert_eq!(code, 1, "{said}");
    scope.finish().await;
}
