//! Proof that an entry is in a log: hashes that lead from the entry to the root of the log's tree (RFC 9162 section 2.1.3),
//! which the log has signed in a checkpoint (a signed note).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::entry::number;
use super::refused::Refused;
use super::root::Log;

/// As it stands in a Sigstore bundle. Root and size stand in it, too; those of the checkpoint count.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Proof {
    #[serde(default, deserialize_with = "number")]
    log_index: i64,
    #[serde(default)]
    hashes: Vec<String>,
    checkpoint: Checkpoint,
}

#[derive(Debug, Deserialize)]
struct Checkpoint {
    envelope: String,
}

/// A tree has fewer levels than its size has bits.
const LEVELS: usize = 64;

impl Proof {
    /// Checks that the log has this entry.
    pub(super) fn check(&self, entry: &[u8], log: &Log) -> Result<(), Refused> {
        let (size, root) = self.checkpoint.signed(log)?;
        let index = u64::try_from(self.log_index).map_err(|_| Refused::Proof("it can't be read"))?;
        let hashes: Option<Vec<_>> = self.hashes.iter().map(|text| hash(text)).collect();
        let hashes = hashes
            .filter(|hashes| hashes.len() <= LEVELS)
            .ok_or(Refused::Proof("it can't be read"))?;
        let leaf = node(&[&[0], entry]);
        if root_of(leaf, index, size, &hashes) == Some(root) {
            Ok(())
        } else {
            Err(Refused::Proof(
                "it does not lead from the entry to the root of the log",
            ))
        }
    }
}

impl Checkpoint {
    /// Size and root of the tree, if the log's key signed them. Other signatures are of witnesses.
    fn signed(&self, log: &Log) -> Result<(u64, Hash), Refused> {
        let unreadable = Refused::Proof("its checkpoint can't be read");
        let (text, signatures) = self.envelope.split_once("\n\n").ok_or(unreadable.clone())?;
        let text = format!("{text}\n");
        let by_log = |line: &str| {
            let (_name, signature) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
            let signature = STANDARD.decode(signature).ok()?;
            let (hint, signature) = signature.split_at_checked(4)?;
            Some(log.id.starts_with(hint) && log.key.has_signed(text.as_bytes(), signature))
        };
        if !signatures.lines().filter_map(by_log).any(|is_good| is_good) {
            return Err(Refused::Proof("its checkpoint is not signed by the log"));
        }
        let mut lines = text.lines().skip(1);
        let size = lines.next().and_then(|size| size.parse().ok());
        let root = lines.next().and_then(hash);
        size.zip(root).ok_or(unreadable)
    }
}

type Hash = [u8; 32];

/// The root to which an entry leads, if it is in a tree of this size.
fn root_of(leaf: Hash, index: u64, size: u64, hashes: &[Hash]) -> Option<Hash> {
    let (mut here, mut last) = (index, size.checked_sub(1)?);
    if here > last {
        return None;
    }
    let mut root = leaf;
    for hash in hashes {
        if last == 0 {
            return None;
        }
        if here & 1 == 1 || here == last {
            root = node(&[&[1], hash, &root]);
            while here & 1 == 0 && here != 0 {
                (here, last) = (here >> 1, last >> 1);
            }
        } else {
            root = node(&[&[1], &root, hash]);
        }
        (here, last) = (here >> 1, last >> 1);
    }
    (last == 0).then_some(root)
}

fn node(parts: &[&[u8]]) -> Hash {
    Sha256::digest(parts.concat()).into()
}

fn hash(text: &str) -> Option<Hash> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The root of a tree as RFC 9162 section 2.1.1 defines it, and the hashes beside the way to an entry.
    fn tree(leaves: &[Hash], index: usize) -> (Hash, Vec<Hash>) {
        if let [leaf] = leaves {
            return (*leaf, Vec::new());
        }
        let middle = leaves.len().next_power_of_two() / 2;
        let (left, right) = leaves.split_at(middle);
        let ((left, to_left), (right, to_right)) =
            (tree(left, index), tree(right, index.wrapping_sub(middle)));
        let root = node(&[&[1], &left, &right]);
        let (mut way, beside) = if index < middle {
            (to_left, right)
        } else {
            (to_right, left)
        };
        way.push(beside);
        (root, way)
    }

    #[test]
    fn every_entry_of_small_trees() {
        for size in 1..40_u64 {
            let leaves: Vec<Hash> = (0..size).map(|n| node(&[&[0], &n.to_be_bytes()])).collect();
            for (index, leaf) in leaves.iter().enumerate() {
                let (root, way) = tree(&leaves, index);
                let index = index as u64;
                assert_eq!(root_of(*leaf, index, size, &way), Some(root), "{index} of {size}");
                for other in (0..size + 2).filter(|other| *other != index) {
                    assert_ne!(
                        root_of(*leaf, other, size, &way),
                        Some(root),
                        "{other} for {index} of {size}"
                    );
                }
                if let [_, short @ ..] = way.as_slice() {
                    assert_eq!(root_of(*leaf, index, size, short), None, "{index} of {size}");
                }
            }
        }
        assert_eq!(root_of([0; 32], 0, 0, &[]), None);
        assert_eq!(root_of([0; 32], 0, 1, &[[0; 32]]), None);
    }
}
