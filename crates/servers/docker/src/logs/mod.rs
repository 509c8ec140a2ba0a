//! Reading a container's log: a stream that may be of any length, of which one page is kept.
//!
//! Nothing is stored between calls. A cursor is a moment of the log and how many lines of that moment have been
//! given already, so reading on asks the engine again and sixty thousand lines never stand in memory.

mod cursor;
mod lines;
mod reader;

pub(crate) use cursor::Cursor;

use crate::error::ToolError;
use crate::values::When;
use base::names::ContainerRef;
use engine::ops::containers::{LogQuery as EngineQuery, Outputs, Tail};
use engine::{Engine, Output};
use futures_util::{Stream, StreamExt, stream};
use lines::Partial;
use reader::Reader;
use regex::Regex;
use std::pin::pin;
use std::time::{Duration, Instant};

/// How much of a log one call looks at; a cursor goes on from there.
const MAX_SCANNED: usize = 256 << 20;
/// How long one call looks.
const MAX_TIME: Duration = Duration::from_secs(25);

// No doc comment: it would be a description in the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Which {
    Stdout,
    Stderr,
    #[default]
    Both,
}

impl Which {
    fn outputs(self) -> Outputs {
        match self {
            Self::Stdout => Outputs::Stdout,
            Self::Stderr => Outputs::Stderr,
            Self::Both => Outputs::Both,
        }
    }
}

/// What to read.
#[derive(Debug, Clone, Default)]
pub(crate) struct LogQuery {
    /// The last so many lines that fit the rest; without it, from the beginning.
    pub(crate) tail: Option<u32>,
    pub(crate) since: Option<When>,
    pub(crate) until: Option<When>,
    pub(crate) grep: Option<Regex>,
    pub(crate) which: Which,
    pub(crate) timestamps: bool,
    pub(crate) cursor: Option<Cursor>,
}

/// One page of a log.
#[derive(Debug, Default)]
pub(crate) struct LogPage {
    /// The lines, without secrets.
    pub(crate) text: String,
    /// How many lines.
    pub(crate) lines: usize,
    /// Lines before these that matched and are not shown.
    pub(crate) left_out: usize,
    /// Where the first of the lines left out is.
    pub(crate) from_start: Option<Cursor>,
    /// Where to read on, if there is more.
    pub(crate) next: Option<Cursor>,
    /// The call looked at as much as one call may, and the log goes on.
    pub(crate) tired: bool,
}

/// Reads one page of at most `room` bytes.
///
/// # Errors
/// The engine's, and that it gives no log of this container.
pub(crate) async fn read(
    engine: &Engine,
    container: &ContainerRef,
    query: &LogQuery,
    room: usize,
) -> Result<LogPage, ToolError> {
    // The engine counts lines before it looks at their output and time, and it doesn't search.
    let counted = query.grep.is_none() && query.which == Which::Both && query.until.is_none();
    let tail = query.tail.filter(|_| counted && query.cursor.is_none());
    let wanted = EngineQuery {
        outputs: query.which.outputs(),
        timestamps: true,
        tail: tail.map_or(Tail::All, |lines| Tail::Lines(lines.into())),
        since: query
            .cursor
            .map(|cursor| cursor.at)
            .or(query.since.map(|When(moment)| moment)),
        until: query.until.map(|When(moment)| moment),
        follow: false,
    };
    let tty = engine.container_tty(container).await?;
    let mut outputs = pin!(engine.container_logs(container, &wanted, tty).await?);
    let mut reader = Reader::new(query, room);
    let began = Instant::now();
    while let Some(output) = outputs.next().await {
        let output = output?;
        reader.feed(&output);
        if reader.is_full() {
            break;
        }
        if reader.scanned() > MAX_SCANNED || began.elapsed() > MAX_TIME {
            return Ok(reader.give_up());
        }
    }
    Ok(reader.finish())
}

/// The whole log so far and what is added to it, line by line, without secrets of the cleaned kind only: the caller
/// redacts what it shows. Ends with the container.
pub(crate) async fn follow(
    engine: &Engine,
    container: &ContainerRef,
) -> Result<impl Stream<Item = Result<String, ToolError>> + Send + use<>, ToolError> {
    let wanted = EngineQuery {
        follow: true,
        ..EngineQuery::default()
    };
    let tty = engine.container_tty(container).await?;
    let outputs = engine.container_logs(container, &wanted, tty).await?;
    let lines = outputs
        .scan(<[Partial; 2]>::default(), |partial, output| {
            let lines = match output {
                Ok(output) => whole_lines(partial, &output).into_iter().map(Ok).collect(),
                Err(error) => vec![Err(ToolError::from(error))],
            };
            std::future::ready(Some(stream::iter(lines)))
        })
        .flatten();
    Ok(lines)
}

fn whole_lines(partial: &mut [Partial; 2], output: &Output) -> Vec<String> {
    let partial = &mut partial[usize::from(matches!(output, Output::Stderr(_)))];
    let pieces = output.bytes().split_inclusive(|b| *b == b'\n');
    let lines = pieces.filter_map(|piece| partial.add(piece));
    lines
        .map(|line| base::text::clean(&String::from_utf8_lossy(&line.bytes)).into_owned())
        .collect()
}
