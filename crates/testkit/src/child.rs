//! A child process that is gone when its handle is: tokio's `kill_on_drop` only sends the signal, and a program that
//! makes its files anew would bring back the folder that the test removes next.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use tokio::process::Child;

/// Killed and waited for when it is dropped.
#[derive(Debug)]
pub struct OwnChild(pub Child);

impl Deref for OwnChild {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for OwnChild {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for OwnChild {
    fn drop(&mut self) {
        if !matches!(self.0.try_wait(), Ok(None)) {
            return;
        }
        self.0.start_kill().ok();
        // At most 5 s: only a process that hangs in the kernel survives a kill for longer.
        for _ in 0..1000 {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
