//! What outlives the process: the lists that servers gave, and the definitions of tools that were approved.

use futures_util::future::BoxFuture;
pub use store::Definition;

/// Remembers. Failures are told and survived: lists are read again, and what can't be compared is held back.
pub trait Memory: Send + Sync {
    /// The lists that were kept under `fingerprint`: the text that [`Self::keep_lists`] was given.
    fn lists(&self, fingerprint: String) -> BoxFuture<'_, Result<Option<String>, store::Error>>;

    /// Keeps the lists of `server`.
    fn keep_lists(
        &self,
        server: String,
        fingerprint: String,
        text: String,
    ) -> BoxFuture<'_, Result<(), store::Error>>;

    /// What was approved of `server`; `None`: nothing ever was.
    fn approved(&self, server: String) -> BoxFuture<'_, Result<Option<Vec<Definition>>, store::Error>>;

    /// Puts `definitions` in the place of all that was approved of `server`.
    fn approve(
        &self,
        server: String,
        definitions: Vec<Definition>,
    ) -> BoxFuture<'_, Result<(), store::Error>>;
}

impl Memory for store::Store {
    fn lists(&self, fingerprint: String) -> BoxFuture<'_, Result<Option<String>, store::Error>> {
        Box::pin(self.definitions().lists(fingerprint))
    }

    fn keep_lists(
        &self,
        server: String,
        fingerprint: String,
        text: String,
    ) -> BoxFuture<'_, Result<(), store::Error>> {
        Box::pin(self.definitions().keep_lists(server, fingerprint, text))
    }

    fn approved(&self, server: String) -> BoxFuture<'_, Result<Option<Vec<Definition>>, store::Error>> {
        Box::pin(self.definitions().approved(server))
    }

    fn approve(
        &self,
        server: String,
        definitions: Vec<Definition>,
    ) -> BoxFuture<'_, Result<(), store::Error>> {
        Box::pin(self.definitions().approve(server, definitions))
    }
}
