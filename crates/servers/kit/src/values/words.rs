//! Text or a list of texts.

use serde::Deserialize;

/// Text, or a list of texts. What the text means is said by who reads it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "text or a list of text")]
pub enum Words {
    /// One text.
    Text(String),
    /// Several.
    List(Vec<String>),
}

crate::inline_schema!(Words, crate::schema::text_or_list);

impl Words {
    /// All of it as a list; one text is a list of one.
    pub fn into_list(self) -> Vec<String> {
        match self {
            Self::Text(text) => vec![text],
            Self::List(list) => list,
        }
    }
}
