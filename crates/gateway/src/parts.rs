//! What the floor above puts together: servers, rules, journal, bounds.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use base::KnownSecrets;
use futures_util::future::BoxFuture;
use policy::Effect;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use wire::Raw;

use crate::{Journal, Limits, Memory, Principal};

/// All that a gateway is made of. `Parts { servers, rules, ..Parts::new(journal, name, version) }` leaves the rest as
/// it suits one user's machine.
pub struct Parts {
    /// The servers, in the order in which they are listed. Of one name there is one in each profile.
    pub servers: Vec<Server>,
    /// The profile that clients see who name none.
    pub profile: String,
    /// What may be done.
    pub rules: policy::Rules,
    /// Where each call is written down.
    pub journal: Arc<dyn Journal>,
    /// Bounds.
    pub limits: Limits,
    /// Values that never leave, and never reach a tool: the bearer token, registry passwords, the secrets of servers.
    /// Who looks one up later adds it to a clone of this handle.
    pub secrets: KnownSecrets,
    /// The name under which the gateway introduces itself: "dockmaster".
    pub name: String,
    /// Its version.
    pub version: String,
    /// What was listed and approved before; `None`: nothing outlives the process.
    pub memory: Option<Arc<dyn Memory>>,
}

impl Parts {
    /// Without servers, with default rules and bounds.
    pub fn new(journal: Arc<dyn Journal>, name: &str, version: &str) -> Self {
        Self {
            servers: Vec::new(),
            profile: "default".to_owned(),
            rules: policy::Rules::default(),
            journal,
            limits: Limits::default(),
            secrets: KnownSecrets::default(),
            name: name.to_owned(),
            version: version.to_owned(),
            memory: None,
        }
    }
}

/// What happens when a server of a catalog is seen and nothing of it was approved before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FirstSight {
    /// What it lists then counts as approved: it was enabled knowingly.
    #[default]
    Approve,
    /// Its tools are held back until they are approved.
    Hold,
}

/// What happens with suspicious text in what a server lists and answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screening {
    /// Characters that a person does not see: tags, bidirectional controls, zero width.
    pub hidden: Treatment,
    /// Text that poses as instructions to the model: `<important>`, `<|im_start|>`, `[INST]`.
    pub instructions: Treatment,
    /// What looks like a secret. Without [`Treatment::Refuse`] it is redacted, as for every server.
    pub secrets: Treatment,
}

impl Default for Screening {
    fn default() -> Self {
        Self {
            hidden: Treatment::Mark,
            instructions: Treatment::Mark,
            secrets: Treatment::Mark,
        }
    }
}

/// What happens with something suspicious.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Treatment {
    /// Nothing.
    Pass,
    /// It is cleaned as far as it can be, and labelled.
    #[default]
    Mark,
    /// What holds it is left out of the list; an answer that holds it is withheld.
    Refuse,
}

/// An MCP server behind the gateway. `Server { sharing, ..Server::new(name, connect, describe) }` leaves the rest as
/// it suits a server of our own.
pub struct Server {
    /// Its name, in permissions and in the audit.
    pub name: base::names::ServerName,
    /// Profiles that it is in; empty: all of them.
    pub profiles: Vec<String>,
    /// Reaches an instance of it. Called for each instance, and again when one has ended.
    pub connect: Connect,
    /// Gets what has to be there before that (an image), as often as something starts. It is no part of the start and
    /// has a limit of its own, [`PREPARING`]; of one server one runs at a time. `None`: nothing has to be there.
    pub prepare: Option<Prepare>,
    /// Knows its tools before it runs.
    pub describe: Arc<dyn Describe>,
    /// What it tells models about itself. `None`: what it said at its last start.
    pub instructions: Option<String>,
    /// Who may share an instance.
    pub sharing: Sharing,
    /// Put before the names of its tools and prompts, always; `None`: its name, where names collide.
    pub prefix: Option<String>,
    /// The times and bounds of its instances.
    pub life: Life,
    /// Image digest and configuration, as one text: while it is the same, so are the lists. `None`: lists are kept
    /// only as long as the process lives.
    pub fingerprint: Option<String>,
    /// The tools that may be listed and called, by the server's own names; `None`: all.
    pub tools: Option<Vec<String>>,
    /// Where its definition comes from.
    pub origin: Origin,
    /// What happens with its tools before anything of it was approved; for [`Origin::Catalog`].
    pub first_sight: FirstSight,
    /// What happens with suspicious text in what it lists and answers; for [`Origin::Catalog`].
    pub screening: Screening,
}

impl Server {
    /// One of our own, shared by everyone, in every profile.
    pub fn new(name: base::names::ServerName, connect: Connect, describe: Arc<dyn Describe>) -> Self {
        Self {
            name,
            profiles: Vec::new(),
            connect,
            prepare: None,
            describe,
            instructions: None,
            sharing: Sharing::default(),
            prefix: None,
            life: Life::default(),
            fingerprint: None,
            tools: None,
            origin: Origin::BuiltIn,
            first_sight: FirstSight::default(),
            screening: Screening::default(),
        }
    }
}

/// Who may share an instance of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Sharing {
    /// Everyone.
    #[default]
    Everyone,
    /// Each principal has one.
    Principal,
    /// Each session has one, which ends with it. Requests that belong to no session (2026-07-28 over HTTP) share
    /// that of their principal.
    Session,
    /// Each call has one, which ends with it.
    Call,
}

/// The life of a server's instances. `None` means the gateway's [`Limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Life {
    /// After how long without work an instance is stopped.
    pub idle_stop: Option<Duration>,
    /// So many instances wait ready before somebody needs them. With [`Sharing::Everyone`] one at most, which is not
    /// stopped when idle; with [`Sharing::Principal`], as an instance is made for its principal, so many that were started
    /// are not stopped.
    pub warm: usize,
    /// How long a start may take, handshake included.
    pub start: Option<Duration>,
    /// How long a list or another small request may take.
    pub list: Option<Duration>,
    /// How long one call may take.
    pub call: Option<Duration>,
    /// Bytes of memory that an instance may use, for [`Limits::instance_bytes`]; 0: it counts for nothing.
    pub bytes: u64,
}

/// Where a server's definition comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Origin {
    /// From us: trusted as the gateway itself.
    BuiltIn,
    /// From outside: what it says of itself is pinned, and screened like its answers.
    #[default]
    Catalog,
}

/// For whom an instance is made.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Share {
    /// Names the sharers: different for each that live side by side, made of `[a-z0-9-]`, at most 40 characters. For
    /// labels.
    pub key: String,
    /// The one principal that uses it, if it is one from the beginning.
    pub principal: Option<Principal>,
}

/// Makes an instance of a server and opens a connection to it.
pub type Connect = Box<dyn Fn(Share) -> BoxFuture<'static, io::Result<Link>> + Send + Sync>;

/// Gets what a server needs before it can be started.
pub type Prepare = Box<dyn Fn() -> BoxFuture<'static, io::Result<()>> + Send + Sync>;

/// How long [`Prepare`] may take: an image of some gigabytes over a slow line.
pub const PREPARING: Duration = Duration::from_mins(30);

/// A connection to a server.
pub struct Link {
    /// What carries the messages.
    pub wire: Wire,
    /// Work that has to go on for the connection to live (an in-memory server, a child process's watcher). The
    /// gateway runs it as a task of its own and waits for it at shutdown. It should end when the wire does.
    pub driver: Option<Driver>,
}

/// Runs until a connection has ended. Gives why, on one line without secrets, if the server ended by itself and that is
/// known: "it ended by itself with exit code 3".
pub type Driver = BoxFuture<'static, Option<String>>;

/// What carries messages between gateway and server.
pub enum Wire {
    /// Newline-delimited JSON-RPC in both directions.
    Pipe(Box<dyn ByteStream>),
    /// The same, of a server in this process that answers calls of its tools without the stream too. Those whose
    /// progress somebody wants to hear of still go by the stream.
    Within {
        /// Carries everything else.
        stream: Box<dyn ByteStream>,
        /// Answers calls.
        calls: Calls,
    },
    /// Messages, each by itself: for transports such as HTTP, on which an answer comes on the stream of its
    /// request. The transport ends when `to_server` has no sender left, and the connection is dead when
    /// `from_server` has none.
    ///
    /// A failure of the transport (a status, a broken stream) comes back as the JSON-RPC error answer of the
    /// request that it befell.
    Messages {
        /// Takes messages to the server.
        to_server: mpsc::Sender<ToServer>,
        /// Gives what the server sends.
        from_server: mpsc::Receiver<FromServer>,
        /// See [`crate::Remote::speaks_for`].
        speaks_for: Option<crate::Namesake>,
    },
}

/// Answers the `params` of a `tools/call` with its result, or with a JSON-RPC error, as the server does on its stream.
/// Dropping the future cancels the call.
pub type Calls = Arc<dyn Fn(Raw) -> BoxFuture<'static, Result<Raw, Raw>> + Send + Sync>;

/// A message to a server.
#[derive(Debug)]
pub struct ToServer {
    /// Its JSON text on one line, without a line end.
    pub line: Vec<u8>,
    /// What HTTP mirrors of its body in the modern era: `Mcp-Name` and `Mcp-Param-…`; and for whom it is, where another
    /// gateway is told. The transport adds `Mcp-Method` and `MCP-Protocol-Version` itself.
    pub headers: Vec<(String, String)>,
}

/// What comes from a server.
#[derive(Debug)]
pub enum FromServer {
    /// A message.
    Message {
        /// Its JSON text.
        line: Vec<u8>,
        /// The request of ours on whose stream it came; `None`: it came on the stream of the session, or of nothing.
        related: Option<wire::Id>,
    },
    /// The session was begun anew, so what the server was told in the one before (levels, subscriptions) has to be told
    /// again.
    Renewed,
    /// The server has closed the stream of this request before its answer, and gives the rest when it is asked for it,
    /// which the transport does (2025-11-25, Transports, "Sending Messages to the Server", item 6). A client that can
    /// ask for the rest of its own stream is let go meanwhile.
    HungUp(wire::Id),
}

/// Bytes both ways.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// What is known of a server's tools without asking it. What it says is trusted, so it comes from us (the
/// built-in servers) or from a catalog, never from the server itself.
pub trait Describe: Send + Sync {
    /// The tool's own name for `tool`, which may be an alias or a name that is not listed; `None` if there is no
    /// such tool.
    fn canonical(&self, tool: &str) -> Option<String>;

    /// What a call with these arguments does at worst.
    fn effect(&self, tool: &str, arguments: &Value) -> Effect;

    /// One line for the person who confirms: "remove container web (force)".
    fn about(&self, tool: &str, arguments: &Value) -> String;

    /// A name that the person has to type back, because the call loses data for good.
    fn data_loss(&self, tool: &str, arguments: &Value) -> Option<String>;

    /// Why a call with these arguments can't be made, whoever agrees to it; nobody is asked about such a call.
    fn unfit(&self, _tool: &str, _arguments: &Value) -> Option<String> {
        None
    }
}
