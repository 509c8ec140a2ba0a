//! What the registry of the tests does not do: lists in pages, the list of referrers, redirects, and lies.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use oci::{Credentials, Descriptor, Digest, Error, Reference, Repository, media};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::{anyone, client, password};

/// Status, headers, body.
type Answer = (&'static str, Vec<(&'static str, String)>, String);

/// Answers each request as a function says. Ends with this value.
struct Scripted {
    authority: String,
    seen: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Scripted {
    /// The function gets the method and path of a request, and its head in lower case.
    async fn start(answer: impl Fn(&str, &str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        let requests = Arc::clone(&seen);
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serve(stream, &answer, &requests).await;
            }
        });
        Self {
            authority,
            seen,
            _tasks: tasks,
        }
    }

    fn reference(&self, rest: &str) -> Reference {
        Reference::parse(&format!("{}/test/x{rest}", self.authority)).unwrap()
    }

    fn repository(&self) -> Repository {
        self.reference("").repository
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, answer: &impl Fn(&str, &str) -> Answer, seen: &Mutex<Vec<String>>) {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).await.unwrap_or(0);
        request.extend_from_slice(&piece[..read]);
        // The first is a question whether TLS is spoken, which it is not.
        if read == 0 || !request[0].is_ascii_uppercase() {
            return;
        }
    }
    let head = String::from_utf8_lossy(&request).into_owned();
    let line = head
        .lines()
        .next()
        .unwrap()
        .trim_end_matches(" HTTP/1.1")
        .to_owned();
    let (status, headers, body) = answer(&line, &head.to_ascii_lowercase());
    seen.lock().unwrap().push(line);
    let mut text = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n",
        body.len()
    );
    for (name, value) in headers {
        write!(text, "{name}: {value}\r\n").unwrap();
    }
    // The client may have gone.
    let _gone = stream.write_all(format!("{text}\r\n{body}").as_bytes()).await;
}

fn not_found() -> Answer {
    ("404 Not Found", Vec::new(), String::new())
}

#[tokio::test]
async fn tags_come_in_pages() {
    let registry = Scripted::start(|line, _| match line {
        "GET /v2/test/x/tags/list?n=1000" => {
            let link = r#"</v2/test/x/tags/list?n=1000&last=b>; rel="next""#.to_owned();
            (
                "200 OK",
                vec![("link", link)],
                r#"{"name":"test/x","tags":["a","b"]}"#.to_owned(),
            )
        }
        "GET /v2/test/x/tags/list?n=1000&last=b" => ("200 OK", Vec::new(), r#"{"tags":["c"]}"#.to_owned()),
        _ => not_found(),
    })
    .await;
    assert_eq!(
        anyone().tags(&registry.repository()).await.unwrap(),
        ["a", "b", "c"]
    );

    let elsewhere = Scripted::start(|_, _| {
        let link = r#"<https://elsewhere.example.com/v2/test/x/tags/list>; rel="next""#.to_owned();
        ("200 OK", vec![("link", link)], r#"{"tags":null}"#.to_owned())
    })
    .await;
    let told = anyone()
        .tags(&elsewhere.repository())
        .await
        .unwrap_err()
        .to_string();
    assert!(told.contains("its next page is on another host"), "{told}");

    let endless = Scripted::start(|line, _| {
        let link = format!("<{}0>; rel=\"next\"", line.trim_start_matches("GET "));
        (
            "200 OK",
            vec![("link", link)],
            r#"{"tags":["a","b","c","d","e","f","g","h","i","j"]}"#.to_owned(),
        )
    })
    .await;
    let told = anyone()
        .tags(&endless.repository())
        .await
        .unwrap_err()
        .to_string();
    assert!(told.contains("it has more than 50 tags"), "{told}");
}

#[tokio::test]
async fn referrers_of_a_registry_that_lists_them() {
    let subject = Digest::of(b"subject");
    let entry = Descriptor::of(media::MANIFEST, b"signature");
    let list =
        serde_json::json!({"schemaVersion": 2, "mediaType": media::INDEX, "manifests": [entry]}).to_string();
    let wanted = format!("GET /v2/test/x/referrers/{subject}");
    let registry = Scripted::start(move |line, _| {
        let headers = vec![("content-type", media::INDEX.to_owned())];
        if line == wanted {
            ("200 OK", headers, list.clone())
        } else {
            not_found()
        }
    })
    .await;
    assert_eq!(
        anyone()
            .referrers(&registry.repository(), &subject)
            .await
            .unwrap(),
        [entry]
    );
    assert_eq!(registry.seen().len(), 1, "the tag is not asked for");
}

#[tokio::test]
async fn what_was_changed_on_the_way_is_refused() {
    let manifest = r#"{"schemaVersion":2,"layers":[]}"#;
    let registry = Scripted::start(move |line, _| {
        if line.contains("/blobs/") {
            return ("200 OK", Vec::new(), "changed".to_owned());
        }
        let digest = Digest::of(b"what it was").to_string();
        (
            "200 OK",
            vec![("docker-content-digest", digest)],
            manifest.to_owned(),
        )
    })
    .await;
    let wanted = Descriptor::of(media::BYTES, b"content");
    let blob = anyone().blob(&registry.repository(), &wanted).await;
    assert!(matches!(blob, Err(Error::Digest { .. })));
    for place in [
        registry.reference(":1"),
        registry.reference(":1").at(Digest::of(b"other")),
    ] {
        let read = anyone().manifest(&place).await;
        assert!(matches!(read, Err(Error::Digest { .. })), "{place}");
    }
}

#[tokio::test]
async fn credentials_stay_with_their_registry() {
    let content = "content";
    let store = Scripted::start(move |_, head| {
        let body = if head.contains("authorization") {
            "they came along"
        } else {
            content
        };
        ("200 OK", Vec::new(), body.to_owned())
    })
    .await;
    let elsewhere = format!("http://{}/blob", store.authority);
    let registry = Scripted::start(move |line, head| {
        if !head.contains("authorization: basic ") {
            return (
                "401 Unauthorized",
                vec![("www-authenticate", "Basic realm=x".to_owned())],
                String::new(),
            );
        }
        let status = if line.starts_with("GET") {
            "307 Temporary Redirect"
        } else {
            "202 Accepted"
        };
        match line.split(' ').next() {
            Some("HEAD") => not_found(),
            _ => (status, vec![("location", elsewhere.clone())], String::new()),
        }
    })
    .await;
    let user = client(Credentials::fixed(
        &registry.authority,
        password("u", "a password"),
    ));
    let wanted = Descriptor::of(media::BYTES, content.as_bytes());
    assert_eq!(
        &user.blob(&registry.repository(), &wanted).await.unwrap()[..],
        content.as_bytes()
    );
    // An upload is not sent anywhere else at all.
    let upload = user
        .push_blob(&registry.repository(), media::BYTES, Bytes::from_static(b"more"))
        .await;
    let told = upload.unwrap_err().to_string();
    assert!(told.contains("wants the upload to go to another host"), "{told}");
    assert_eq!(store.seen(), ["GET /blob"]);
}
