//! What is told of a program that gave no answer, and what to do about it.

use programs::NoAnswer;

/// Reason and remedy.
pub(crate) fn told(none: NoAnswer, program: &str) -> (String, String) {
    match none {
        NoAnswer::Missing => (
            format!("{program} is not on the PATH"),
            "install it, or choose another place for secrets under [secrets]".to_owned(),
        ),
        NoAnswer::Late(limit) => (
            format!(
                "{program} gave no answer within {} s and was stopped",
                limit.as_secs_f32()
            ),
            "unlock the keyring that it waits for, then try again".to_owned(),
        ),
        NoAnswer::Failed(cause) => (
            format!("{program} could not be run: {cause}"),
            format!("see that {program} works"),
        ),
    }
}
