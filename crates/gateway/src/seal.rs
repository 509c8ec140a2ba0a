//! State that travels through the client and must come back unchanged: sealed with HMAC-SHA256 under a key that
//! lives as long as the process, bound to principal and request, valid for a while, and good for one use.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base::clock;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::Principal;

/// Bytes of a sealed state before Base64: expiry, nonce, seal.
const EXPIRY: usize = 8;
const NONCE: usize = 16;
const SEAL: usize = 32;

/// Makes and checks sealed states.
pub(crate) struct Sealer {
    key: [u8; 32],
    life: Duration,
    /// At most so many used states of a principal are remembered, each until it would have expired anyway. Nobody uses up
    /// what another may have.
    most: usize,
    used: Mutex<HashMap<Principal, HashMap<[u8; NONCE], i64>>>,
}

/// Why a state is not accepted. Which of the four it is, is told to the client: nothing of it helps a forger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unsealed {
    #[error("it was not issued by this gateway for this user and this request, or has been changed")]
    Forged,
    #[error("it has expired")]
    Expired,
    #[error("it has been used already")]
    Used,
    #[error("too many confirmations are open; try again in a few minutes")]
    Full,
}

/// No randomness to be had from the operating system.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gives no random numbers: {0}")]
pub(crate) struct NoRandom(String);

pub(crate) fn random<const N: usize>() -> Result<[u8; N], NoRandom> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| NoRandom(error.to_string()))?;
    Ok(bytes)
}

/// 128 random bits in hexadecimal.
pub(crate) fn random_id() -> Result<String, NoRandom> {
    Ok(format!("{:032x}", u128::from_be_bytes(random()?)))
}

impl Sealer {
    pub(crate) fn new(life: Duration, most: usize) -> Result<Self, NoRandom> {
        Ok(Self {
            key: random()?,
            life,
            most,
            used: Mutex::new(HashMap::new()),
        })
    }

    /// A state for a request of `principal` that `request` describes.
    pub(crate) fn seal(&self, principal: &Principal, request: &str) -> Result<String, NoRandom> {
        self.seal_at(principal, request, clock::unix_ms())
    }

    /// Checks a state that came back, and uses it up.
    pub(crate) fn open(&self, principal: &Principal, request: &str, state: &str) -> Result<(), Unsealed> {
        self.open_at(principal, request, state, clock::unix_ms())
    }

    /// A state that carries `payload`, readable for the client and bound like the rest.
    pub(crate) fn seal_with(
        &self,
        principal: &Principal,
        request: &str,
        payload: &str,
    ) -> Result<String, NoRandom> {
        let state = self.seal(principal, &carrying(request, payload))?;
        Ok(format!("{state}.{}", URL_SAFE_NO_PAD.encode(payload)))
    }

    /// Checks a state made by [`Self::seal_with`], uses it up, and gives what it carries.
    pub(crate) fn open_with(
        &self,
        principal: &Principal,
        request: &str,
        state: &str,
    ) -> Result<String, Unsealed> {
        let (state, payload) = state.split_once('.').ok_or(Unsealed::Forged)?;
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| Unsealed::Forged)?;
        let payload = String::from_utf8(payload).map_err(|_| Unsealed::Forged)?;
        self.open(principal, &carrying(request, &payload), state)?;
        Ok(payload)
    }

    fn seal_at(&self, principal: &Principal, request: &str, now: i64) -> Result<String, NoRandom> {
        let expiry = now.saturating_add_unsigned(u64::try_from(self.life.as_millis()).unwrap_or(u64::MAX));
        let mut bytes = Vec::with_capacity(EXPIRY + NONCE + SEAL);
        bytes.extend_from_slice(&expiry.to_be_bytes());
        bytes.extend_from_slice(&random::<NONCE>()?);
        if let Some(mac) = self.mac(principal, request, &bytes) {
            bytes.extend_from_slice(&mac.finalize().into_bytes());
        }
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    }

    fn open_at(&self, principal: &Principal, request: &str, state: &str, now: i64) -> Result<(), Unsealed> {
        let bytes = URL_SAFE_NO_PAD.decode(state).map_err(|_| Unsealed::Forged)?;
        let (head, seal) = bytes.split_at_checked(EXPIRY + NONCE).ok_or(Unsealed::Forged)?;
        let mac = self.mac(principal, request, head).ok_or(Unsealed::Forged)?;
        // Compares in constant time.
        mac.verify_slice(seal).map_err(|_| Unsealed::Forged)?;
        let (expiry, nonce) = head.split_first_chunk::<EXPIRY>().ok_or(Unsealed::Forged)?;
        let expiry = i64::from_be_bytes(*expiry);
        let nonce: [u8; NONCE] = nonce.try_into().map_err(|_| Unsealed::Forged)?;
        if expiry <= now {
            return Err(Unsealed::Expired);
        }
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let used = used.entry(principal.clone()).or_default();
        if used.contains_key(&nonce) {
            return Err(Unsealed::Used);
        }
        if used.len() >= self.most {
            used.retain(|_, expiry| *expiry > now);
            if used.len() >= self.most {
                return Err(Unsealed::Full);
            }
        }
        used.insert(nonce, expiry);
        Ok(())
    }

    /// `None` can't happen: HMAC takes keys of any length.
    fn mac(&self, principal: &Principal, request: &str, head: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).ok()?;
        mac.update(head);
        // Digests, so that no two splits of the same bytes are sealed alike.
        mac.update(&Sha256::digest(principal.as_str()));
        mac.update(&Sha256::digest(request));
        Some(mac)
    }
}

/// What a state with a payload is bound to: never equal to that of one without.
fn carrying(request: &str, payload: &str) -> String {
    format!("carries {}\n{payload}{request}", payload.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states() {
        let sealer = Sealer::new(Duration::from_secs(10), 3).unwrap();
        let (ann, bob) = (Principal::new("ann"), Principal::new("bob"));
        let seal = || sealer.seal_at(&ann, "remove web", 1_000).unwrap();

        let state = seal();
        assert_eq!(sealer.open_at(&ann, "remove web", &state, 2_000), Ok(()));
        assert_eq!(
            sealer.open_at(&ann, "remove web", &state, 2_001),
            Err(Unsealed::Used)
        );
        assert_eq!(
            sealer.open_at(&bob, "remove web", &seal(), 2_000),
            Err(Unsealed::Forged)
        );
        assert_eq!(
            sealer.open_at(&ann, "remove db", &seal(), 2_000),
            Err(Unsealed::Forged)
        );
        assert_eq!(
            sealer.open_at(&ann, "remove web", &seal(), 11_000),
            Err(Unsealed::Expired)
        );
        let other = Sealer::new(Duration::from_secs(10), 3).unwrap();
        assert_eq!(
            other.open_at(&ann, "remove web", &seal(), 2_000),
            Err(Unsealed::Forged)
        );
        for nonsense in ["", "x", "AAAA", "ä", &"A".repeat(75), &"A".repeat(1_000)] {
            assert_eq!(
                sealer.open_at(&ann, "remove web", nonsense, 2_000),
                Err(Unsealed::Forged),
                "{nonsense}"
            );
        }
    }

    #[test]
    fn payloads() {
        let sealer = Sealer::new(Duration::from_secs(10), 100).unwrap();
        let (ann, bob) = (Principal::new("ann"), Principal::new("bob"));
        for payload in ["", "p", "uéa.b\n{}"] {
            let state = || sealer.seal_with(&ann, "r", payload).unwrap();
            assert_eq!(sealer.open_with(&ann, "r", &state()).as_deref(), Ok(payload));
            let forged = Err(Unsealed::Forged);
            assert_eq!(sealer.open_with(&bob, "r", &state()), forged);
            assert_eq!(sealer.open_with(&ann, "q", &state()), forged);
            assert_eq!(sealer.open_with(&ann, "r", &format!("{}eA", state())), forged);
            let (seal, _) = state()
                .split_once('.')
                .map(|(seal, rest)| (seal.to_owned(), rest.to_owned()))
                .unwrap();
            assert_eq!(sealer.open_with(&ann, "r", &seal), forged);
            assert_eq!(sealer.open(&ann, "r", &seal), Err(Unsealed::Forged));
            let once = state();
            assert!(sealer.open_with(&ann, "r", &once).is_ok());
            assert_eq!(sealer.open_with(&ann, "r", &once), Err(Unsealed::Used));
        }
        let plain = sealer.seal(&ann, "r").unwrap();
        assert_eq!(
            sealer.open_with(&ann, "r", &format!("{plain}.")),
            Err(Unsealed::Forged)
        );
    }

    #[test]
    fn any_changed_bit_breaks_the_seal() {
        let sealer = Sealer::new(Duration::from_secs(10), 1_000).unwrap();
        let ann = Principal::new("ann");
        let state = URL_SAFE_NO_PAD
            .decode(sealer.seal_at(&ann, "r", 0).unwrap())
            .unwrap();
        for bit in 0..state.len() * 8 {
            let mut changed = state.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let changed = URL_SAFE_NO_PAD.encode(changed);
            assert_eq!(
                sealer.open_at(&ann, "r", &changed, 1),
                Err(Unsealed::Forged),
                "bit {bit}"
            );
        }
    }

    #[test]
    fn memory_of_used_states_is_bounded() {
        let sealer = Sealer::new(Duration::from_secs(10), 2).unwrap();
        let (ann, bob) = (Principal::new("ann"), Principal::new("bob"));
        let open = |who, made, now| sealer.open_at(who, "r", &sealer.seal_at(who, "r", made).unwrap(), now);
        assert_eq!(open(&ann, 0, 1), Ok(()));
        assert_eq!(open(&ann, 5_000, 5_001), Ok(()));
        assert_eq!(open(&ann, 5_000, 5_001), Err(Unsealed::Full));
        assert_eq!(open(&bob, 5_000, 5_001), Ok(()), "that is ann's affair");
        // The first has expired by now and is forgotten.
        assert_eq!(open(&ann, 9_000, 10_001), Ok(()));
    }
}
