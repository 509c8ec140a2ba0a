//! A token server, as Docker Hub and others have one: it gives signed tokens for what somebody may do.

use std::sync::{Arc, Mutex};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use fetch::Url;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Whom it knows, with a password; a refresh token besides.
pub(crate) const USER: (&str, &str) = ("somebody", "correct-horse");
pub(crate) const REFRESH: &str = "refresh/me+please";

/// Ends with this value.
pub(crate) struct TokenServer {
    pub(crate) realm: String,
    /// Of the key that signs.
    pub(crate) certificate: String,
    asked: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

struct Signer {
    pair: EcdsaKeyPair,
    certificate: Vec<u8>,
}

impl TokenServer {
    pub(crate) async fn start() -> Self {
        let pair = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["tokens".to_owned()]).unwrap();
        let certificate = certificate.self_signed(&pair).unwrap().der().to_vec();
        let pem = format!(
            "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
            STANDARD.encode(&certificate)
        );
        let signer = Arc::new(Signer {
            pair: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pair.serialize_der()).unwrap(),
            certificate,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let realm = format!("http://{}/token", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        let seen = Arc::clone(&asked);
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serve(stream, &signer, &seen).await;
            }
        });
        Self {
            realm,
            certificate: pem,
            asked,
            _tasks: tasks,
        }
    }

    /// What was asked for, each as `who: scopes`.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, signer: &Signer, asked: &Mutex<Vec<String>>) {
    let mut request = Vec::new();
    let body = loop {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).await.unwrap();
        request.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            assert!(read > 0, "half a request");
            continue;
        };
        let length = head.to_ascii_lowercase();
        let length = length
            .split("content-length: ")
            .nth(1)
            .and_then(|rest| rest.lines().next()?.trim().parse().ok());
        if body.len() >= length.unwrap_or(0) {
            break body.to_owned();
        }
    };
    let text = String::from_utf8(request).unwrap();
    let target = text.split(' ').nth(1).unwrap();
    let query = if text.starts_with("POST") {
        format!("/?{body}")
    } else {
        target.to_owned()
    };
    let url = Url::parse(&format!("http://x{query}")).unwrap();
    let value = |name: &str| {
        url.query_pairs()
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
            .collect::<Vec<_>>()
    };
    let basic = format!(
        "authorization: basic {}",
        STANDARD.encode(format!("{}:{}", USER.0, USER.1))
    );
    let who = if text.to_ascii_lowercase().contains(&basic.to_ascii_lowercase())
        || value("refresh_token") == [REFRESH]
    {
        USER.0
    } else if text.to_ascii_lowercase().contains("authorization:") || !value("refresh_token").is_empty() {
        "a stranger"
    } else {
        "anyone"
    };
    let scopes: Vec<String> = value("scope")
        .iter()
        .flat_map(|scopes| scopes.split(' '))
        .filter(|scope| !scope.is_empty())
        .map(str::to_owned)
        .collect();
    asked.lock().unwrap().push(format!("{who}: {}", scopes.join(" ")));
    let (status, answer) = if who == "a stranger" {
        ("401 Unauthorized", "{}".to_owned())
    } else {
        let token = signer.token(who, &scopes);
        // Those that speak OAuth call it access_token.
        let name = if text.starts_with("POST") {
            "access_token"
        } else {
            "token"
        };
        (
            "200 OK",
            serde_json::json!({name: token, "expires_in": 300}).to_string(),
        )
    };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        answer.len()
    );
    stream
        .write_all(format!("{head}{answer}").as_bytes())
        .await
        .unwrap();
}

impl Signer {
    /// A token for what this one may do: read, and write for those with a password.
    fn token(&self, who: &str, scopes: &[String]) -> String {
        let access: Vec<_> = scopes
            .iter()
            .map(|scope| {
                let mut parts = scope.splitn(3, ':');
                let (kind, name, actions) = (
                    parts.next().unwrap(),
                    parts.next().unwrap(),
                    parts.next().unwrap(),
                );
                let actions: Vec<_> = actions
                    .split(',')
                    .filter(|action| *action == "pull" || who == USER.0)
                    .collect();
                serde_json::json!({"type": kind, "name": name, "actions": actions})
            })
            .collect();
        let now = base::clock::now().as_second();
        let head =
            serde_json::json!({"typ": "JWT", "alg": "ES256", "x5c": [STANDARD.encode(&self.certificate)]});
        let claims = serde_json::json!({
            "iss": "dockmaster-test", "sub": who, "aud": "dockmaster-test", "exp": now + 300, "nbf": now - 60, "iat": now,
            "jti": "x", "access": access,
        });
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(head.to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let signature = self
            .pair
            .sign(&aws_lc_rs::rand::SystemRandom::new(), signed.as_bytes())
            .unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }
}
