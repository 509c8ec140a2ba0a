//! This executable in the containers of servers with declared hosts, where it leads them to their proxy; see
//! [`instances::run_relay`]. Nothing of the command line, the configuration or the environment counts there.

use std::io;
use std::process::ExitCode;

/// This executable as a relay, or why it can't be one.
pub(crate) fn own() -> io::Result<instances::Relay> {
    let maps = fs_err::read_to_string("/proc/self/maps")?;
    instances::Relay::new(&std::env::current_exe()?, &maps)
}

/// How it ended, if this is what it was started for.
pub(crate) fn asked_for() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != instances::RELAY {
        return None;
    }
    Some(match instances::run_relay(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // It is the server's standard error, whose last words are shown.
            drop(crate::output::note(&format!("error: {error}")));
            ExitCode::from(error.code)
        }
    })
}
