//! `search_files` and `search_content`.

use super::list::directories;
use super::{Cursor, count};
use crate::fault::Fault;
use crate::place::{Flow, Found, Kind, Limit, Links, Visitor, Walk};
use crate::roots::{Access, Spot};
use crate::server::Ctx;
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use grep_searcher::{BinaryDetection, Searcher, SearcherBuilder, Sink, SinkContext, SinkMatch};
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use server_kit::{Answer, Call, Spec, ToolError, Toolset};
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Files, or matching lines, of one answer unless another number is given.
const FOUND: usize = 500;
/// The most that may be asked for.
const MOST: usize = 20_000;
/// By which a search for files is narrowed.
const FILES_BY: &str = "path or pattern";
/// By which one in files is.
const CONTENT_BY: &str = "path, glob or pattern";
/// Bytes of a line that are shown.
const LINE: usize = 400;
/// Lines around a match.
const MOST_CONTEXT: usize = 20;
/// Bytes of one line that are searched; a longer one ends the search of its file.
const HEAP: usize = 64 << 20;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchFiles {
    path: String,
    /// Glob: *.rs, src/**/test_*.
    pattern: String,
    #[serde(default)]
    #[schemars(extend("about" = "Globs of what is left out, with all that is below."))]
    exclude: Vec<String>,
    /// Hidden and ignored files too.
    #[serde(default)]
    all: bool,
    limit: Option<usize>,
    #[expect(dead_code, reason = "pages are answered before the tool is reached")]
    cursor: Option<Cursor>,
}

impl Call<Ctx> for SearchFiles {
    const SPEC: Spec = Spec::new(
        Toolset::Standard,
        "search_files",
        "Find files and directories by name.",
    )
    .reads()
    .aliases(&["find_files", "glob"]);

    fn about(&self) -> String {
        format!("search {} for files named {}", self.path, self.pattern)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let spot = ctx.roots().find(&self.path, Access::Read)?;
        let wanted = Globs::new("pattern", std::slice::from_ref(&self.pattern))?;
        if wanted.is_empty() {
            return Err(ToolError::arguments("parameter pattern: it is empty").fix(GLOB));
        }
        let excluded = Globs::new("exclude", &self.exclude)?;
        let most = most(self.limit, FILES_BY)?;
        ctx.searching(move |limit| {
            let found = Mutex::new(Vec::new());
            let walk = Walk {
                all: self.all,
                depth: usize::MAX,
                limit,
            };
            let visitor = || -> Visitor<'_> {
                Box::new(|item| {
                    let beneath = item.path.strip_prefix(&spot.at).unwrap_or(item.path);
                    if !wanted.match_whole(beneath, item.kind) || excluded.match_any(beneath, item.kind) {
                        return Flow::On;
                    }
                    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                    found.push((item.path.to_owned(), item.kind));
                    if found.len() > most {
                        Flow::Enough
                    } else {
                        Flow::On
                    }
                })
            };
            let unread = search(&spot, &walk, &visitor)?;
            let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
            let more = found.len() > most;
            found.truncate(most);
            found.sort_unstable();
            let mut text = String::new();
            for (path, kind) in &found {
                text.push_str(&spot.shown_at(path));
                if *kind == Kind::Dir {
                    text.push('/');
                }
                text.push('\n');
            }
            let answer = Answer::text(text)
                .narrow(FILES_BY)
                .untrusted(format!("names in {}", spot.shown()));
            let more = more.then_some(More { most, by: FILES_BY });
            Ok(remarks(
                answer,
                &count(found.len(), "file"),
                more.as_ref(),
                unread,
                0,
                limit,
            ))
        })
        .await
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchContent {
    path: String,
    /// Regular expression.
    pattern: String,
    /// Only these files: *.rs.
    glob: Option<String>,
    /// Text, no regex.
    #[serde(default)]
    literal: bool,
    #[serde(default)]
    ignore_case: bool,
    /// Lines around each, 20 at most.
    #[serde(default)]
    context: usize,
    output: Option<Output>,
    /// Hidden and ignored files too.
    #[serde(default)]
    all: bool,
    limit: Option<usize>,
    #[expect(dead_code, reason = "pages are answered before the tool is reached")]
    cursor: Option<Cursor>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Output {
    Lines,
    Files,
    Count,
}

impl Call<Ctx> for SearchContent {
    const SPEC: Spec = Spec::new(
        Toolset::Standard,
        "search_content",
        "Search in files, as ripgrep does: past ignored, hidden and binary ones.",
    )
    .reads()
    .aliases(&["grep", "search_in_files", "grep_files"]);

    fn about(&self) -> String {
        format!("search {} for {}", self.path, base::text::cut(&self.pattern, 120))
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let spot = ctx.roots().find(&self.path, Access::Read)?;
        let matcher = RegexMatcherBuilder::new()
            .case_insensitive(self.ignore_case)
            .fixed_strings(self.literal)
            .line_terminator(Some(b'\n'))
            .build(&self.pattern)
            .map_err(|error| {
                ToolError::arguments(format!("parameter pattern: {error}"))
                    .fix("write it as Rust's regex takes it, within one line, or pass literal=true")
            })?;
        let globs = Globs::new("glob", self.glob.as_slice())?;
        let most = most(self.limit, CONTENT_BY)?;
        if self.context > MOST_CONTEXT {
            return Err(ToolError::arguments(format!(
                "parameter context: {} lines around each are more than {MOST_CONTEXT}",
                self.context
            ))
            .fix("give fewer, and read the file for more"));
        }
        let hits = Hits {
            spot: spot.clone(),
            output: self.output.unwrap_or(Output::Lines),
            context: self.context,
            most,
            matched: AtomicUsize::new(0),
            files: Mutex::default(),
            refused: AtomicUsize::new(0),
        };
        let all = self.all;
        ctx.searching(move |limit| hits.search(&matcher, &globs, all, limit))
            .await
    }
}

/// What a search finds, and how it is told.
struct Hits {
    spot: Spot,
    output: Output,
    context: usize,
    most: usize,
    /// Lines, or files where only these are asked for.
    matched: AtomicUsize,
    files: Mutex<Vec<Hit>>,
    /// Files that could not be read.
    refused: AtomicUsize,
}

/// What was found in a file.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Hit {
    path: PathBuf,
    lines: Vec<u8>,
    count: usize,
}

impl Hits {
    fn search(
        self,
        matcher: &RegexMatcher,
        globs: &Globs,
        all: bool,
        limit: &Limit,
    ) -> Result<Answer, ToolError> {
        let unread = if self.is_file()? {
            self.one(matcher)?;
            0
        } else {
            let walk = Walk {
                all,
                depth: usize::MAX,
                limit,
            };
            let hits = &self;
            let visitor = || -> Visitor<'_> {
                let mut searcher = hits.searcher();
                Box::new(move |found| hits.visit(found, matcher, globs, &mut searcher, limit))
            };
            search(&self.spot, &walk, &visitor)?
        };
        let mut files = self.files.into_inner().unwrap_or_else(PoisonError::into_inner);
        files.sort_unstable();
        // One more may have matched than is shown.
        let shown = files.iter().map(|file| file.count).sum();
        let more = self.matched.into_inner() > self.most;
        let text = told(&files, &self.spot, self.output);
        let found = match self.output {
            Output::Lines | Output::Count => {
                format!("{} in {}", count(shown, "line"), count(files.len(), "file"))
            }
            Output::Files => count(files.len(), "file"),
        };
        let answer = Answer::text(text)
            .narrow(CONTENT_BY)
            .untrusted(format!("content of files in {}", self.spot.shown()));
        let more = more.then_some(More {
            most: self.most,
            by: CONTENT_BY,
        });
        Ok(remarks(
            answer,
            &found,
            more.as_ref(),
            unread,
            self.refused.into_inner(),
            limit,
        ))
    }

    fn is_file(&self) -> Result<bool, ToolError> {
        let stat = self
            .spot
            .place
            .stat(&self.spot.at, Links::Follow)
            .map_err(|fault| fault.during("search", &self.spot.shown()))?;
        Ok(stat.kind != Kind::Dir)
    }

    /// The one file that was named; what is wrong with it is an error.
    fn one(&self, matcher: &RegexMatcher) -> Result<(), ToolError> {
        let failed = |fault: Fault| fault.during("search", &self.spot.shown());
        let (source, _) = self.spot.place.open(&self.spot.at).map_err(failed)?;
        let mut lines = Matching::new(self);
        self.searcher()
            .search_reader(matcher, source, &mut lines)
            .map_err(|error| failed(error.into()))?;
        lines.keep(&self.spot.at);
        Ok(())
    }

    fn searcher(&self) -> Searcher {
        SearcherBuilder::new()
            .line_number(self.output == Output::Lines)
            .before_context(self.context)
            .after_context(self.context)
            .binary_detection(BinaryDetection::quit(0))
            .heap_limit(Some(HEAP))
            .build()
    }

    fn visit(
        &self,
        found: &Found<'_>,
        matcher: &RegexMatcher,
        globs: &Globs,
        searcher: &mut Searcher,
        limit: &Limit,
    ) -> Flow {
        let beneath = found.path.strip_prefix(&self.spot.at).unwrap_or(found.path);
        if found.kind != Kind::File || !globs.is_empty() && !globs.match_whole(beneath, found.kind) {
            return Flow::On;
        }
        let mut lines = Matching::new(self);
        let done = match (found.open)() {
            Ok(source) => searcher.search_reader(matcher, Stoppable { source, limit }, &mut lines),
            // Gone meanwhile: it is not there to be found.
            Err(Fault::Io(error)) if error.kind() == io::ErrorKind::NotFound => return Flow::On,
            Err(_) => Err(io::ErrorKind::Other.into()),
        };
        if done.is_err() {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        lines.keep(found.path);
        if self.matched.load(Ordering::Relaxed) > self.most {
            Flow::Enough
        } else {
            Flow::On
        }
    }
}

/// A file whose reading ends when the search does.
struct Stoppable<'a, R> {
    source: R,
    limit: &'a Limit,
}

impl<R: io::Read> io::Read for Stoppable<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.limit.stop.load(Ordering::Relaxed) {
            return Ok(0);
        }
        self.source.read(buffer)
    }
}

/// Lines of one file that match.
struct Matching<'a> {
    hits: &'a Hits,
    lines: Vec<u8>,
    count: usize,
}

impl<'a> Matching<'a> {
    fn new(hits: &'a Hits) -> Self {
        Self {
            hits,
            lines: Vec::new(),
            count: 0,
        }
    }

    fn keep(self, path: &Path) {
        if self.count == 0 {
            return;
        }
        let hit = Hit {
            path: path.to_owned(),
            lines: self.lines,
            count: self.count,
        };
        self.hits
            .files
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(hit);
    }

    fn line(&mut self, number: Option<u64>, mark: char, bytes: &[u8]) {
        use std::io::Write as _;
        let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        _ = write!(self.lines, "{}{mark}", number.unwrap_or_default());
        self.lines.extend(line.iter().take(LINE));
        if line.len() > LINE {
            self.lines.extend(b" ...");
        }
        self.lines.push(b'\n');
    }
}

impl Sink for Matching<'_> {
    type Error = io::Error;

    fn matched(&mut self, _: &Searcher, found: &SinkMatch<'_>) -> Result<bool, io::Error> {
        self.count += 1;
        // One more than wanted tells that there are more.
        if self.hits.matched.fetch_add(1, Ordering::Relaxed) >= self.hits.most {
            self.count -= 1;
            return Ok(false);
        }
        match self.hits.output {
            Output::Lines => self.line(found.line_number(), ':', found.bytes()),
            Output::Files => return Ok(false),
            Output::Count => {}
        }
        Ok(true)
    }

    fn context(&mut self, _: &Searcher, context: &SinkContext<'_>) -> Result<bool, io::Error> {
        if self.hits.output == Output::Lines {
            self.line(context.line_number(), '-', context.bytes());
        }
        Ok(true)
    }

    fn context_break(&mut self, _: &Searcher) -> Result<bool, io::Error> {
        self.lines.extend(b"--\n");
        Ok(true)
    }

    /// What has a NUL is no text, whatever was found before it.
    fn binary_data(&mut self, _: &Searcher, _: u64) -> Result<bool, io::Error> {
        self.hits.matched.fetch_sub(self.count, Ordering::Relaxed);
        self.count = 0;
        Ok(false)
    }
}

fn told(files: &[Hit], spot: &Spot, output: Output) -> String {
    let mut text = String::new();
    for hit in files {
        text.push_str(&spot.shown_at(&hit.path));
        match output {
            Output::Files => text.push('\n'),
            Output::Count => _ = writeln!(text, "\t{}", hit.count),
            Output::Lines => {
                text.push('\n');
                text.push_str(&String::from_utf8_lossy(&hit.lines));
            }
        }
    }
    text
}

fn search<'v>(
    spot: &Spot,
    walk: &Walk<'_>,
    visitor: &(dyn Fn() -> Visitor<'v> + Sync),
) -> Result<usize, ToolError> {
    spot.place
        .walk(&spot.at, walk, visitor)
        .map_err(|fault| fault.during("search", &spot.shown()))
}

/// How much an answer is to show.
fn most(limit: Option<usize>, by: &str) -> Result<usize, ToolError> {
    match limit {
        Some(limit) if limit > MOST => Err(ToolError::arguments(format!(
            "parameter limit: {limit} is more than {MOST}, the most that a search shows"
        ))
        .fix(format!(
            "give a limit of at most {MOST}; narrow {by} where that is not enough"
        ))),
        limit => Ok(limit.unwrap_or(FOUND)),
    }
}

/// That more was found than so much, and by which parameters there would be less.
struct More {
    most: usize,
    by: &'static str,
}

/// What there is to be known beside what was found.
fn remarks(
    answer: Answer,
    found: &str,
    more: Option<&More>,
    unread: usize,
    refused: usize,
    limit: &Limit,
) -> Answer {
    let mut remarks = vec![match more {
        Some(_) => format!("{found} shown"),
        None => found.to_owned(),
    }];
    if let Some(More { most, by }) = more {
        let advice = if *most < MOST {
            "there are more: narrow the search, or give a higher limit".to_owned()
        } else {
            format!("there are more, and {MOST} is the highest limit: narrow {by}")
        };
        remarks.push(advice);
    } else if let Some(why) = limit.why() {
        remarks.push(format!("not all was searched: {why}; narrow it"));
    } else if limit.reached() {
        remarks.push(format!(
            "not all was searched in {} s: narrow it",
            limit.longest.as_secs_f64()
        ));
    }
    if unread > 0 {
        remarks.push(format!("{} can't be read", directories(unread)));
    }
    if refused > 0 {
        remarks.push(format!(
            "{} can't be read, or may not be (hard links)",
            count(refused, "file")
        ));
    }
    answer.note(format!("[{}]", remarks.join("; ")))
}

/// What to do about what is no glob.
const GLOB: &str = r"write a glob such as *.rs or src/**/*.md; put \ before a character that means itself";

/// Globs as ignore files write them: without a slash they mean a name at any depth.
struct Globs(Gitignore);

impl Globs {
    fn new(parameter: &str, globs: &[String]) -> Result<Self, ToolError> {
        let mut builder = GitignoreBuilder::new("");
        // Otherwise all of a glob whose class has no end would mean itself.
        builder.allow_unclosed_class(false);
        for glob in globs {
            // A leading ! would turn it round, and a leading # make a comment of it.
            let plain = match glob.as_bytes().first() {
                Some(b'!' | b'#') => format!("\\{glob}"),
                _ => glob.clone(),
            };
            builder
                .add_line(None, &plain)
                .map_err(|error| ToolError::arguments(format!("parameter {parameter}: {error}")).fix(GLOB))?;
        }
        let globs = builder
            .build()
            .map_err(|error| ToolError::arguments(format!("parameter {parameter}: {error}")))?;
        Ok(Self(globs))
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn match_whole(&self, path: &Path, kind: Kind) -> bool {
        self.0.matched(path, kind == Kind::Dir).is_ignore()
    }

    /// Whether it, or a directory that it is in, is meant.
    fn match_any(&self, path: &Path, kind: Kind) -> bool {
        !self.0.is_empty()
            && self
                .0
                .matched_path_or_any_parents(path, kind == Kind::Dir)
                .is_ignore()
    }
}
