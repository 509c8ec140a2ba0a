//! The trivial MCP server that stands behind gateways: `bench serve-echo [--era legacy|modern] [--http PORT-FILE]`.
//!
//! Over stdio, or over Streamable HTTP with a thread for each connection. It does as little as a server can, so that what
//! is measured is whatever stands before it. Deliberately absent: anything that a gateway does not ask of it.
//!
//! `--bare-relay PORT-FILE` is the least that a relay can be: bodies of POSTs are lines to such a server over stdio, and its
//! lines are the answers. Nothing is looked at; what that costs is the system's alone.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};

/// The tools that it has.
pub(crate) const ECHO: &str = "echo";
/// Gives a megabyte; its argument `kind` says of what.
pub(crate) const LARGE: &str = "large";
/// About so many bytes has the answer of [`LARGE`].
pub(crate) const MEGABYTE: usize = 1_000_000;

/// How the server speaks; a gateway that knows both eras prefers the modern one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    Legacy,
    Modern,
}

impl Era {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Modern => "modern",
        }
    }
}

/// The command line after `serve-echo`.
pub(crate) fn main(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let mut era = Era::Legacy;
    let (mut port_file, mut is_relay) = (None, false);
    while let Some(argument) = arguments.next() {
        let value = arguments
            .next()
            .with_context(|| format!("{argument} needs a value"))?;
        match (argument.as_str(), value.as_str()) {
            ("--era", "legacy") => era = Era::Legacy,
            ("--era", "modern") => era = Era::Modern,
            ("--http", _) => port_file = Some(value),
            ("--bare-relay", _) => (port_file, is_relay) = (Some(value), true),
            _ => bail!("unknown: {argument} {value}"),
        }
    }
    match port_file {
        None => over_stdio(era),
        Some(file) if is_relay => over_http(&file, &Source::child(era)?),
        Some(file) => over_http(&file, &Source::Own(era)),
    }
}

/// Where answers over HTTP come from.
enum Source {
    Own(Era),
    /// From a server of this kind over stdio.
    Child(Mutex<(ChildStdin, BufReader<ChildStdout>)>),
}

impl Source {
    fn child(era: Era) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["serve-echo", "--era", era.name()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        Ok(Self::Child(Mutex::new((
            input.context("no stdin")?,
            BufReader::with_capacity(64 << 10, output.context("no stdout")?),
        ))))
    }

    /// Appends the answer to one message; false: it wants none.
    fn answer(&self, message: &mut Vec<u8>, into: &mut Vec<u8>) -> Result<bool> {
        let (input, output) = match self {
            Self::Own(era) => return answer_to(message, *era, into),
            Self::Child(pipes) => &mut *pipes.lock().unwrap_or_else(PoisonError::into_inner),
        };
        let has_id = message.windows(4).any(|window| window == br#""id""#);
        message.push(b'\n');
        input.write_all(message)?;
        if has_id {
            output.read_until(b'\n', into)?;
            into.pop();
        }
        Ok(has_id)
    }

    const fn has_session(&self) -> bool {
        !matches!(self, Self::Own(Era::Modern))
    }
}

fn over_stdio(era: Era) -> Result<()> {
    let mut input = BufReader::with_capacity(64 << 10, std::io::stdin().lock());
    let mut output = std::io::stdout().lock();
    let (mut line, mut answer) = (Vec::new(), Vec::new());
    while input.read_until(b'\n', &mut line)? > 0 {
        answer.clear();
        if answer_to(&line, era, &mut answer)? {
            answer.push(b'\n');
            // Standard output is buffered by lines here: one write an answer.
            output.write_all(&answer)?;
            output.flush()?;
        }
        line.clear();
    }
    Ok(())
}

/// Listens at a free port of the loopback and writes its number to `file`.
fn over_http(file: &str, source: &Source) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let unfinished = format!("{file}.new");
    fs_err::write(&unfinished, listener.local_addr()?.port().to_string())?;
    fs_err::rename(unfinished, file)?;
    std::thread::scope(|threads| {
        loop {
            let (stream, _) = listener.accept()?;
            // A client that hangs up in the middle ends its own thread.
            threads.spawn(move || connection(&stream, source).ok());
        }
    })
}

fn connection(stream: &TcpStream, source: &Source) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(16 << 10, stream);
    let mut writer = stream;
    let (mut line, mut body, mut answer, mut whole) = (String::new(), Vec::new(), Vec::new(), Vec::new());
    while reader.read_line(&mut line)? > 0 {
        let is_post = line.starts_with("POST");
        let mut length = 0;
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse()?;
            }
        }
        line.clear();
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
        answer.clear();
        let status = if !is_post {
            "405 Method Not Allowed"
        } else if source.answer(&mut body, &mut answer)? {
            if is_unknown(&answer) {
                "400 Bad Request"
            } else {
                "200 OK"
            }
        } else {
            "202 Accepted"
        };
        whole.clear();
        write!(whole, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n", answer.len())?;
        if !answer.is_empty() {
            whole.extend_from_slice(b"Content-Type: application/json\r\n");
        }
        if source.has_session() {
            whole.extend_from_slice(b"Mcp-Session-Id: the-only-session\r\n");
        }
        whole.extend_from_slice(b"\r\n");
        whole.extend_from_slice(&answer);
        writer.write_all(&whole)?;
    }
    Ok(())
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    method: &'a str,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Call<'a> {
    name: &'a str,
    #[serde(borrow)]
    arguments: Arguments<'a>,
}

#[derive(Deserialize)]
struct Arguments<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    kind: Option<&'a str>,
}

const TOOLS: &str = r#""tools":[{"name":"echo","description":"Gives back the text.","inputSchema":{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}},{"name":"large","description":"Gives a megabyte.","inputSchema":{"type":"object","properties":{"kind":{"type":"string"}},"required":["kind"]}}]"#;
const IDENTITY: &str = r#"{"name":"bench-echo","version":"1"}"#;
const UNKNOWN: &str = r#""error":{"code":-32601,"message":"method not found"}"#;

fn is_unknown(answer: &[u8]) -> bool {
    answer.len() < 200 && answer.windows(6).any(|window| window == b"-32601")
}

/// Appends the answer to one message; false: it wants none.
fn answer_to(message: &[u8], era: Era, into: &mut Vec<u8>) -> Result<bool> {
    let message: Message = serde_json::from_slice(message)?;
    let Some(id) = message.id else { return Ok(false) };
    write!(into, r#"{{"jsonrpc":"2.0","id":{id},"#)?;
    let (complete, kept) = match era {
        Era::Legacy => ("", ""),
        Era::Modern => (
            r#""resultType":"complete","#,
            r#""resultType":"complete","ttlMs":60000,"cacheScope":"public","#,
        ),
    };
    match (message.method, era) {
        ("initialize", Era::Legacy) => write!(
            into,
            r#""result":{{"protocolVersion":"2025-06-18","capabilities":{{"tools":{{}}}},"serverInfo":{IDENTITY}}}"#
        )?,
        ("server/discover", Era::Modern) => write!(
            into,
            r#""result":{{{kept}"supportedVersions":["2026-07-28"],"capabilities":{{"tools":{{}}}},"serverInfo":{IDENTITY}}}"#
        )?,
        ("ping", _) => into.extend_from_slice(br#""result":{}"#),
        ("tools/list", _) => write!(into, r#""result":{{{kept}{TOOLS}}}"#)?,
        ("tools/call", _) => {
            let params = message.params.context("a call has params")?;
            let call: Call = serde_json::from_str(params.get())?;
            match call.name {
                ECHO => {
                    let text = call.arguments.text.map_or("null", RawValue::get);
                    write!(
                        into,
                        r#""result":{{{complete}"content":[{{"type":"text","text":{text}}}]}}"#
                    )?;
                }
                LARGE => {
                    let kind = call
                        .arguments
                        .kind
                        .and_then(Large::parse)
                        .context("an unknown kind")?;
                    write!(into, r#""result":{{{complete}"#)?;
                    into.extend_from_slice(kind.members().as_bytes());
                    into.push(b'}');
                }
                _ => into.extend_from_slice(br#""error":{"code":-32602,"message":"unknown tool"}"#),
            }
        }
        _ => into.extend_from_slice(UNKNOWN.as_bytes()),
    }
    into.push(b'}');
    Ok(true)
}

/// What a megabyte is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Large {
    /// A text of plain ASCII.
    Ascii,
    /// A text of which every second character is an escape: `\n`, `\"`, `\u00e9`.
    Escapes,
    /// Structured content of many short strings and numbers, which is not cut to the budget.
    Structured,
}

impl Large {
    pub(crate) const ALL: [Self; 3] = [Self::Ascii, Self::Escapes, Self::Structured];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ascii => "ascii",
            Self::Escapes => "escapes",
            Self::Structured => "structured",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The members of the result, made once.
    fn members(self) -> &'static str {
        static ASCII: LazyLock<String> =
            LazyLock::new(|| text("the quick brown fox reads line 1234 of the log and finds nothing new; "));
        static ESCAPES: LazyLock<String> = LazyLock::new(|| text(r#"a\nb\"c\u00e9d\te\\f\u20acg"#));
        static STRUCTURED: LazyLock<String> = LazyLock::new(|| {
            let row = r#"{"id":12345,"name":"web-17","state":"running","ports":[80,443],"cpu":0.25}"#;
            let rows = vec![row; MEGABYTE / (row.len() + 1)].join(",");
            format!(r#""content":[],"structuredContent":{{"rows":[{rows}]}}"#)
        });
        match self {
            Self::Ascii => &ASCII,
            Self::Escapes => &ESCAPES,
            Self::Structured => &STRUCTURED,
        }
    }
}

fn text(piece: &str) -> String {
    format!(
        r#""content":[{{"type":"text","text":"{}"}}]"#,
        piece.repeat(MEGABYTE / piece.len())
    )
}
