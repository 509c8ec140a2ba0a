//! Where secret values come from; they leave this room only as redacting types.
//!
//! [`Sources`] is a chain: the environment, files, an encrypted file with a key of its own ([`Vault`]), credential helpers
//! (which speak to the keyrings of the operating systems), and `docker pass`. The first that has a secret gives it;
//! one that fails is an error and is not passed over, or a broken keyring would let an older value through. No value
//! is ever in an error, a log line, a command's arguments or a `Debug` text.
//!
//! Deliberately absent: which server needs which secret (`catalog`), how a value gets into a container
//! (`instances`), and reading the environment: what it says is handed in.

mod environment;
mod error;
mod files;
mod helper;
mod name;
mod pass;
mod program;
mod sources;
mod vault;

pub use environment::Environment;
pub use error::{Error, Fault};
pub use files::{EnvFile, Folder};
pub use helper::Helper;
pub use name::SecretName;
pub use pass::DockerPass;
pub use programs::Programs;
pub use sources::{Listed, Listing, Removed, Source, Sources};
pub use vault::{Vault, VaultKey};

/// How long a program may take, unless the floor above says otherwise. A keyring may have to ask a person to unlock it.
pub const PROGRAM_TIME: std::time::Duration = std::time::Duration::from_secs(30);

/// Most bytes of one value. Whole private keys and service account files fit; what is longer is not a secret but a file.
pub const LONGEST: usize = 64 << 10;
