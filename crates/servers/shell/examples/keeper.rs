//! The keeper by itself, for tests: what the executable is under the same argument.

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_none_or(|first| first != shell_server::KEEPER) {
        return std::process::ExitCode::FAILURE;
    }
    match shell_server::run_keeper(arguments) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(_) => std::process::ExitCode::FAILURE,
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {}
