//! ECDSA keys on P-256 whose number begins with a zero byte, as one in 256 does. OpenSSH leaves that byte away (an `mpint` of
//! RFC 4251, section 5), and ssh-key 0.7.0-rc.11 takes no fewer than 32. What it says of such a key is `length invalid`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use russh::keys::PrivateKey;
use russh::keys::ssh_key::private::{EcdsaKeypair, EcdsaPrivateKey, KeypairData};
use russh::keys::ssh_key::{Cipher, public};
use zeroize::Zeroizing;

/// How a file in OpenSSH's own format (its PROTOCOL.key) begins, once decoded.
const MAGIC: &[u8] = b"openssh-key-v1\0";
const P256: &[u8] = b"ecdsa-sha2-nistp256";
/// Bytes of the number.
const SIZE: usize = 32;

/// The key in such a file; `None` for all others, and for a wrong passphrase.
pub(super) fn read(text: &str, passphrase: Option<&str>) -> Option<PrivateKey> {
    let private = match passphrase {
        None => unencrypted(text)?,
        Some(passphrase) => {
            let locked = PrivateKey::from_openssh(text).ok()?;
            let (key, iv) = locked.kdf().derive_key_and_iv(locked.cipher(), passphrase).ok()?;
            let mut private = Zeroizing::new(locked.key_data().encrypted()?.to_vec());
            locked.cipher().decrypt(&key, &iv, &mut private, None).ok()?;
            private
        }
    };
    pair(&mut &**private)
}

/// What would be encrypted.
fn unencrypted(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let lines = text.lines().filter(|line| !line.starts_with("-----"));
    let body: Zeroizing<String> = Zeroizing::new(lines.map(str::trim).collect());
    let decoded = Zeroizing::new(STANDARD.decode(body.as_bytes()).ok()?);
    let mut rest = decoded.strip_prefix(MAGIC)?;
    let [cipher, _kdf, _options] = [string(&mut rest)?, string(&mut rest)?, string(&mut rest)?];
    let [count, _public, private] = [take(&mut rest, 4)?, string(&mut rest)?, string(&mut rest)?];
    let is_one = cipher == Cipher::None.as_str().as_bytes() && count == [0, 0, 0, 1];
    is_one.then(|| Zeroizing::new(private.to_vec()))
}

/// Two equal numbers, by which a wrong passphrase is seen, then the pair and a comment.
fn pair(rest: &mut &[u8]) -> Option<PrivateKey> {
    let (one, other) = (take(rest, 4)?, take(rest, 4)?);
    let (kind, _curve, point, number) = (string(rest)?, string(rest)?, string(rest)?, string(rest)?);
    if one != other || kind != P256 || number.len() >= SIZE {
        return None;
    }
    let mut padded = [0; SIZE];
    padded.get_mut(SIZE - number.len()..)?.copy_from_slice(number);
    let Ok(public::EcdsaPublicKey::NistP256(public)) = public::EcdsaPublicKey::from_sec1_bytes(point) else {
        return None;
    };
    let private = EcdsaPrivateKey::from(padded);
    let comment = String::from_utf8_lossy(string(rest)?).into_owned();
    PrivateKey::new(
        KeypairData::Ecdsa(EcdsaKeypair::NistP256 { public, private }),
        comment,
    )
    .ok()
}

fn take<'a>(from: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = from.split_at_checked(length)?;
    *from = rest;
    Some(taken)
}

/// Four bytes of length, and so many more.
fn string<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u32::from_be_bytes(take(from, 4)?.try_into().ok()?);
    take(from, length.try_into().ok()?)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use proptest::prelude::*;
    use russh::keys::signature::{Signer as _, Verifier as _};

    use super::*;

    fn keygen(arguments: &[&str]) {
        let made = Command::new("ssh-keygen")
            .args(arguments)
            .stdout(Stdio::null())
            .status();
        assert!(made.unwrap().success());
    }

    #[test]
    fn a_number_that_begins_with_a_zero_byte() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        let name = file.to_str().unwrap();
        let text = || fs_err::read_to_string(&file).unwrap();
        // One in 256 is such a one.
        let found = (0..5000).any(|_| {
            drop(fs_err::remove_file(&file));
            keygen(&["-q", "-t", "ecdsa", "-b", "256", "-N", "", "-C", "é", "-f", name]);
            read(&text(), None).is_some()
        });
        assert!(found);
        let public = fs_err::read_to_string(file.with_extension("pub")).unwrap();
        let is_it = |key: &PrivateKey| {
            assert_eq!(key.public_key().to_openssh().unwrap(), public.trim());
            let signature = key.key_data().try_sign(b"something").unwrap();
            key.public_key()
                .key_data()
                .verify(b"something", &signature)
                .unwrap();
        };
        is_it(&read(&text(), None).unwrap());
        assert!(
            PrivateKey::from_openssh(text()).is_err(),
            "then this file is needed no more"
        );

        keygen(&["-q", "-p", "-P", "", "-N", "correct horse", "-f", name]);
        is_it(&read(&text(), Some("correct horse")).unwrap());
        assert!(read(&text(), Some("wrong")).is_none());
        assert!(read(&text(), None).is_none());
    }

    proptest! {
        #[test]
        fn whatever_stands_there(body: Vec<u8>, words in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..6)) {
            let mut spelt = MAGIC.to_vec();
            for word in &words {
                spelt.extend(u32::try_from(word.len()).unwrap().to_be_bytes());
                spelt.extend(word);
            }
            let mut private = spelt.as_slice();
            prop_assert!(pair(&mut private).is_none());
            for file in [&body, &spelt, &[MAGIC, &body].concat()] {
                prop_assert!(read(&STANDARD.encode(file), None).is_none());
            }
        }
    }

    #[test]
    fn nothing_else_is_read_here() {
        let folder = tempfile::tempdir().unwrap();
        for (kind, bits) in [("ed25519", "256"), ("ecdsa", "384"), ("rsa", "2048")] {
            let file = folder.path().join(kind);
            keygen(&[
                "-q",
                "-t",
                kind,
                "-b",
                bits,
                "-N",
                "",
                "-f",
                file.to_str().unwrap(),
            ]);
            assert!(
                read(&fs_err::read_to_string(&file).unwrap(), None).is_none(),
                "{kind}"
            );
        }
        for text in ["", "AAAA", "b3BlbnNzaC1rZXktdjEA", "b3BlbnNzaC1rZXktdjEA/////w=="] {
            assert!(
                read(text, None).is_none() && read(text, Some("a")).is_none(),
                "{text}"
            );
        }
    }
}
