//! What the executable does in containers of servers with declared hosts, as a program of its own for the tests here.

fn main() -> std::process::ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_none_or(|first| first != instances::RELAY) {
        return std::process::ExitCode::from(2);
    }
    match instances::run_relay(arguments) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "a program tells why it could not be run")]
            {
                eprintln!("error: {error}");
            }
            std::process::ExitCode::from(error.code)
        }
    }
}
