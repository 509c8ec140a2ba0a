//! Names of secrets, as catalogs write them: `brave.api_key`, `github.personal_access_token`.

use std::fmt;

use crate::Error;

/// The name of a secret: up to 128 letters, digits, `.`, `_` and `-`, beginning with a letter or digit. It can be a file
/// name, a path segment and an argument of a command as it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretName(String);

impl SecretName {
    /// Most bytes of a name.
    pub const LONGEST: usize = 128;

    /// # Errors
    /// [`Error::Name`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let fault = |reason| {
            let shown = base::text::clean(text);
            Err(Error::Name {
                name: base::text::cut(&shown, 80).replace('\n', " "),
                reason,
            })
        };
        if text.is_empty() {
            return fault("it is empty");
        }
        if text.len() > Self::LONGEST {
            return fault("it is longer than 128 characters");
        }
        if !text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        {
            return fault("it may have letters, digits, '.', '_' and '-'");
        }
        if !text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric) {
            return fault("it begins with a letter or digit");
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The environment variable that gives this secret: `brave.api_key` → `DOCKMASTER_SECRET_BRAVE_API_KEY`. Names that
    /// differ only in case or punctuation share one.
    #[must_use]
    pub fn variable(&self) -> String {
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_uppercase()
            } else {
                '_'
            }
        };
        format!(
            "{}{}",
            Self::VARIABLES,
            self.0.chars().map(plain).collect::<String>()
        )
    }

    /// How the variables of secrets begin.
    pub const VARIABLES: &str = "DOCKMASTER_SECRET_";
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (text, wanted) in [
            ("brave.api_key", Some("DOCKMASTER_SECRET_BRAVE_API_KEY")),
            (
                "hdx.HDX_APP_IDENTIFIER",
                Some("DOCKMASTER_SECRET_HDX_HDX_APP_IDENTIFIER"),
            ),
            (
                "beagle-security.Token-1",
                Some("DOCKMASTER_SECRET_BEAGLE_SECURITY_TOKEN_1"),
            ),
            ("7", Some("DOCKMASTER_SECRET_7")),
            ("", None),
            ("..", None),
            (".env", None),
            ("-x", None),
            ("a/b", None),
            ("a b", None),
            ("a=b", None),
            ("ä", None),
            ("a\n", None),
        ] {
            let name = SecretName::parse(text).ok();
            assert_eq!(name.map(|name| name.variable()).as_deref(), wanted, "{text:?}");
        }
        assert!(SecretName::parse(&"a".repeat(129)).is_err());
    }

    #[test]
    fn a_fault_is_told() {
        let error = SecretName::parse("a\u{202e}/\nb").unwrap_err().to_string();
        insta::assert_snapshot!(error, @r#""a/ b" is not a name of a secret: it may have letters, digits, '.', '_' and '-'"#);
    }
}
