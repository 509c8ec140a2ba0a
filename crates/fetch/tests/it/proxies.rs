//! By way of an HTTP proxy.

use crate::peer::here;
use crate::secure::server;
use fetch::{Addresses, Client, Kind, Options, Proxy, Request};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A proxy that leads wherever it is asked to one port of this machine, or answers as it is told.
async fn proxy(to: u16, says: Option<&'static str>) -> (u16, Arc<Mutex<Vec<String>>>, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heads = Arc::clone(&asked);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut tunnels = JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let heads = Arc::clone(&heads);
            tunnels.spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    assert_ne!(stream.read_buf(&mut head).await.unwrap(), 0);
                }
                heads.lock().unwrap().push(String::from_utf8(head).unwrap());
                if let Some(says) = says {
                    return stream.write_all(says.as_bytes()).await.unwrap();
                }
                let mut server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                stream
                    .write_all(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n")
                    .await
                    .unwrap();
                drop(tokio::io::copy_bidirectional(&mut stream, &mut server).await);
            });
        }
    });
    (port, asked, tasks)
}

#[tokio::test]
async fn a_tunnel() {
    let (tls, _folder, file) = server("far.example");
    let peer = crate::peer::Peer::over(Some(tls), |_| vec![crate::peer::answer("200 OK", "", "far")]).await;
    let (port, asked, _tasks) = proxy(peer.port, None).await;
    let options = Options {
        authorities: vec![file],
        addresses: Addresses::Public,
        proxy: Some(Proxy::parse(&format!("http://me:p%20w@127.0.0.1:{port}")).unwrap()),
        ..here()
    };
    let client = Client::new(options.clone());
    let response = client
        .send(Request::get("https://far.example/").unwrap())
        .await
        .unwrap();
    assert_eq!(response.text().await.unwrap(), "far");
    assert_eq!(
        asked.lock().unwrap()[0],
        "CONNECT far.example:443 HTTP/1.1\r\nHost: far.example:443\r\nProxy-Authorization: Basic bWU6cCB3\r\n\r\n"
    );
    // What is written as an address is judged all the same.
    let error = client
        .send(Request::get("https://169.254.169.254/").unwrap())
        .await
        .unwrap_err();
    assert!(matches!(error.kind, Kind::Forbidden { .. }), "{error}");
    // And this machine is never asked of the proxy.
    let error = client
        .send(Request::get("https://localhost/").unwrap())
        .await
        .unwrap_err();
    assert!(matches!(error.kind, Kind::Forbidden { .. }), "{error}");
    assert_eq!(asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_proxy_that_refuses() {
    for (says, told) in [
        (
            "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
            "wants a login",
        ),
        (
            "HTTP/1.1 403 Forbidden\r\n\r\n",
            "refuses the connection: HTTP/1.1 403 Forbidden",
        ),
        ("", "closed the connection without an answer"),
        ("nonsense\r\n\r\n", "does not speak HTTP"),
        ("HTTP/1.1 200 OK\r\n\r\nmore", "sends more than an answer"),
    ] {
        let (port, _, _tasks) = proxy(0, Some(says)).await;
        let client = Client::new(Options {
            addresses: Addresses::Public,
            proxy: Some(Proxy::parse(&format!("me:secret@127.0.0.1:{port}")).unwrap()),
            ..here()
        });
        let error = client
            .send(Request::get("https://far.example/").unwrap())
            .await
            .unwrap_err();
        assert!(
            error
                .to_string()
                .contains(&format!("the proxy 127.0.0.1:{port} {told}")),
            "{error}"
        );
        assert!(
            !error.to_string().contains("secret") && !error.may_have_happened(),
            "{error}"
        );
    }
}
