//! What a session hears from the far side: its key, which is judged here, and wishes for channels, which are refused.

use crate::known_hosts::{KnownHosts, Verdict};
use russh::client::{ChannelOpenHandle, Handler, Msg, Session};
use russh::keys::{PublicKey, PublicKeyOrCertificate};
use russh::{Channel, Error};
use std::sync::{Arc, Mutex, PoisonError};

/// Judges the key of one host.
pub(crate) struct Guard {
    pub(crate) known: Arc<KnownHosts>,
    pub(crate) name: String,
    pub(crate) port: u16,
    /// A key that someone has agreed to.
    pub(crate) agreed: Option<PublicKey>,
    pub(crate) refusal: Refusal,
}

/// Why a key was refused, for whoever opens the session.
pub(crate) type Refusal = Arc<Mutex<Option<(Verdict, PublicKey)>>>;

impl Handler for Guard {
    type Error = Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Error> {
        let now = u64::try_from(base::clock::now().as_second()).unwrap_or_default();
        let key = shown.public_key();
        let verdict = self.known.judge(&self.name, self.port, shown, now);
        let agreed = self
            .agreed
            .as_ref()
            .is_some_and(|agreed| agreed.key_data() == key.key_data());
        match verdict {
            Verdict::Known(_) => Ok(true),
            Verdict::Unknown { .. } if agreed => Ok(true),
            verdict => {
                *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some((verdict, key));
                Ok(false)
            }
        }
    }

    // Nothing was asked for that a host may open a channel for. An answer that is dropped is a no.

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Error> {
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Error> {
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Error> {
        Ok(())
    }

    async fn server_channel_open_session(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Error> {
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Error> {
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Error> {
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Error> {
        Ok(())
    }
}
