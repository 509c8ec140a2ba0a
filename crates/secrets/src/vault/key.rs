//! The key of an encrypted file: 32 bytes in a file of their own, or made from a passphrase.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use base::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::sealed::KeyKind;
use super::{make_folder, private};
use crate::files::reason;

/// Where the key comes from.
#[derive(Debug, Clone)]
pub enum VaultKey {
    /// A file with 32 random bytes in Base64, readable by its owner alone; made with the first secret.
    File(PathBuf),
    /// A passphrase, stretched by Argon2id.
    Passphrase(Secret),
}

/// 256 bits.
#[derive(Clone)]
pub(super) struct Key(Zeroizing<[u8; Key::LENGTH]>);

/// Why there is no key, and what to do.
pub(super) struct Locked {
    pub(super) reason: String,
    pub(super) mend: String,
}

/// RFC 9106 section 4, the second choice: 64 MiB, three passes; one lane, as there is one thread.
const MEMORY_KIB: u32 = 64 << 10;
const PASSES: u32 = 3;
const LANES: u32 = 1;
/// What a file may ask for, so that a forged one can't eat the machine.
const MOST_MEMORY_KIB: u32 = 256 << 10;
const MOST_PASSES: u32 = 16;
const MOST_LANES: u32 = 4;
const SALT: usize = 16;

impl Key {
    pub(super) const LENGTH: usize = 32;

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_slice()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl VaultKey {
    /// What a new file says of its key.
    pub(super) fn kind(&self) -> Result<KeyKind, &'static str> {
        Ok(match self {
            Self::File(_) => KeyKind::File,
            Self::Passphrase(_) => KeyKind::Argon2id {
                memory_kib: MEMORY_KIB,
                passes: PASSES,
                lanes: LANES,
                salt: STANDARD.encode(random::<SALT>()?),
            },
        })
    }

    /// The key for a file that says this of it. `is_new`: there is no such file yet, so there may be no key yet.
    pub(super) fn unlock(&self, kind: &KeyKind, is_new: bool) -> Result<Key, Locked> {
        match (self, kind) {
            (Self::File(path), KeyKind::File) => from_file(path, is_new),
            (
                Self::Passphrase(passphrase),
                KeyKind::Argon2id {
                    memory_kib,
                    passes,
                    lanes,
                    salt,
                },
            ) => stretch(passphrase, (*memory_kib, *passes, *lanes), salt),
            (Self::File(_), KeyKind::Argon2id { .. }) => Err(Locked {
                reason: "it was sealed with a passphrase, and a key file is configured".to_owned(),
                mend: "give the passphrase, or remove the file and store the secrets anew".to_owned(),
            }),
            (Self::Passphrase(_), KeyKind::File) => Err(Locked {
                reason: "it was sealed with a key file, and a passphrase is configured".to_owned(),
                mend: "configure the key file, or remove the file and store the secrets anew".to_owned(),
            }),
        }
    }
}

fn stretch(
    passphrase: &Secret,
    (memory_kib, passes, lanes): (u32, u32, u32),
    salt: &str,
) -> Result<Key, Locked> {
    let forged = || Locked {
        reason: "what it says of its key is out of bounds; it was damaged, or changed by something else"
            .to_owned(),
        mend: "restore it from a backup, or remove it and store the secrets anew".to_owned(),
    };
    if memory_kib > MOST_MEMORY_KIB || passes > MOST_PASSES || lanes > MOST_LANES {
        return Err(forged());
    }
    let params = Params::new(memory_kib, passes, lanes, Some(Key::LENGTH)).map_err(|_| forged())?;
    let salt = STANDARD.decode(salt).map_err(|_| forged())?;
    let mut key = Zeroizing::new([0; Key::LENGTH]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.expose().as_bytes(), &salt, key.as_mut_slice())
        .map_err(|_| forged())?;
    Ok(Key(key))
}

fn from_file(path: &Path, is_new: bool) -> Result<Key, Locked> {
    let locked = |reason: String, mend: &str| Locked {
        reason: format!("its key {}: {reason}", path.display()),
        mend: mend.to_owned(),
    };
    match read(path) {
        Ok(text) => {
            check_mode(path).map_err(|mode| {
                let mend = format!(
                    "run `chmod 600 {}`, and store anew what others may have read",
                    path.display()
                );
                locked(format!("others can read it (mode {mode:o})"), &mend)
            })?;
            decode(&text).ok_or_else(|| {
                let mend = "restore the key from a backup, or remove both files and store the secrets anew";
                locked("it is not 32 bytes in Base64".to_owned(), mend)
            })
        }
        Err(cause) if cause.kind() == io::ErrorKind::NotFound && is_new => make(path).map_err(|cause| {
            locked(
                format!("making it: {}", reason(&cause)),
                "see that its folder can be written to",
            )
        }),
        Err(cause) => {
            let mend =
                "restore the key from a backup, or remove the encrypted file and store the secrets anew";
            Err(locked(reason(&cause), mend))
        }
    }
}

fn read(path: &Path) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::with_capacity(64));
    fs_err::File::open(path)?.take(1_024).read_to_string(&mut text)?;
    Ok(text)
}

fn decode(text: &str) -> Option<Key> {
    let bytes = Zeroizing::new(STANDARD.decode(text.trim()).ok()?);
    let bytes: [u8; Key::LENGTH] = bytes.as_slice().try_into().ok()?;
    Some(Key(Zeroizing::new(bytes)))
}

fn make(path: &Path) -> io::Result<Key> {
    make_folder(path.parent().unwrap_or(Path::new(".")))?;
    let key = Key(Zeroizing::new(random().map_err(io::Error::other)?));
    let mut file = private().create_new(true).open(path)?;
    let text = Zeroizing::new(format!("{}\n", STANDARD.encode(key.bytes())));
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(key)
}

#[cfg(unix)]
fn check_mode(path: &Path) -> Result<(), u32> {
    let mode = fs_err::metadata(path).map_or(0, |meta| {
        std::os::unix::fs::PermissionsExt::mode(&meta.permissions())
    });
    let of_others = mode & 0o077;
    if of_others == 0 { Ok(()) } else { Err(mode & 0o777) }
}

#[cfg(not(unix))]
fn check_mode(_path: &Path) -> Result<(), u32> {
    Ok(())
}

fn random<const N: usize>() -> Result<[u8; N], &'static str> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| "the system gives no random numbers")?;
    Ok(bytes)
}
