//! The size of an answer. Text over the limit is cut off, kept for a while, and can be read page by page as the
//! resource `dockmaster://answer/ID/PAGE`; the answer says so. Structured content, images and links pass whole.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base::text::{cut, tokens};
use serde_json::json;
use wire::edit::{Object, may_name, unescaped};
use wire::{Fault, Raw, code, to_raw};

use crate::caller::{Caller, Length};
use crate::seal::random_id;
use crate::{Limits, Principal};

const SCHEME: &str = "dockmaster://answer/";
const BYTES_PER_TOKEN: usize = 4;

/// Rests of answers that were too long.
pub(crate) struct Kept {
    page_bytes: usize,
    most_bytes: usize,
    life: Duration,
    rests: Mutex<VecDeque<Rest>>,
}

struct Rest {
    id: String,
    owner: Principal,
    /// As it stood in JSON: it is decoded when somebody reads it, which is seldom.
    written: String,
    until: Instant,
}

impl Kept {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            page_bytes: limits
                .answer_tokens
                .saturating_mul(BYTES_PER_TOKEN)
                .max(BYTES_PER_TOKEN),
            most_bytes: limits.kept_bytes,
            life: limits.kept_for,
            rests: Mutex::default(),
        }
    }

    /// Whether `uri` names the rest of an answer.
    pub(crate) fn is_ours(uri: &str) -> bool {
        uri.starts_with(SCHEME)
    }

    /// `result` with its text cut to the limit, if it is over it.
    pub(crate) fn fit(&self, caller: &Caller, result: Raw) -> Raw {
        // The text can't be longer than the JSON that holds it.
        if caller.length == Length::Whole || result.get().len() <= self.page_bytes {
            return result;
        }
        self.cut_text(caller, &result).unwrap_or(result)
    }

    /// A page of a rest: the result of `resources/read`.
    pub(crate) fn read(&self, reader: &Principal, uri: &str) -> Result<Raw, Fault> {
        let not_there = || {
            Fault::new(
                code::RESOURCE_NOT_FOUND,
                format!("{uri} is not kept (any more); make the call again that gave it"),
            )
        };
        let (id, page) = uri
            .strip_prefix(SCHEME)
            .and_then(|rest| rest.split_once('/'))
            .ok_or_else(not_there)?;
        let page: usize = page.parse().map_err(|_| not_there())?;
        let rests = self.rests.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = rests
            .iter()
            .find(|rest| rest.id == id && rest.owner == *reader && rest.until > Instant::now())
            .ok_or_else(not_there)?;
        let whole = unescaped(&rest.written);
        let text = pages(&whole, self.page_bytes)
            .nth(page.wrapping_sub(1))
            .ok_or_else(not_there)?;
        let count = pages(&whole, self.page_bytes).count();
        let text = if page < count {
            format!(
                "{text}\n[page {page} of {count}; it goes on at {SCHEME}{id}/{}]",
                page + 1
            )
        } else {
            text.to_owned()
        };
        Ok(to_raw(
            &json!({"contents": [{"uri": uri, "mimeType": "text/plain", "text": text}]}),
        ))
    }

    /// `None`: there is nothing to cut.
    fn cut_text(&self, caller: &Caller, result: &Raw) -> Option<Raw> {
        if !may_name(result, "text") {
            return None;
        }
        let (mut object, blocks) = Object::parse_with(result, "content")?;
        let mut left = self.page_bytes;
        let mut rest = String::new();
        let mut shown = Vec::with_capacity(blocks.len() + 2);
        // Bytes of text that are shown, decoded and as they are written.
        let (mut decoded, mut written) = (0, 0);
        for mut block in blocks {
            let Some(text) = block.written("text") else {
                shown.push(block.to_raw());
                continue;
            };
            let (here, behind) = text.front(left);
            decoded += here.len();
            written += text.length() - behind.len();
            if behind.is_empty() {
                left -= here.len();
                shown.push(block.to_raw());
                continue;
            }
            // All that follows is behind it.
            left = 0;
            rest.push_str(behind);
            // A block of which nothing is left would only confuse.
            if !here.is_empty() {
                let here = here.into_owned();
                block.set("text", &here);
                shown.push(block.to_raw());
            }
        }
        if rest.is_empty() {
            return None;
        }
        let of = total(decoded, written, &rest);
        let shown_tokens = tokens(decoded);
        let (note, link) = match self.keep(&caller.principal, rest) {
            Some(uri) => (
                format!(
                    "[cut: {shown_tokens} of {of} tokens. The rest is at {uri} (kept for {} minutes); asking for less \
                     is cheaper]",
                    self.life.as_secs().div_ceil(60),
                ),
                Some(uri),
            ),
            None => (
                format!("[cut: {shown_tokens} of {of} tokens; the rest is too long to keep, ask for less]"),
                None,
            ),
        };
        shown.push(to_raw(&json!({"type": "text", "text": note})));
        if let Some(uri) = link
            && caller.era.version().has_resource_links()
        {
            shown.push(to_raw(&json!({
                "type": "resource_link", "uri": uri, "name": "rest of this answer", "mimeType": "text/plain",
            })));
        }
        object.set("content", &shown);
        Some(object.to_raw())
    }

    /// Keeps text, as it is written, for its owner and gives the address of its first page; `None` if it is too long.
    fn keep(&self, owner: &Principal, written: String) -> Option<String> {
        if written.len() > self.most_bytes {
            return None;
        }
        let id = random_id().ok()?;
        let uri = format!("{SCHEME}{id}/1");
        let now = Instant::now();
        let mut rests = self.rests.lock().unwrap_or_else(PoisonError::into_inner);
        rests.retain(|rest| rest.until > now);
        let mut bytes: usize = rests.iter().map(|rest| rest.written.len()).sum();
        while bytes + written.len() > self.most_bytes
            && let Some(oldest) = rests.pop_front()
        {
            bytes -= oldest.written.len();
        }
        rests.push_back(Rest {
            id,
            owner: owner.clone(),
            written,
            until: now + self.life,
        });
        Some(uri)
    }
}

/// The tokens of a text of which so many bytes are shown, for which so many were written, and this is the rest as it is
/// written. Where that has escapes they are taken to be as many as in what is shown: the rest is not decoded for a number.
fn total(decoded: usize, written: usize, rest: &str) -> String {
    if !rest.contains('\\') || written == 0 {
        return tokens(decoded + rest.len()).to_string();
    }
    format!("about {}", tokens(decoded + rest.len() * decoded / written))
}

/// `text` in pieces of at most `bytes`, ending after a line where one ends in the last quarter.
fn pages(text: &str, bytes: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let page = cut(rest, bytes);
        let page = match page.rfind('\n') {
            Some(end) if page.len() < rest.len() && end >= bytes / 4 * 3 => &page[..=end],
            _ => page,
        };
        // A character may be longer than a tiny page.
        let page = if page.is_empty() {
            &rest[..rest.chars().next().map_or(0, char::len_utf8)]
        } else {
            page
        };
        rest = &rest[page.len()..];
        Some(page)
    })
}
