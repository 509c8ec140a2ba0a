//! Images: registries, builds, archives.

use super::*;

const LISTED: &str =
    "registries = [\"docker.io/library/*\", \"ghcr.io/acme/*\", \"registry.example:5000/app\"]";

/// Every way to name an image that comes from a registry or goes to one.
fn named(image: &str) -> Vec<Ask> {
    let encoded = image.replace('/', "%2F");
    vec![
        post(format!("/images/create?fromImage={encoded}&tag=latest")),
        get(format!("/distribution/{image}/json")),
        post(format!("/images/{image}/push?tag=1")),
    ]
}

/// Every way to use an image that the engine has.
fn used(image: &str) -> Vec<Ask> {
    vec![
        post("/containers/create").json(&json!({"Image": image})),
        create(&json!({"Mounts": [{"Type": "image", "Source": image, "Target": "/t"}]})),
        post(format!("/images/{image}/tag?repo=mine")),
        post("/services/create").json(&json!({"TaskTemplate": {"ContainerSpec": {"Image": image}}})),
        post("/services/s/update?version=1")
            .json(&json!({"TaskTemplate": {"ContainerSpec": {"Image": image}}})),
    ]
}

#[test]
fn registries() {
    let digest = format!("@sha256:{}", "a".repeat(64));
    for (image, wanted) in [
        ("busybox", None),
        ("busybox:1.36", None),
        ("library/busybox", None),
        ("docker.io/busybox", None),
        ("docker.io/library/busybox", None),
        ("index.docker.io/library/busybox", None),
        (&format!("busybox{digest}"), None),
        ("ghcr.io/acme/web:1", None),
        ("GHCR.io/acme/web", None),
        ("ghcr.io/acme/a/b", None),
        ("registry.example:5000/app:2", None),
        ("registry.example:5000/app2", Some(Rule::Registry)),
        ("registry.example/app", Some(Rule::Registry)),
        ("acme/web", Some(Rule::Registry)),
        ("docker.io/acme/web", Some(Rule::Registry)),
        ("ghcr.io/acme", Some(Rule::Registry)),
        ("ghcr.io/other/web", Some(Rule::Registry)),
        ("ghcr.io/acme2/web", Some(Rule::Registry)),
        ("evil.example/docker.io/library/busybox", Some(Rule::Registry)),
        ("evil.example/ghcr.io/acme/web", Some(Rule::Registry)),
        ("localhost/acme/web", Some(Rule::Registry)),
        ("127.0.0.1:5000/acme/web", Some(Rule::Registry)),
    ] {
        for ask in named(image).into_iter().chain(used(image)) {
            check(LISTED, &ask, wanted);
            check("", &ask, None);
        }
    }
    for image in ["Evil/x", "a:b:c", "http://ghcr.io/acme/web"] {
        let ask = post("/containers/create").json(&json!({"Image": image}));
        check_never(LISTED, &ask, &Known::default(), Rule::Registry);
    }
}

#[test]
fn ids() {
    let id = "a".repeat(64);
    let engine = known([
        (
            Object::Image(format!("sha256:{id}")),
            json!({"RepoTags": ["ghcr.io/acme/web:1"], "RepoDigests": []}),
        ),
        (
            Object::Image("beef".to_owned()),
            json!({"RepoTags": ["evil.example/x:1"], "RepoDigests": null}),
        ),
        (
            Object::Image("cafe".to_owned()),
            json!({"RepoTags": [], "RepoDigests": ["busybox@sha256:".to_owned() + &id]}),
        ),
        (
            Object::Image("feed".to_owned()),
            json!({"RepoTags": ["feed:latest"]}),
        ),
        (Object::Image("dead".to_owned()), json!({"RepoTags": []})),
    ]);
    for (image, wanted) in [
        (format!("sha256:{id}"), None),
        ("beef".to_owned(), Some(Rule::Registry)),
        ("cafe".to_owned(), None),
        // A name that is all hexadecimal.
        ("feed".to_owned(), None),
        ("dead".to_owned(), Some(Rule::Registry)),
        ("0000".to_owned(), None),
    ] {
        let ask = post("/containers/create").json(&json!({"Image": image}));
        check_with(LISTED, &ask, &engine, wanted);
    }
    // An id is nothing a registry could be asked for.
    check(
        LISTED,
        &post(format!("/images/create?fromImage=sha256:{id}")),
        Some(Rule::Registry),
    );
}

#[test]
fn builds() {
    use Rule::*;
    for (text, query, wanted) in [
        (
            "",
            "t=a&dockerfile=Dockerfile&buildargs=%7B%7D&nocache=1&pull=1&rm=1&forcerm=1&platform=linux%2Famd64&target=x&q=1",
            None,
        ),
        (
            "",
            "memory=1&memswap=1&cpushares=1&cpusetcpus=0&cpusetmems=0&cpuperiod=1&cpuquota=1&shmsize=1&squash=0&ulimits=%5B%5D",
            None,
        ),
        ("", "networkmode=default", None),
        (
            "",
            "networkmode=none&extrahosts=db%3A192.0.2.1&extrahosts=x%3A192.0.2.2",
            None,
        ),
        ("", "dockerfile=docker%2Fweb..Dockerfile", None),
        ("", "dockerfile=..%2F..%2Fetc%2Fshadow", Some(Build)),
        ("", "dockerfile=%5B%22..%2F..%2Fetc%2Fshadow%22%5D", Some(Build)),
        ("", "dockerfile=%5B%22a%22%5D", Some(Build)),
        ("", "dockerfile=%20%0A%5B%22%2Fetc%2Fshadow%22%5D", Some(Build)),
        ("", "dockerfile=%22%2Fetc%2Fshadow%22", Some(Build)),
        ("", "dockerfile=%2Fetc%2Fshadow", Some(Build)),
        (
            "",
            "dockerfile=http%3A%2F%2F169.254.169.254%2Flatest",
            Some(Build),
        ),
        ("", "networkmode=host", Some(Namespace)),
        ("", "networkmode=container%3Adb", Some(Namespace)),
        ("", "remote=http%3A%2F%2F169.254.169.254%2F", Some(Build)),
        ("", "remote=git%40github.com%3Aa%2Fb", Some(Build)),
        (
            "",
            "version=2&remote=client-session&session=abc",
            Some(BuildkitSession),
        ),
        ("", "session=abc", Some(BuildkitSession)),
        ("", "cgroupparent=%2F", Some(CgroupParent)),
        ("", "securityopt=seccomp%3Dunconfined", Some(SecurityOpt)),
        ("", "outputs=%5B%5D", None),
        ("", "outputs=%5B%7B%22Type%22%3A%22registry%22%7D%5D", Some(Build)),
        (
            "",
            "outputs=%5B%7B%22Type%22%3A%22image%22%2C%22Attrs%22%3A%7B%22push%22%3A%22true%22%7D%7D%5D",
            Some(Build),
        ),
        ("", "entitlements=security.insecure", Some(Query)),
        (LISTED, "t=a", Some(Build)),
        (
            "registries = [\"docker.io/*\"]\nbuild = true",
            "t=a&cachefrom=%5B%22busybox%22%5D",
            None,
        ),
        (
            "registries = [\"docker.io/*\"]\nbuild = true",
            "t=a&cachefrom=%5B%22evil.example%2Fa%22%5D",
            Some(Registry),
        ),
        (
            "remote_build = true",
            "remote=http%3A%2F%2Fexample.com%2Fa.tar",
            None,
        ),
    ] {
        check(text, &post(format!("/build?{query}")).stream(), wanted);
    }
}

#[test]
fn archives_and_urls() {
    for (text, ask, wanted) in [
        ("", post("/images/load?quiet=1").stream(), None),
        (LISTED, post("/images/load?quiet=1").stream(), Some(Rule::Import)),
        (
            "registries = [\"docker.io/*\"]\nload = true",
            post("/images/load").stream(),
            None,
        ),
        (
            "",
            post("/images/create?fromSrc=-&repo=a&tag=b&changes=CMD+x&changes=ENV+a%3Db").stream(),
            None,
        ),
        (
            LISTED,
            post("/images/create?fromSrc=-&repo=a").stream(),
            Some(Rule::Import),
        ),
        (
            "",
            post("/images/create?fromSrc=http%3A%2F%2F192.0.2.1%2Fa.tar"),
            Some(Rule::Import),
        ),
        (
            "",
            post("/images/create?fromSrc=192.0.2.1%2Fa.tar"),
            Some(Rule::Import),
        ),
        (
            "",
            post("/images/create?fromImage=busybox&fromSrc=http%3A%2F%2F192.0.2.1%2F"),
            Some(Rule::Import),
        ),
        (
            LISTED,
            post("/commit?container=web&repo=busybox"),
            Some(Rule::Build),
        ),
        ("", post("/commit?container=web&repo=busybox"), None),
        (LISTED, post("/images/create?fromImage=busybox:"), None),
        (
            LISTED,
            post("/images/create?fromImage=evil.example%2Fa:"),
            Some(Rule::Registry),
        ),
    ] {
        check(text, &ask, wanted);
    }
}

#[test]
fn asking_registries() {
    for (text, ask, wanted) in [
        ("", get("/images/search?term=192.0.2.1%3A80%2Fx"), None),
        (LISTED, get("/images/search?term=nginx"), None),
        (LISTED, get("/images/search?term=acme%2Fnginx"), None),
        (
            LISTED,
            get("/images/search?term=192.0.2.1%3A80%2Fx"),
            Some(Rule::Registry),
        ),
        (LISTED, get("/plugins/privileges?remote=ghcr.io%2Facme%2Fp"), None),
        (
            LISTED,
            get("/plugins/privileges?remote=evil.example%2Fp"),
            Some(Rule::Registry),
        ),
        (
            LISTED,
            post("/auth").json(&json!({"username": "u", "password": "p"})),
            None,
        ),
        (
            LISTED,
            post("/auth").json(&json!({"serveraddress": "https://index.docker.io/v1/"})),
            None,
        ),
        (
            LISTED,
            post("/auth").json(&json!({"serveraddress": "ghcr.io"})),
            None,
        ),
        (
            LISTED,
            post("/auth").json(&json!({"serveraddress": "http://192.0.2.1/"})),
            Some(Rule::Registry),
        ),
        (
            "",
            post("/auth").json(&json!({"serveraddress": "http://192.0.2.1/"})),
            None,
        ),
        (
            "",
            post("/auth").json(&json!({"Username": "u", "frobnicate": "p"})),
            Some(Rule::UnknownField),
        ),
    ] {
        check(text, &ask, wanted);
    }
}
